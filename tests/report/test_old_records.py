"""Records that version 0.1.0 wrote, which had other words and scores in pieces, are reported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from core.record import Study
from core.report import write_report
from core.report.summary import load

OLD = Path(__file__).parent.parent / "fixtures" / "record-0.1.0"


def test_the_verdict_the_best_and_its_parts(tmp_path: Path) -> None:
    shutil.copytree(OLD / "plain", tmp_path / "plain")
    page = write_report(Study.open(tmp_path, "plain")).read_text()
    written = json.loads((tmp_path / "plain" / "best.json").read_text())
    assert written["verdict"] == (
        "Trial 1 scored 0.697; the published baseline (trial 0) scored 0.546: +0.151."
    )
    assert written["verdict"].replace("rial ", "rial\xa0") in page
    assert written["best"]["parts"] == {"style": pytest.approx(0.6966, abs=1e-4), "inputs": 100.0}
    assert written["best"]["params"]["evaluator"] == "plain"
    assert written["provenance"]["evaluator"]["accuracy"] > 0.5
    assert written["trials"] == {"completed": 3}
    assert page.count("8 pictures side by side") == 3, "input, best and baseline"
    assert "items a second" in page
    words = page.replace("--judge", "").replace("--ignore-exam", "")  # the command that ran it
    assert "judge" not in words


def test_guards_and_epochs() -> None:
    summary = load(OLD / "guarded")
    assert [row.broken for row in summary.rows] == [[], ["unrelated"], []]
    assert [len(row.epochs) for row in summary.rows] == [2, 2, 2]
    assert summary.best is not None
    assert (summary.best.label, summary.baseline and summary.baseline.label) == ("5", "0")
    assert summary.best.epochs[-1].score.parts["spectrum"] == pytest.approx(6.325, abs=1e-3)
    assert all(line.items_per_second > 0 for row in summary.rows for line in row.epochs)


def test_a_command_trains_it_again_with_todays_flags() -> None:
    from core.report.provenance import train_again

    summary = load(OLD / "plain")
    assert summary.best is not None
    command = train_again(summary, summary.best)
    assert "--evaluator plain" in command
    assert "judge" not in command
