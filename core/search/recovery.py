"""Trials whose process has died: found, failed in Optuna, and enqueued again in their own folder.

On this machine (and wherever its `runs/` is shared) a trial runs while its record is locked; on
other machines while its heartbeat is fresh. An interrupted trial is always continued; one whose
process was killed at most `retries` times, since the trial may be what kills the process.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from core.record import Record
from core.search.attributes import (
    CONTINUED,
    FOLDER,
    KEPT,
    NUMBER,
    SEARCHED,
    UNTIL,
    VALUES,
    folder_of,
)
from core.search.config import GRID, QUEUE, SearchConfig
from core.search.samplers import Grid
from core.search.space import Space
from core.search.storage import Storage
from core.task import Outcome, OutcomeKind

KILLED = "its process was killed"
Close = Callable[[optuna.Trial, Outcome, Record | None], None]


def location(folder: Path) -> str:
    """The machine and folder of a study's records: only there do locks tell what runs."""
    return f"{socket.gethostname()}:{folder.resolve()}"


@dataclass(frozen=True)
class Recovery:
    """Enqueues trials, and continues those whose process died. Call it with the study's lock."""

    config: SearchConfig
    study: optuna.Study
    storage: Storage
    space: Space

    def enqueue(self, values: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        """Enqueue values; those that the space cannot give back are kept with the trial."""
        latents, kept = self.space.latents(values)
        if self.config.sampler == QUEUE:
            kept = dict(values)
        self.study.enqueue_trial(latents, {**attributes, KEPT: kept})

    def fail_stale_trials(self, running: Sequence[FrozenTrial], close: Close) -> bool:
        """Close the trials whose process is gone, and enqueue them again; whether any were."""
        stale = self.storage._get_stale_trial_ids(self.study._study_id) if running else []
        found = False
        for frozen in running:
            # a process numbers its trial before it releases the study's lock
            numbered = NUMBER in frozen.user_attrs and "runs" in frozen.user_attrs
            record = Record(self.config.folder / folder_of(frozen)) if numbered else None
            here = frozen.user_attrs.get("runs") == location(self.config.folder)
            if record is None or ((here or frozen._trial_id in stale) and not record.is_running()):
                with suppress(UpdateFinishedTrialError):  # it has ended since it was read
                    self._fail(frozen, record, close)
                found = True
        return found

    def _fail(self, frozen: FrozenTrial, record: Record | None, close: Close) -> None:
        trial = optuna.Trial(self.study, frozen._trial_id)
        outcome = record.outcome() if record else None
        if outcome is None:
            killed = frozen.user_attrs.get("killed", 0) + 1
            trial.set_user_attr("killed", killed)
            outcome = Outcome(OutcomeKind.INTERRUPTED, KILLED)
            if killed > self.config.retries:
                outcome = Outcome(OutcomeKind.FAILED, f"{KILLED} {killed} times")
                if record:
                    record.end(outcome, record.seconds())
        close(trial, outcome, record)

    def requeue(self, trial: optuna.Trial) -> None:
        """Enqueue an interrupted trial with its values, unless it waits already."""
        number = trial.user_attrs.get(NUMBER)
        waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        values = trial.user_attrs.get(VALUES) or self._known_values(trial)
        # a grid gives a point that nobody knows to another trial
        unknown = self.config.sampler == GRID and not values
        queued = number is not None and number in (w.user_attrs.get(NUMBER) for w in waiting)
        if not unknown and not queued:
            kept = (NUMBER, FOLDER, SEARCHED, UNTIL, "killed")
            self.enqueue(values, {k: v for k, v in trial.user_attrs.items() if k in kept})
        trial.set_user_attr(CONTINUED, True)

    def _known_values(self, trial: optuna.Trial) -> dict[str, Any]:
        """The values of a trial killed before it could keep them, as far as the study has them."""
        frozen = self.study._storage.get_trial(trial._trial_id)
        latents = {**frozen.system_attrs.get("fixed_params", {}), **frozen.params}
        if "grid_id" in frozen.system_attrs:
            grid = Grid(self.space, self.config.seed)
            for d in self.space.dimensions:
                latents[d.key] = grid.sample_independent(self.study, frozen, d.key, d.distribution)
        return {**self.space.values(latents), **frozen.user_attrs.get(KEPT, {})}
