"""Optuna proposes inside NNI: `nnictl`, its web portal and its training services, Optuna's search.

The tuner of an NNI config:

    tuner:
      codeDirectory: .
      className: core.engines.nni_tuner.OptunaTuner
      classArgs: {task: cyclegan, sampler: tpe, seed: 0}

Trial 0 is the published baseline, and the rest is what `gantune tune --workers 1` proposes with the
same seed. The study lies in the experiment's `checkpoint` folder, so that `nnictl resume` goes on
with it. NNI counts parameter ids anew when it resumes, so a trial is known by its values too.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nni
import optuna
from nni.tuner import Tuner
from optuna.trial import FrozenTrial, TrialState, create_trial

from core.catalog import load_task, task_summaries
from core.engines import nni_manager, points
from core.engines.nni import PRUNED_AFTER, ending_of
from core.engines.optuna import Search
from core.engines.recovery import NUMBER
from core.engines.samplers import SAMPLERS
from core.engines.storage import default_storage
from core.engines.study import open_search
from core.space import Space, flatten
from core.task import Ending, Outcome, UserError

PARAMETER = "nni_parameter_id"

_logger = logging.getLogger("nni.tuner.optuna")


class OptunaTuner(Tuner):  # type: ignore[misc]  # NNI has no types
    """NNI's side of an Optuna search of a task of trials/, by sampler's name and seed."""

    def __init__(self, task: str, sampler: str = "tpe", seed: int = 0) -> None:
        """UserError for what there is not; the task is imported later: NNI waits 10 s for us."""
        super().__init__()
        if task not in task_summaries():
            raise UserError(f"task: no task {task!r}; there are {', '.join(task_summaries())}")
        if sampler not in SAMPLERS:
            raise UserError(f"sampler: no sampler {sampler!r}; there are {', '.join(SAMPLERS)}")
        if type(seed) is not int or seed < 0:
            raise UserError(f"seed: {seed!r} is refused; it takes a whole number from 0")
        self._task, self._sampler, self._seed = task, sampler, seed
        self._search: Search | None = None
        self._asked: dict[int, optuna.Trial] = {}
        self._over: set[int] = set()
        self._lock = threading.RLock()  # NNI tells of trials' ends in a thread of their own

    @property
    def search(self) -> Search:
        """The search; there is one once NNI has told the search space."""
        assert self._search, "NNI tells the search space first"
        return self._search

    def update_search_space(self, search_space: Any) -> None:
        """Search this space from now on, with all that is known of its points."""
        with self._lock:
            before = self._search
            try:
                self._search = self._open(search_space)
            except UserError as error:
                if before is None:
                    raise
                _logger.error("the search goes on in the space it has: %s", error)
                return
            self.search.baseline_first()
            if before and before is not self._search:
                self._asked.clear()
                there = points.known(self.search)
                for old in before.own(TrialState.COMPLETE, TrialState.PRUNED):
                    values = points.values_of(old)
                    if points.key(values) not in there:
                        points.add(self.search, values, old)

    def generate_parameters(self, parameter_id: int, **_: Any) -> dict[str, Any]:
        """The next point, as NNI writes points: a nested choice is an object with its `_name`."""
        with self._lock:
            self._catch_up()
            taken = self.search.own(*(s for s in TrialState if s is not TrialState.WAITING))
            trial = self.search.ask(taken)
            trial.set_user_attr(NUMBER, trial.user_attrs.get(NUMBER, len(taken)))
            trial.set_user_attr(PARAMETER, parameter_id)
            self._asked[parameter_id] = trial
            self._over.discard(parameter_id)
            return self.search.space.nested(self.search.draw(trial))

    def receive_trial_result(
        self, parameter_id: int, parameters: Any, value: Any, **_: Any
    ) -> None:
        """Tell the study a final metric: a number to maximize, or an object with one, `default`."""
        with self._lock, _undying():
            if trial := self._asked.get(parameter_id):
                frozen = self.search.study._storage.get_trial(trial._trial_id)
                self._hear(frozen, points.values_of(frozen), value)
            else:  # asked for before the search space was changed
                values = flatten(parameters)
                self._hear(points.known(self.search).get(points.key(values)), values, value)

    def trial_end(self, parameter_id: int, success: bool, **_: Any) -> None:
        """Note that a trial has ended; its final metric may yet be on its way."""
        with self._lock:
            self._over.add(parameter_id)

    def import_data(self, data: Any) -> None:
        """Learn from finished trials: those NNI replays when it resumes, and a user's import."""
        with self._lock, _undying():
            there = points.known(self.search)
            for entry in nni.load(data) if isinstance(data, str) else data:
                with _undying():
                    told = nni.load(entry) if isinstance(entry, str) else entry
                    values = flatten(told["parameter"])
                    frozen = there.get(points.key(values))
                    if frozen is None or frozen.state in (TrialState.RUNNING, TrialState.FAIL):
                        self._hear(frozen, values, told["value"])

    def _open(self, search_space: Any) -> Search:
        task = load_task(self._task)
        space = Space.parse(search_space, task.params, "NNI's search space")
        text = json.dumps(space.source, sort_keys=True)
        name = f"{task.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        if self._search and self._search.study.study_name == name:
            return self._search
        if (folder := self.get_checkpoint_path()) is None:
            folder = tempfile.mkdtemp(prefix="gantune-nni-")
            _logger.warning("NNI names no folder for the study: %s, which no resume finds", folder)
        how = (self._sampler, "none", self._seed)
        here = Path(folder)
        return open_search(here, name, default_storage(here), task, space, {}, *how)

    def _hear(self, frozen: FrozenTrial | None, values: dict[str, Any], metric: Any) -> None:
        """Take in the final metric of a trial, or of a point that no trial of the study tries."""
        ending = ending_of(metric, self.search.task.objective)
        if frozen and not frozen.state.is_finished():
            self._close(frozen, ending)
            return
        late = frozen is None or frozen.state is TrialState.FAIL
        if late and ending.outcome is Outcome.COMPLETED and ending.score:
            facts = {"outcome": "completed", "reason": "", "parts": dict(ending.score.parts)}
            if points.add(
                self.search, values, create_trial(value=ending.score.value, user_attrs=facts)
            ):
                return
        _logger.warning("left aside: the metric %r of %s", metric, values)

    def _catch_up(self) -> None:
        """Close trials that ended without a metric; queue those NNI was stopped before it began."""
        running = self.search.own(TrialState.RUNNING)
        jobs = nni_manager.jobs() if running else None
        started = {(job.parameter, points.key(job.values)): job for job in jobs or ()}
        here = {trial._trial_id: parameter for parameter, trial in self._asked.items()}
        for frozen in running:
            parameter = here.get(frozen._trial_id)
            which = (frozen.user_attrs.get(PARAMETER), points.key(points.values_of(frozen)))
            if job := started.get(which):
                self._end(frozen, job)
            elif jobs is None and parameter is not None and parameter in self._over:
                self._close(frozen, Ending(Outcome.FAILED, "it ended without a final metric"))
            elif jobs is not None and parameter is None:
                self._close(frozen, Ending(Outcome.INTERRUPTED, "NNI was stopped before it began"))

    def _end(self, frozen: FrozenTrial, job: nni_manager.Job) -> None:
        """Close a trial if NNI saw it end; one that was stopped teaches what it had come to."""
        objective = self.search.task.objective
        if job.status not in nni_manager.ENDED:
            return
        if job.final is not None:
            self._close(frozen, ending_of(job.final, objective))
            return
        told = nni_manager.intermediates(job) if job.status in nni_manager.STOPPED else {}
        endings = {epoch: ending_of(metric, objective) for epoch, metric in told.items()}
        scores = {epoch: ending.score for epoch, ending in endings.items() if ending.score}
        if not scores:
            self._close(frozen, Ending(Outcome.FAILED, f"NNI says {job.status}"))
            return
        reason = f"NNI stopped it after epoch {max(scores)} ({job.status})"
        steps = {epoch: score.value for epoch, score in scores.items()}
        self._close(frozen, Ending(Outcome.PRUNED, reason, scores[max(scores)]), steps)

    def _close(
        self, frozen: FrozenTrial, ending: Ending, steps: Mapping[int, float] | None = None
    ) -> None:
        trial = optuna.Trial(self.search.study, frozen._trial_id)
        if ending.outcome is Outcome.PRUNED and ending.score and not steps:
            steps = {int(ending.score.parts[PRUNED_AFTER]): ending.score.value}
        for epoch, value in (steps or {}).items():
            trial.report(value, epoch)
        self.search.close(trial, ending, None)


@contextmanager
def _undying() -> Iterator[None]:
    """Log what goes wrong: NNI's dispatcher would die of it, its experiment's status RUNNING."""
    try:
        yield
    except Exception:
        _logger.exception("left aside: what NNI told")
