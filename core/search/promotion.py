"""Which trials of a study go on to their next rung; see `core.search.rungs`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from core.record import Record
from core.search.attributes import (
    BROKEN,
    FOLDER,
    NUMBER,
    SEARCHED,
    UNTIL,
    VALUES,
    folder_of,
    latest,
)
from core.search.recovery import Recovery
from core.search.rungs import Contender, Rungs

ACTIVE = (TrialState.RUNNING, TrialState.WAITING)


def contenders(trials: Iterable[FrozenTrial]) -> dict[int, Contender]:
    """The search's trials by number, each with the scores that all of its rungs reported."""
    every = [t for t in trials if NUMBER in t.user_attrs]
    scores: dict[int, dict[int, float]] = {}
    for trial in every:
        scores.setdefault(trial.user_attrs[NUMBER], {}).update(trial.intermediate_values)
    found = {}
    for trial in latest(every):
        number, state = trial.user_attrs[NUMBER], trial.state
        over = state not in (*ACTIVE, TrialState.PRUNED)
        broken = float(trial.user_attrs.get(BROKEN, 0.0))
        found[number] = Contender(number, scores[number], broken, state in ACTIVE, over)
    return found


@dataclass(frozen=True)
class Promotion:
    """Enqueues the trial that goes on next. Call it with the study's lock."""

    rungs: Rungs
    study: optuna.Study
    recovery: Recovery

    def enqueue(self, taken: int, anywhere: bool = False) -> str | None:
        """Enqueue the best trial that may go on now: its folder; None where there is none.

        `taken` are the trials begun so far. A trial goes on where its checkpoint is, unless that
        is `anywhere`; only when nothing else is left, and nobody is at work, is one begun again
        whose checkpoint is away.
        With a budget of time none goes on to a rung that it would not reach; when there is no
        more time for a whole trial, the next best ones go on as long as time allows.
        """
        trials = self.study.get_trials(deepcopy=False)
        if any(t.state is TrialState.WAITING for t in trials):
            return None  # they come first
        known = contenders(trials)
        frozen = {t.user_attrs[NUMBER]: t for t in latest(trials) if NUMBER in t.user_attrs}
        maximize = self.study.direction is StudyDirection.MAXIMIZE
        config, budget = self.recovery.config, self.recovery.config.budget
        full = taken >= config.trials and (budget is None or budget.limited)
        pace, left = 0.0, 0.0
        if budget:
            pace, left = budget.pace([self._record(t) for t in frozen.values()]), budget.left
            full = full or pace * self.rungs.levels[-1] > left

        def ready_to_go(spare: bool) -> list[Contender]:
            found = self.rungs.promotion(list(known.values()), full, maximize, spare)
            return [c for c in found if pace * self._epochs_to_go(c) <= left]

        ready = ready_to_go(False)
        if not ready and budget and full and not budget.limited:
            ready = ready_to_go(True)
        here = [c for c in ready if anywhere or self._checkpoint(frozen[c.number]).is_file()]
        idle = full and not any(c.active for c in known.values())
        if not (chosen := here or (ready if idle else [])):
            return None
        trial, contender = frozen[chosen[0].number], chosen[0]
        kept = {k: v for k, v in trial.user_attrs.items() if k in (NUMBER, FOLDER, SEARCHED)}
        until = max(contender.scores) + self._epochs_to_go(contender)
        self.recovery.enqueue(trial.user_attrs[VALUES], {**kept, UNTIL: until})
        return folder_of(trial)

    def _epochs_to_go(self, contender: Contender) -> int:
        """The epochs to its next rung."""
        reached = max(contender.scores)
        return self.rungs.after(contender.number, reached) - reached

    def _checkpoint(self, trial: FrozenTrial) -> Path:
        return self._record(trial).checkpoint

    def _record(self, trial: FrozenTrial) -> Record:
        return Record(self.recovery.config.folder / folder_of(trial))
