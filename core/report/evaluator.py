"""What the trials' records say of the evaluator's exam."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.report.format import decimals
from core.report.render import sentence
from core.report.rows import mapping, numbers

LADDER = {"name", "steps", "passed"}


@dataclass(frozen=True)
class ExamCase:
    """How the evaluator scored good outputs, those that must not win, or neither (None)."""

    name: str
    good: bool | None
    value: float
    passed: bool


@dataclass(frozen=True)
class ExamResult:
    """The exam of a study's evaluator; `reference` is the score of the best good outputs.

    `margin` is the share of it that no bad outputs may reach. `ladders` have a name, `steps` (the
    values of cases, which must improve) and `passed`; before version 3 of the exam there were none.
    """

    cases: tuple[ExamCase, ...]
    ladders: tuple[dict[str, Any], ...]
    passed: bool
    reference: float
    margin: float
    inputs: int

    @property
    def bad(self) -> list[ExamCase]:
        """The outputs that must not win."""
        return [case for case in self.cases if case.good is False]

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
    known, found, ladders = numbers(exam), exam.get("cases"), exam.get("ladders")
    if not isinstance(found, list) or "reference" not in known:
        return None
    cases = tuple(
        ExamCase(str(case.get("name")), case.get("good", False), value, bool(case.get("passed")))
        for case in map(mapping, found)
        if (value := numbers(case).get("value")) is not None
    )
    rows = map(mapping, ladders if isinstance(ladders, list) else [])
    climbed = tuple({**row, "steps": numbers(row["steps"])} for row in rows if row.keys() >= LADDER)
    figures = known["reference"], known.get("margin", 0.5), int(known.get("inputs", 0))
    return ExamResult(cases, climbed, bool(exam.get("passed")), *figures)
