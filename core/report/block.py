"""Runs of several configurations with common seeds: what went wrong, and the others' scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from core.replicates.stats import Paired
from core.report.rows import Row
from core.report.wording import count
from core.task import OutcomeKind

BASELINE = "baseline"
WRONG = (OutcomeKind.DIVERGED, OutcomeKind.COLLAPSED, OutcomeKind.FAILED, OutcomeKind.OUT_OF_MEMORY)


def at_its_end(row: Row | None) -> bool:
    """Whether a run has come to a score, or gone wrong for good."""
    return row is not None and (row.completed or row.outcome in WRONG)


@dataclass(frozen=True)
class Block:
    """Runs by configuration and seed, all at their ends; some may lack seeds.

    In `paired` a higher score is always the better one.
    """

    runs: Mapping[str, Mapping[int, Row]]
    maximize: bool

    @cached_property
    def allowed(self) -> int:
        """How many guards a run may break: as many as the best-behaved configuration's worst run.

        Those that have come to the most scores set the standard.
        """
        there = [[row for row in of.values() if row.completed] for of in self.runs.values()]
        most = max(map(len, there), default=0)
        worst = [max(len(row.broken) for row in of) for of in there if 0 < len(of) == most]
        return min(worst, default=0)

    def failed(self, name: str) -> list[str]:
        """What went wrong with a configuration's runs, by seed."""
        told = []
        for seed, row in self.runs[name].items():
            if not row.completed:
                told.append(f"seed {seed} {row.outcome.replace('_', ' ')}")
            elif len(row.broken) > self.allowed:
                told.append(f"seed {seed} breaks {', '.join(row.broken)}")
        return told

    @cached_property
    def paired(self) -> Paired:
        """The scores of the configurations none of whose runs went wrong."""
        reason = 1 if self.maximize else -1
        return Paired({
            name: {seed: reason * row.score for seed, row in of.items() if row.score is not None}
            for name, of in self.runs.items()
            if of and not self.failed(name)
        })  # fmt: skip

    def hopeless(self, confidence: float) -> dict[str, str]:
        """Who is behind the best with this confidence, or went wrong, and why; no baseline."""
        told = Paired(self.paired.scores, confidence)
        winners = told.winners()
        found = {
            name: f"behind with {count(len(told.scores[name]), 'seed')}"
            for name in told.names
            if name not in winners
        }
        found |= {name: ", ".join(wrong) for name in self.runs if (wrong := self.failed(name))}
        return {name: why for name, why in found.items() if name != BASELINE}
