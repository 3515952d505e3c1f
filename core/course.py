"""A trial's course: its epochs, which of them counts, when it is over and how it has ended."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from core.collapse import collapsed, starved
from core.record import EpochLine
from core.task import Ending, Outcome, Params, Samples, Score, Task, Trainable

# Epochs of collapse without a better score: measured in benchmarks/collapse.md.
STUCK = 5
STUCK_AT_THE_END = 2  # one epoch is no evidence


@dataclass
class Course:
    """Epochs so far, and what was wrong with the outputs after each of them ('': nothing)."""

    task: Task
    params: Params
    lines: list[EpochLine] = field(default_factory=list)
    signs: list[str] = field(default_factory=list)

    @property
    def best(self) -> EpochLine:
        """The epoch with the best score, the first of equals."""
        best = self.lines[0]
        for line in self.lines:
            if self.task.objective.better(line.value, best.value):
                best = line
        return best

    @property
    def kept(self) -> EpochLine:
        """The epoch that counts: the last one; with patience the best one."""
        return self.best if self.params.patience else self.lines[-1]

    @property
    def stuck(self) -> int:
        """For how many epochs, the last included, outputs have been collapsed and none was best.

        A young network may have one answer for all, too, but its score gets better while it has.
        """
        since = self.best.epoch if self.lines else 0
        count = 0
        for line, sign in zip(reversed(self.lines), reversed(self.signs), strict=True):
            if not sign or line.epoch <= since:
                break
            count += 1
        return count

    @property
    def waited(self) -> bool:
        """Whether as many epochs as patience allows have brought nothing better."""
        patience = self.params.patience
        return bool(patience and self.lines) and len(self.lines) - self.best.epoch >= patience

    @property
    def over(self) -> bool:
        """Whether another epoch is not worth it."""
        return self.waited or self.stuck >= STUCK

    def add(self, line: EpochLine, samples: Samples, model: Trainable) -> None:
        """Note an epoch, and whether the generator has collapsed in it."""
        self.signs.append(collapsed(samples) or self._starved(line, model))
        self.lines.append(line)

    def _starved(self, line: EpochLine, model: Trainable) -> str:
        """Whether the generator has no gradient left, and its outputs stand still."""
        networks = list(model.networks.values())
        still = bool(self.lines) and _alike(self.lines[-1], line)
        if not (still and networks and starved(networks[0])):
            return ""
        won = ": the discriminator has won" if len(networks) > 1 else ""
        return f"no gradient reaches the generator{won}"

    def ending(self) -> Ending:
        """Collapsed where the outputs that count are, else completed; the score is theirs."""
        last, kept, stuck = len(self.lines), self.kept, self.stuck
        if stuck >= STUCK_AT_THE_END and self.signs[kept.epoch - 1]:
            reason = (
                f"{self.signs[-1]}, in epochs {last - stuck + 1} to {last} without a better score"
            )
            return Ending(Outcome.COLLAPSED, reason, score_of(kept))
        reason = ""
        if self.over and last < self.params.epochs:
            why = "" if self.waited else f"collapsed from epoch {last - stuck + 1} on, "
            reason = f"stopped after epoch {last}: {why}none better since {kept.epoch}"
        return Ending(Outcome.COMPLETED, reason, score_of(kept))


def _alike(a: EpochLine, b: EpochLine) -> bool:
    """Whether two epochs were judged the same, part by part, but for rounding."""
    x, y = {"": a.value, **a.parts}, {"": b.value, **b.parts}
    return x.keys() == y.keys() and all(math.isclose(x[k], y[k], rel_tol=1e-6) for k in x)


def score_of(line: EpochLine) -> Score:
    """An epoch's score."""
    return Score(line.value, line.parts, line.violations)
