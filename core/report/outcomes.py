"""How the trials of a study ended, counted and explained."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from core.report.rows import DAMAGED, KILLED, RUNNING, Row
from core.report.summary import Summary
from core.report.wording import count
from core.task import OutcomeKind

SHOWN = 3

MEANING: dict[str, str] = {
    OutcomeKind.COMPLETED: "Trained to its end, or until its patience ran out. Only these scores are "
    "compared.",
    OutcomeKind.PRUNED: "Stopped early: beside the other trials it looked hopeless.",
    OutcomeKind.DIVERGED: "A loss, a weight, an output or the score was no longer a finite number. A "
    "search is told the worst score.",
    OutcomeKind.COLLAPSED: "The generator gave one output for all inputs, or outputs that have nothing "
    "to do with them, or had no gradient left to learn from. A search is told the worst score.",
    OutcomeKind.OUT_OF_MEMORY: "The machine or its GPU had not memory enough. A search is told no "
    "score.",
    OutcomeKind.INTERRUPTED: "Stopped from outside. The same command continues it after its last "
    "epoch.",
    OutcomeKind.FAILED: "An error ended it, or the task refuses its parameters. A search is told no "
    "score.",
    RUNNING: "At work when this report was written.",
    KILLED: "Its process ended without a word. The same command continues it after its last epoch.",
    DAMAGED: "Its record cannot be read.",
}


@dataclass(frozen=True)
class Ended:
    """The trials of one outcome: how many, what it means, and the commonest reasons."""

    name: str
    trials: int
    meaning: str
    reasons: tuple[str, ...]


def outcomes(summary: Summary) -> list[Ended]:
    """A line for every outcome of the study, the commonest first."""
    return [
        Ended(shown(outcome), n, MEANING[outcome], _reasons(summary.rows, outcome))
        for outcome, n in summary.outcomes.items()
    ]


def shown(outcome: str) -> str:
    """`out of memory`."""
    return outcome.replace("_", " ")


def _reasons(rows: list[Row], outcome: str) -> tuple[str, ...]:
    """The commonest reasons, each with a trial that gives it and how many others do."""
    there = [row for row in rows if row.outcome == outcome and row.reason]
    first = {row.reason: row.label for row in reversed(there)}
    times = Counter(row.reason for row in there).most_common()
    told = []
    for reason, n in times[:SHOWN]:
        also = f" and {count(n - 1, 'other')}" if n > 1 else ""
        told.append(f"trial {first[reason]}{also}: {reason}")
    if len(times) > SHOWN:
        told.append(f"{count(len(times) - SHOWN, 'other reason')}: see All trials")
    return tuple(told)
