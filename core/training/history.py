"""The epochs of a trial: which of them counts, when the trial is over, and how it has ended."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from core.models.collapse import vanished_gradient
from core.record import EpochLine
from core.task import CanCollapse, Outcome, OutcomeKind, Outputs, Params, Score, Task, Trainable

# Epochs of collapse without a better score: measured in benchmarks/collapse.md.
STUCK = 5
STUCK_AT_THE_END = 2  # one epoch is no evidence


@dataclass
class History:
    """Epochs so far, and why the outputs of each count as collapsed ('': they do not)."""

    task: Task
    params: Params
    lines: list[EpochLine] = field(default_factory=list)
    collapse_reasons: list[str] = field(default_factory=list)

    @property
    def best(self) -> EpochLine:
        """The epoch with the best score, the first of equals."""
        best = self.lines[0]
        for line in self.lines:
            if self.task.objective.better(line.score.value, best.score.value):
                best = line
        return best

    @property
    def kept(self) -> EpochLine:
        """The epoch that counts: the last one; with patience the best one."""
        return self.best if self.params.patience else self.lines[-1]

    @property
    def stuck(self) -> int:
        """For how many epochs, the last included, outputs have been collapsed and none was best.

        A young network may have one output for all inputs, too, but its score still improves.
        """
        since = self.best.epoch if self.lines else 0
        count = 0
        for line, reason in zip(reversed(self.lines), reversed(self.collapse_reasons), strict=True):
            if not reason or line.epoch <= since:
                break
            count += 1
        return count

    @property
    def out_of_patience(self) -> bool:
        """Whether as many epochs as patience allows have brought nothing better."""
        patience = self.params.patience
        return bool(patience and self.lines) and len(self.lines) - self.best.epoch >= patience

    @property
    def over(self) -> bool:
        """Whether another epoch is not worth it."""
        return self.out_of_patience or self.stuck >= STUCK

    def add(self, line: EpochLine, outputs: Outputs, model: Trainable) -> None:
        """Append an epoch, and whether a generator has collapsed in it."""
        reason = ""
        if isinstance(model, CanCollapse):
            reason = model.collapse_reason(outputs) or self._untrainable(line, model)
        self.collapse_reasons.append(reason)
        self.lines.append(line)

    def _untrainable(self, line: EpochLine, model: Trainable) -> str:
        """Whether the generator has no gradient left, and its outputs do not change."""
        networks = list(model.networks.values())
        unchanged = bool(self.lines) and _alike(self.lines[-1].score, line.score)
        if not (unchanged and networks and vanished_gradient(networks[0])):
            return ""
        won = ": the discriminator has won" if len(networks) > 1 else ""
        return f"no gradient reaches the generator{won}"

    def outcome(self) -> Outcome:
        """Collapsed where the outputs that count are, else completed; the score is theirs."""
        last, kept, stuck = len(self.lines), self.kept, self.stuck
        if stuck >= STUCK_AT_THE_END and self.collapse_reasons[kept.epoch - 1]:
            reason = (
                f"{self.collapse_reasons[-1]}, in epochs {last - stuck + 1} to {last} without a "
                "better score"
            )
            return Outcome(OutcomeKind.COLLAPSED, reason, kept.score)
        reason = ""
        if self.over and last < self.params.epochs:
            why = "" if self.out_of_patience else f"collapsed from epoch {last - stuck + 1} on, "
            reason = f"stopped after epoch {last}: {why}none better since {kept.epoch}"
        return Outcome(OutcomeKind.COMPLETED, reason, kept.score)


def _alike(a: Score, b: Score) -> bool:
    """Whether two scores are equal, part by part, but for rounding."""
    x, y = {"": a.value, **a.parts}, {"": b.value, **b.parts}
    return x.keys() == y.keys() and all(math.isclose(x[k], y[k], rel_tol=1e-6) for k in x)
