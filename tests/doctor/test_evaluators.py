"""Judges kept under runs/evaluators: whole, weak, damaged, gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from core.doctor import evaluators
from core.doctor.finding import Finding, Level
from core.record import Record

GLYPH = {"evaluator": "glyph", "glyphs": "c0ffee", "reads_targets": 0.99, "weak": False}
PAINTING = {"evaluator": "painting", "data": "beef", "target": "A", "accuracy": 0.95, "weak": False}


def keep(runs: Path, **facts: Any) -> Path:
    home = runs / "evaluators" / f"{facts['evaluator']}-0123456789abcdef"
    home.mkdir(parents=True)
    (home / "evaluator.json").write_text(json.dumps(facts))
    torch.save({"weight": torch.zeros(1000)}, home / "evaluator.pt")
    return home


def faults(runs: Path) -> list[Finding]:
    found = [f for f in evaluators.check(runs) if f.level is not Level.NOTE]
    assert all(f.level is Level.WARNING for f in found), "a search makes a new evaluator"
    return found


def test_good_judges_and_none_at_all_are_well(tmp_path: Path) -> None:
    assert faults(tmp_path) == []
    keep(tmp_path, **GLYPH)
    keep(tmp_path, **PAINTING)
    (tmp_path / "evaluators" / "glyph-being-trained").mkdir()
    assert faults(tmp_path) == []


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({**GLYPH, "reads_targets": 0.85}, "0.85, below 0.9"),
        ({**PAINTING, "accuracy": 0.75}, "0.75, below 0.8"),
        ({**PAINTING, "weak": True}, "a weak evaluator"),
    ],
)
def test_a_weak_judge(tmp_path: Path, facts: dict[str, Any], told: str) -> None:
    home = keep(tmp_path, **facts)
    (found,) = faults(tmp_path)
    assert found.where == str(home)
    assert told in found.what


def test_a_judge_that_failed_its_exam_is_named_with_what_games_it(tmp_path: Path) -> None:
    keep(tmp_path, **PAINTING)
    cases = [{"name": "painted", "good": True, "value": 0.5, "broken": [], "passed": True}]
    cases += [{"name": "white", "good": False, "value": 0.4, "broken": [], "passed": False}]
    exam = {"passed": False, "reference": 0.5, "cases": cases, "evaluator": PAINTING}
    exam["objective"] = {"name": "score", "direction": "maximize"}
    path = tmp_path / "evaluators" / "exam-0123456789abcdef.json"
    path.write_text(json.dumps(exam))
    (found,) = faults(tmp_path)
    assert found.where == str(path)
    assert "the kind painting has failed its exam: good outputs score 0.500" in found.what
    assert "white 0.400" in found.what
    path.write_text(json.dumps({**exam, "passed": True}))
    assert faults(tmp_path) == []
    path.write_text('{"passed": false, "version": 1}')
    assert faults(tmp_path) == [], "no search reads it any more"
    path.write_text('{"passed": false}')
    (found,) = faults(tmp_path)
    assert found.what == "the exam is damaged"


def test_a_damaged_judge(tmp_path: Path) -> None:
    home = keep(tmp_path, **GLYPH)
    whole = (home / "evaluator.pt").read_bytes()

    def told() -> str:
        (found,) = faults(tmp_path)
        assert found.where == str(home)
        return found.what

    (home / "evaluator.pt").write_bytes(whole[: len(whole) // 2])
    assert "evaluator.pt is damaged" in told()
    middle = whole.index(b"\0" * 500)
    (home / "evaluator.pt").write_bytes(whole[:middle] + b"\1" + whole[middle + 1 :])
    assert "evaluator.pt is damaged" in told()
    (home / "evaluator.pt").unlink()
    assert "evaluator.pt is gone" in told()
    (home / "evaluator.pt").write_bytes(whole)
    (home / "evaluator.json").write_text('{"evaluator": ')
    assert "evaluator.json is gone" in told()


def test_a_study_whose_judge_is_gone(tmp_path: Path) -> None:
    keep(tmp_path, **GLYPH)
    Record(tmp_path / "here" / "0000").begin({"evaluator": {**GLYPH, "seconds": 3.0}})
    assert faults(tmp_path) == []
    for number in range(2):
        Record(tmp_path / "elsewhere" / f"{number:04d}").begin(
            {"evaluator": {**GLYPH, "glyphs": "ab"}}
        )
    (found,) = faults(tmp_path)
    assert "the evaluator of elsewhere is not here" in found.what
    for name in "abcd":
        Record(tmp_path / name / "0000").begin({"evaluator": PAINTING})
    (found,) = faults(tmp_path)
    assert "the evaluator of a, b, c and 2 more is not here" in found.what
