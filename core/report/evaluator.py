"""What the trials' records say of the evaluator: its exam, and its answers on held-out data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.report.format import decimals
from core.report.render import sentence
from core.report.rows import mapping, numbers


@dataclass(frozen=True)
class ExamCase:
    """How the evaluator scored one kind of outputs, and the guards that they break."""

    name: str
    good: bool
    value: float
    passed: bool
    broken: tuple[str, ...]


@dataclass(frozen=True)
class ExamResult:
    """The exam of a study's evaluator; `reference` is the score of the best good outputs."""

    cases: tuple[ExamCase, ...]
    passed: bool
    reference: float
    inputs: int

    @property
    def bad(self) -> list[ExamCase]:
        """The outputs that must not win."""
        return [case for case in self.cases if not case.good]

    @property
    def failed(self) -> list[ExamCase]:
        """Those that score too well all the same."""
        return [case for case in self.bad if not case.passed]

    @property
    def places(self) -> int:
        """Decimals to show its scores with."""
        return decimals([self.reference])

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        return sentence("exam.txt.j2", {"exam": self})


def read_exam(evaluator: Mapping[str, Any]) -> ExamResult | None:
    """The exam among a record's facts of the evaluator; None where it has taken none."""
    exam = mapping(evaluator.get("exam"))
    known, found = numbers(exam), exam.get("cases")
    if not isinstance(found, list) or "reference" not in known:
        return None
    cases = tuple(
        ExamCase(
            name=str(case.get("name")),
            good=bool(case.get("good")),
            value=numbers(case)["value"],
            passed=bool(case.get("passed")),
            broken=tuple(map(str, case.get("broken") or ())),
        )
        for case in map(mapping, found)
        if "value" in numbers(case)
    )
    passed, inputs = bool(exam.get("passed")), int(known.get("inputs", 0))
    return ExamResult(cases, passed, known["reference"], inputs)


def confusion(evaluator: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Its confusion on held-out data, truth -> answer -> count; may be empty."""
    rows = {str(k): numbers(v) for k, v in mapping(evaluator.get("confusion")).items()}
    return rows if all(rows.values()) else {}
