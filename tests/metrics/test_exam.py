"""The exam: what passes, what fails, what is kept, and what a failure stops."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from core.data.outputs import ImagePairs
from core.metrics.exam import brief, failure, kept_exam, sentence, sit, sit_once, table
from core.task import Case, Objective, Score
from tests.conftest import TINY, Run

NO_DATA: Any = None
HIGHER = Objective("score", "maximize", 0.0)
LOWER = Objective("loss", "minimize", 100.0)


def outputs(value: float) -> ImagePairs:
    image = torch.full((2, 3, 8, 8), value)
    return ImagePairs(image, image)


@dataclass
class FakeEvaluator:
    """Scores an image by its first pixel; a pixel below 0 breaks a guard."""

    cases: list[Case]
    objective: Objective = HIGHER
    margin: float = 0.5
    asked: list[float] = field(default_factory=list)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        return (self.objective,)

    def prepare(self, data: Any, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
        return {}

    def __call__(self, outputs: ImagePairs) -> Score:
        value = float(outputs.output.flatten()[0])
        self.asked.append(value)
        return Score(abs(value), {"pixel": value}, {"dark": -value})

    def exam(self, data: Any) -> Iterator[Case]:
        yield from self.cases


def evaluator(
    good: list[float], bad: list[float], objective: Objective = HIGHER, margin: float = 0.5
) -> FakeEvaluator:
    cases = [Case(f"good {v}", outputs(v), True) for v in good]
    return FakeEvaluator(cases + [Case(f"bad {v}", outputs(v)) for v in bad], objective, margin)


def climbing(values: list[float], objective: Objective = HIGHER) -> FakeEvaluator:
    """A ladder whose last case is the good output, and a bad output beside it."""
    cases = [Case(f"step {i}", outputs(v), None, ("up",)) for i, v in enumerate(values[:-1])]
    cases.append(Case("good", outputs(values[-1]), True, ("up", "other")))
    bad = 0.0 if objective is HIGHER else 9.0
    return FakeEvaluator([*cases, Case("bad", outputs(bad))], objective)


def results(exam: dict[str, Any]) -> dict[str, bool]:
    return {case["name"]: case["passed"] for case in exam["cases"] if not case["good"]}


def said_by(exam: dict[str, Any]) -> list[str]:
    """The last words of each line of its table."""
    return [line.split()[-1] for line in table(exam).splitlines()[1:]]


def test_a_bad_output_passes_below_half_of_the_best_good_one() -> None:
    exam = sit(evaluator([0.5, 0.75, -0.9], [0.25, 0.375, 0.5]), NO_DATA)
    assert exam["reference"] == 0.75
    assert results(exam) == {"bad 0.25": True, "bad 0.375": False, "bad 0.5": False}
    assert not exam["passed"]


def test_where_lower_is_better_it_passes_above_twice_the_best_good_one() -> None:
    exam = sit(evaluator([0.25, 0.5], [0.375, 0.5, 0.625], LOWER), NO_DATA)
    assert exam["reference"] == 0.25
    assert results(exam) == {"bad 0.375": False, "bad 0.5": False, "bad 0.625": True}


def test_a_bad_output_that_breaks_a_guard_of_its_own_cannot_win() -> None:
    exam = sit(evaluator([0.5], [-0.75]), NO_DATA)
    assert exam["passed"]
    assert exam["cases"][1]["broken"] == ["dark"]
    everyone_breaks_it = sit(evaluator([-0.5], [-0.75]), NO_DATA)
    assert not everyone_breaks_it["passed"]


@pytest.mark.parametrize(
    ("objective", "values"), [(HIGHER, (0.0625, 0.125, 0.25)), (LOWER, (4.0, 2.0, 1.0))]
)
def test_the_evaluator_sets_the_margin(objective: Objective, values: tuple[float, ...]) -> None:
    exam = sit(evaluator([0.5], list(values), objective, margin=0.25), NO_DATA)
    assert exam["margin"] == brief(exam)["margin"] == 0.25
    assert list(results(exam).values()) == [True, False, False]


def test_an_evaluator_that_gives_good_outputs_nothing_fails() -> None:
    assert not sit(evaluator([0.0], [0.0]), NO_DATA)["passed"]


def test_the_sentence_names_what_failed_and_what_came_nearest() -> None:
    failed = sit(evaluator([0.5], [0.125, 0.375]), NO_DATA)
    assert sentence(failed) == (
        "exam: FAILED; good outputs score 0.5, and these are not far below: bad 0.375 0.375"
    )
    assert "--ignore-exam" in failure(failed)
    passed = sit(evaluator([0.5], [0.125, 0.0625, -0.25]), NO_DATA)
    assert sentence(passed).endswith("the nearest, bad 0.125, has 0.125")
    assert said_by(failed) == ["good", "passed", "FAILED"]


@pytest.mark.parametrize(
    ("values", "passed"),
    [
        ([0.0, 0.5, 1.0], True),
        ([0.0, 0.0, 1.0], True),
        ([0.03125, 0.0, 1.0], True),  # a step down that is noise
        ([0.125, 0.0, 1.0], False),
        ([0.0, 1.125, 1.0], False),
    ],
)
@pytest.mark.parametrize("objective", [HIGHER, LOWER])
def test_the_score_must_not_fall_along_a_ladder(
    values: list[float], passed: bool, objective: Objective
) -> None:
    climb = values if objective is HIGHER else [2 - value for value in values]
    exam = sit(climbing(climb, objective), NO_DATA)
    assert [ladder["passed"] for ladder in exam["ladders"]] == [passed, True]
    assert exam["passed"] is passed
    assert list(exam["ladders"][0]["steps"].values()) == climb, "in their order"
    assert all(case["passed"] for case in exam["cases"]), "no step is a case to fail"


def test_a_ladder_that_falls_is_said_step_by_step() -> None:
    exam = sit(climbing([0.25, 0.75, 0.5]), NO_DATA)
    assert sentence(exam) == (
        "exam: FAILED; the score must not fall along: step 0 0.25, step 1 0.75, good 0.5"
    )
    assert "would reward what games it: the score must not fall along: step" in failure(exam)
    assert said_by(exam) == ["between", "between", "good", "passed"]


def test_what_is_neither_good_nor_bad_is_no_reference_and_cannot_fail() -> None:
    between = Case("between", outputs(2.0), None)
    exam = sit(FakeEvaluator([*climbing([0.75, 0.75]).cases, between]), NO_DATA)
    assert exam["reference"] == 0.75
    assert exam["passed"]
    assert "of 1 ways to cheat none comes near" in sentence(exam)


def test_progress_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.metrics.cache.PAUSE", 0)
    said: list[str] = []
    sit(evaluator([0.5], [0.125]), NO_DATA, said.append)
    assert said == ["exam: cases: 0 done", "exam: cases: 1 done"]


def test_it_is_sat_once_and_kept_whole(tmp_path: Path) -> None:
    one = evaluator([0.5], [0.125])
    facts = {"evaluator": "pixel", "data": "abc"}
    assert kept_exam(tmp_path, facts) == {}
    exam = sit_once(one, NO_DATA, facts, tmp_path, lambda line: None)
    asked = len(one.asked)
    assert sit_once(one, NO_DATA, facts, tmp_path, lambda line: None) == exam
    assert len(one.asked) == asked
    assert kept_exam(tmp_path, {**facts, "exam": brief(exam)}) == exam
    assert kept_exam(tmp_path, {**facts, "data": "other"}) == {}
    again = sit_once(one, NO_DATA, facts, tmp_path, lambda line: None, again=True)
    assert len(one.asked) == 2 * asked
    assert again["cases"] == exam["cases"]
    assert json.loads(json.dumps(brief(exam))) == brief(exam)


def test_a_plain_classifier_fails_stops_the_search_and_may_be_overridden(
    gantune: Run, runs: Path, domains: Path
) -> None:
    flags = [*TINY, "--data", str(domains), "--evaluator", "plain"]
    exam = gantune("exam", "cyclegan", *flags[:4], "--data", str(domains), "--evaluator", "plain")
    assert exam.returncode == 1, exam.stderr
    assert "one painting for all" in exam.stdout
    assert "exam: FAILED" in exam.stdout.splitlines()[-1]
    stopped = gantune("tune", "cyclegan", "--study", "s", "--trials", "1", *flags)
    assert stopped.returncode == 1
    assert "error: the evaluator can be gamed" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert not list(runs.glob("s/*/trial.json"))
    overridden = gantune(
        "tune", "cyclegan", "--study", "s", "--trials", "1", "--ignore-exam", *flags
    )
    assert overridden.returncode == 0, overridden.stderr
    assert "The evaluator failed its exam" in (runs / "s" / "report.md").read_text()
    assert json.loads((runs / "s" / "best.json").read_text())["exam_passed"] is False
