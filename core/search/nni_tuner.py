"""Optuna proposes inside NNI: `nnictl`, its web portal and its training services, Optuna's search.

The tuner of an NNI config:

    tuner:
      codeDirectory: .
      className: core.search.nni_tuner.OptunaTuner
      classArgs: {sampler: tpe, seed: 0}

The task is the one whose `python -m trials.TASK` the experiment's trialCommand runs; where that is
not how it is run, `task: TASK` in classArgs says which.

Trial 0 is the published baseline, and the rest is what `gantune tune --workers 1` proposes with the
same seed. The study lies in the experiment's `checkpoint` folder, so that `nnictl resume` goes on
with it.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nni.tuner import Tuner

from core.params import load_task, task_summaries
from core.search import nni_manager
from core.task import Task, UserError

if TYPE_CHECKING:
    from core.search.nni_study import NniStudy
    from core.search.space import Space

# NNI waits 10 s for its tuner: Optuna and the task are imported once it is there.
SAMPLERS = ("tpe", "random", "gp", "cmaes", "qmc")

_logger = logging.getLogger("nni.tuner.optuna")


class OptunaTuner(Tuner):  # type: ignore[misc]  # NNI has no types
    """NNI's side of an Optuna search of a task of trials/, by sampler's name and seed."""

    def __init__(self, task: str = "", sampler: str = "tpe", seed: int = 0) -> None:
        """UserError for what there is not."""
        super().__init__()
        if task and task not in task_summaries():
            raise UserError(f"task: no task {task!r}; there are: {', '.join(task_summaries())}")
        if sampler not in SAMPLERS:
            raise UserError(f"sampler: no sampler {sampler!r}; there are: {', '.join(SAMPLERS)}")
        if type(seed) is not int or seed < 0:
            raise UserError(f"seed: {seed!r} is refused; it takes a whole number from 0")
        self._named, self._sampler, self._seed = task, sampler, seed
        self._study: NniStudy | None = None
        self._lock = threading.RLock()  # NNI tells of trials' ends in a thread of their own

    @property
    def study(self) -> NniStudy:
        """The study; there is one once NNI has told the search space."""
        assert self._study, "NNI tells the search space first"
        return self._study

    def update_search_space(self, search_space: Any) -> None:
        """Search this space from now on, with all that is known of its points."""
        with self._lock, _fatal():
            before = self._study or self._latest()
            try:
                space = self._space(search_space)
            except UserError as error:
                if self._study is None:
                    raise
                _logger.error("the search goes on in the space it has: %s", error)
                return
            if before and before.search.space.source == space.source:
                self._study = before
                return
            first = before.first + len(before.search.own()) if before else 0
            self._study = self._open(space, first)
            if before:
                self._study.learn(before.search)
            self._study.search.baseline_first()

    def generate_parameters(self, parameter_id: int, **_: Any) -> dict[str, Any]:
        """The next point, in NNI's form, with its number in the study."""
        with self._lock, _fatal():
            self.study.catch_up()
            return self.study.propose(parameter_id)

    def receive_trial_result(
        self, parameter_id: int, parameters: Any, value: Any, **_: Any
    ) -> None:
        """Tell the study a final metric: a number to maximize, or an object with one, `default`."""
        with self._lock, _undying():
            self.study.hear(parameters, value, self.study.known(), parameter_id)

    def trial_end(self, parameter_id: int, success: bool, **_: Any) -> None:
        """Note that a trial has ended; its final metric may yet be on its way."""
        with self._lock:
            self.study.over.add(parameter_id)

    def import_data(self, data: Any) -> None:
        """Learn from finished trials: those NNI replays when it resumes, and a user's import."""
        import nni

        with self._lock, _undying():
            known = self.study.known()
            for entry in nni.load(data) if isinstance(data, str) else data:
                with _undying():
                    told = nni.load(entry) if isinstance(entry, str) else entry
                    self.study.hear(told["parameter"], told["value"], known)

    @cached_property
    def _task(self) -> Task:
        """The task named in classArgs, else that of the experiment's trialCommand."""
        if self._named:
            return load_task(self._named)
        command = nni_manager.trial_command()
        words = shlex.split(command)
        names = [word.removeprefix("trials.") for word in words if word.startswith("trials.")]
        if not names:
            raise UserError(
                f"trialCommand {command!r} does not run `python -m trials.TASK`: say which task it "
                "is by `task: TASK` in the tuner's classArgs"
            )
        return load_task(names[0])

    @cached_property
    def _folder(self) -> Path:
        return Path(self.get_checkpoint_path() or tempfile.mkdtemp(prefix="gantune-nni-"))

    def _space(self, source: Any) -> Space:
        from core.search.space import Space

        return Space.parse(source, self._task.params, "NNI's search space")

    def _latest(self) -> NniStudy | None:
        """The study that the experiment came to before it was stopped."""
        import optuna

        from core.search.storage import default_storage, open_storage

        storage = default_storage(self._folder)
        firsts = [int(name) for name in optuna.get_all_study_names(open_storage(storage))]
        if not firsts:
            return None
        old = optuna.load_study(study_name=str(max(firsts)), storage=storage)
        return self._open(self._space(old.user_attrs["setup"]["space"]), max(firsts))

    def _open(self, space: Space, first: int) -> NniStudy:
        """The study, named by the number of its first trial."""
        from core.search.config import open_search
        from core.search.nni_study import NniStudy
        from core.search.storage import default_storage

        search = open_search(
            self._folder,
            str(first),
            default_storage(self._folder),
            self._task,
            space,
            fixed={},
            sampler=self._sampler,
            pruner="none",
            seed=self._seed,
        )
        return NniStudy(search, self._folder.parent.name, first)


@contextmanager
def _undying() -> Iterator[None]:
    """Log what goes wrong: NNI's dispatcher would die of it, its experiment's status RUNNING."""
    try:
        yield
    except Exception:
        _logger.exception("left aside: what NNI told")


@contextmanager
def _fatal() -> Iterator[None]:
    """End NNI's dispatcher when it cannot go on: then the experiment's status is ERROR."""
    try:
        yield
    except Exception as error:
        if os.environ.get("SDK_PROCESS") != "dispatcher":
            raise
        _logger.error("%s", error, exc_info=not isinstance(error, UserError))
        print(f"error: {error}", file=sys.stderr)
        logging.shutdown()
        os._exit(1)
