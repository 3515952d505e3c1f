"""Trials whose process is gone: found, closed in Optuna, and queued again in their own folder.

On this machine (and wherever its `runs/` is shared) a trial is alive while its record is locked; on
other machines while its heartbeat is fresh. A trial that an interruption cut short is always
continued; one whose process was killed is continued at most `retries` times, since it may be what
kills the process.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from core.record import Record
from core.search.grid import GRID
from core.task import Outcome, OutcomeKind

if TYPE_CHECKING:
    from core.search.study import Search

KEPT, NUMBER, VALUES = "kept", "number", "values"
GONE = "its process was killed"


def number_of(trial: FrozenTrial | optuna.Trial) -> int:
    """Its number in the study, which it shares with the trials that it continues."""
    return int(trial.user_attrs[NUMBER])


def place(folder: Path) -> str:
    """Where a process keeps its records: only there does a lock tell that a trial is dead."""
    return f"{socket.gethostname()}:{folder.resolve()}"


@dataclass(frozen=True)
class Recovery:
    """What a search does about the dead; all but `queue_again` want its lock."""

    search: Search

    def fail_stale_trials(self, running: Sequence[FrozenTrial]) -> bool:
        """Close those whose process is gone, and queue them again; whether there were any."""
        stale = self._stale() if running else set()
        buried = False
        for frozen in running:
            # a process numbers its trial before it lets the lock go
            record = Record(self.search.workdir(frozen)) if NUMBER in frozen.user_attrs else None
            here = frozen.user_attrs.get("runs") == place(self.search.folder)
            near = here or frozen._trial_id in stale
            if record is None or (near and not record.is_running()):
                self._fail_stale(frozen, record)
                buried = True
        return buried

    def _stale(self) -> set[int]:
        study = self.search.study
        return set(self.search.storage._get_stale_trial_ids(study._study_id))

    def _fail_stale(self, frozen: FrozenTrial, record: Record | None) -> None:
        trial = optuna.Trial(self.search.study, frozen._trial_id)
        outcome = record.outcome() if record else None
        if outcome is None:
            killed = frozen.user_attrs.get("killed", 0) + 1
            trial.set_user_attr("killed", killed)
            outcome = Outcome(OutcomeKind.INTERRUPTED, GONE)
            if killed > self.search.retries:
                outcome = Outcome(OutcomeKind.FAILED, f"{GONE} {killed} times")
                if record:
                    record.end(outcome, record.seconds())
        self.search.close(trial, outcome, record)

    def queue_again(self, trial: optuna.Trial, outcome: Outcome) -> None:
        """Queue an interrupted trial with its values, unless it waits already."""
        number = trial.user_attrs.get(NUMBER)
        waiting = self.search.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        values = trial.user_attrs.get(VALUES) or self._known(trial)
        # a grid gives a point nobody knows to another trial
        nowhere = self.search.sampler == GRID and not values
        queued = number is not None and number in (w.user_attrs.get(NUMBER) for w in waiting)
        if not nowhere and not queued:
            again = {"killed": trial.user_attrs.get("killed", 0)}
            self.enqueue(values, again if number is None else {**again, NUMBER: number})
        trial.set_user_attr("continued", True)

    def _known(self, trial: optuna.Trial) -> dict[str, Any]:
        """The values of a trial killed before it could keep them, as far as the study has them."""
        study, space = self.search.study, self.search.space
        frozen = study._storage.get_trial(trial._trial_id)
        latents = {**frozen.system_attrs.get("fixed_params", {}), **frozen.params}
        if "grid_id" in frozen.system_attrs:
            grid = self.search.sampler_for(0)
            for d in space.dimensions:
                latents[d.key] = grid.sample_independent(study, frozen, d.key, d.distribution)
        return {**space.values(latents), **frozen.user_attrs.get(KEPT, {})}

    def enqueue(self, values: Mapping[str, Any], attributes: dict[str, Any]) -> None:
        """Queue values; those that the space cannot give back stay as they are, for the trial."""
        latents, kept = self.search.space.latents(values)
        self.search.study.enqueue_trial(latents, {**attributes, KEPT: kept})
