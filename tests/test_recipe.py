"""The recipe of CONTRIBUTING.md, followed to the letter: a new task is two new files."""

from __future__ import annotations

import json
from pathlib import Path

from tests.checkout import ROOT, Checkout, blocks

PYTEST = ".venv/bin/pytest"
FAST = ["--workers", "1", "--threads", "1", "--device", "cpu"]


def test_the_recipe_adds_a_task_with_two_files_and_changes_none(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    recipe = blocks(ROOT / "CONTRIBUTING.md")
    for block in recipe:
        if block.key == "file":
            checkout.write(block.value, block.text)
    shell = [block.text for block in recipe if "gantune tune" in block.text]
    tasks, tune, trial, contract = (line.split() for line in shell[-1].splitlines())

    checkout.python("-m", "ruff", "check", "--quiet", "trials/polynomial_fit.py")
    listed = checkout.gantune(*tasks[1:])
    assert "polynomial_fit       A polynomial fits y = sin x by Adam." in listed
    checkout.gantune(*tune[1:], *FAST)
    checkout.python(*trial[1:], "--epochs", "2", "--threads", "1")
    assert contract[0] == PYTEST
    passed = checkout.python("-m", "pytest", "--quiet", "-p", "no:cacheprovider", *contract[1:])
    assert " passed" in passed

    study = tmp_path / "runs" / "polynomial_fit"
    best = json.loads((study / "best.json").read_text())
    assert best["trials"] == {"completed": 3}
    assert best["baseline"]["params"]["degree"] == 3
    assert best["best"]["score"] <= best["baseline"]["score"] < 0.5, "lower is better"
    assert (study / "report.html").is_file()
    assert checkout.changes() == [
        "?? search_spaces/polynomial_fit.json",
        "?? trials/polynomial_fit.py",
    ]
