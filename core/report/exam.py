"""The evaluator's exam, as the trials' records keep it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.report.rows import mapping, numbers
from core.report.wording import count, decimals, fixed


@dataclass(frozen=True)
class ExamCase:
    """What the evaluator gave one kind of outputs."""

    name: str
    good: bool
    value: float
    share: float | None
    passed: bool
    broken: tuple[str, ...]


@dataclass(frozen=True)
class ExamResult:
    """The exam of a study's evaluator: the cases in its own order."""

    cases: tuple[ExamCase, ...]
    passed: bool
    reference: float
    inputs: int
    places: int

    @property
    def bad(self) -> tuple[ExamCase, ...]:
        """The ways to cheat."""
        return tuple(case for case in self.cases if not case.good)

    @property
    def sentence(self) -> str:
        """What came of it."""
        good = f"good outputs score {fixed(self.reference, self.places)}"
        if self.passed:
            return (
                f"The evaluator was shown {count(len(self.bad), 'way')} to cheat before the search, "
                f"and none comes near: {good}."
            )
        return f"The evaluator has failed its exam, so a high score may be a trick: {good}, {self.tricks}."

    @property
    def tricks(self) -> str:
        """The ways to cheat that the evaluator fell for, with their scores."""
        failed = [case for case in self.bad if not case.passed]
        return ", ".join(f"{case.name} {fixed(case.value, self.places)}" for case in failed)


def read_exam(evaluator: Mapping[str, Any]) -> ExamResult | None:
    """The exam of the evaluator of which a record says this; None where it has sat none."""
    told = mapping(evaluator.get("exam"))
    known = numbers(told)
    there = told.get("cases")
    if not isinstance(there, list) or "reference" not in known:
        return None
    reference = known["reference"]
    cases = [
        ExamCase(
            str(case.get("name")),
            bool(case.get("good")),
            numbers(case)["value"],
            numbers(case)["value"] / reference if reference else None,
            bool(case.get("passed")),
            tuple(map(str, case.get("broken") or ())),
        )
        for case in map(mapping, there)
        if "value" in numbers(case)
    ]
    places = decimals([reference])
    passed = bool(told.get("passed"))
    return ExamResult(tuple(cases), passed, reference, int(known.get("inputs", 0)), places)
