"""What the trials' records say of the evaluator's exam."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.report.format import decimals
from core.report.render import sentence
from core.report.rows import mapping, numbers


@dataclass(frozen=True)
class ExamCase:
    """How the evaluator scored one kind of outputs; the good ones, or those that must not win."""

    name: str
    good: bool
    value: float
    passed: bool


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
        ExamCase(str(case.get("name")), bool(case.get("good")), value, bool(case.get("passed")))
        for case in map(mapping, found)
        if (value := numbers(case).get("value")) is not None
    )
    inputs = int(known.get("inputs", 0))
    return ExamResult(cases, bool(exam.get("passed")), known["reference"], inputs)
