"""The rungs of a study whose trials stop and go on: how many reached each, and what that saved."""

from __future__ import annotations

from dataclasses import dataclass

from core.report.rows import Row
from core.report.summary import Summary
from core.task import OutcomeKind


@dataclass(frozen=True)
class Reached:
    """Trials by the rungs that they reached; the epochs trained, and those if none had stopped."""

    trials: dict[int, int]
    epochs: int
    whole: int


def stopped_at_rung(row: Row) -> bool:
    """Whether a trial waits at a rung, or waited there in vain."""
    return row.outcome == OutcomeKind.PRUNED and row.about.get("until") == len(row.epochs)


def rungs_reached(summary: Summary) -> Reached | None:
    """The rungs of a study; None where no trial stopped at one."""
    rows = [row for row in summary.rows if row.task == summary.task and row.planned]
    stopped = [row for row in rows if stopped_at_rung(row)]
    if not stopped:
        return None
    levels = {len(row.epochs) for row in stopped} | {row.planned or 0 for row in rows}
    trials = {level: sum(len(r.epochs) >= level for r in rows) for level in sorted(levels)}
    epochs = sum(len(row.epochs) for row in rows)
    return Reached(trials, epochs, sum(row.planned or 0 for row in rows))
