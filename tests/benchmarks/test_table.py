"""The .md files of benchmarks: their figures are replaced, and their prose stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.table import filled, table
from tests.conftest import ROOT

TABLES = {"scale": 3, "painting_exam": 2, "training_step": 2, "epoch": 2, "gpu": 3}
FILES = sorted((ROOT / "benchmarks").glob("*.md"))


def test_a_table() -> None:
    text = "| name | value |\n| --- | ---: |\n| a | 1 |\n"
    assert table(["name", "value"], [["a", 1]]) == text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_figures_are_replaced_and_prose_stays(path: Path) -> None:
    old = path.read_text(encoding="utf-8")
    tables = [f"| table {k} |\n" for k in range(TABLES.get(path.stem, 1))]
    new = filled(old, "`python -m benchmarks.other`, today", *tables)
    prose = [line for line in old.splitlines() if not line.startswith(("|", "`gantune", "`python"))]
    assert [line for line in new.splitlines() if line in prose] == prose
    assert new.count("`python -m benchmarks.other`, today.\n") == 1
    assert [line for line in new.splitlines() if line.startswith("|")] == [t[:-1] for t in tables]
