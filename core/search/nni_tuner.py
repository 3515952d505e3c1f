"""Optuna's samplers inside NNI: with `nnictl`, its web portal and its training services.

The tuner of an NNI config:

    tuner:
      codeDirectory: .
      className: core.search.nni_tuner.OptunaTuner
      classArgs: {sampler: tpe, seed: 0}

With `pruner: asha` in classArgs, trials stop at rungs and the best of them go on: each rung is a
trial of NNI's, which continues in the folder of the first one where that is on its disk.

The task is the one whose `python -m trials.TASK` the experiment's trialCommand runs; where that is
not how it is run, `task: TASK` in classArgs says which.

Trial 0 is the published baseline, and the rest is what `gantune tune --workers 1` proposes with the
same seed. The study lies in the experiment's `checkpoint` folder, so that `nnictl resume` goes on
with it.
"""

from __future__ import annotations

import argparse
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
from core.search.config import SAMPLERS, SearchConfig
from core.search.rungs import KINDS
from core.search.space import Space
from core.task import Task, UserError

if TYPE_CHECKING:
    from core.search.nni_study import NniStudy

ENDLESS = 10**9  # NNI decides how many trials there are

_logger = logging.getLogger("nni.tuner.optuna")


class OptunaTuner(Tuner):  # type: ignore[misc]  # NNI has no types
    """NNI's tuner that asks an Optuna study of a task of trials/.

    NNI waits 10 s for its tuner, so Optuna and the task are imported later.
    """

    def __init__(
        self, task: str = "", sampler: str = "tpe", seed: int = 0, pruner: str = "none"
    ) -> None:
        """Raise UserError for an unknown task, sampler or pruner, and for a bad seed."""
        super().__init__()
        if task and task not in task_summaries():
            raise UserError(f"task: no task {task!r}; there are: {', '.join(task_summaries())}")
        if sampler not in SAMPLERS:
            raise UserError(f"sampler: no sampler {sampler!r}; there are: {', '.join(SAMPLERS)}")
        if pruner != "none" and pruner.partition(":")[0] not in KINDS:
            raise UserError(f"pruner: no pruner {pruner!r}; there are: none, {', '.join(KINDS)}")
        if type(seed) is not int or seed < 0:
            raise UserError(f"seed: {seed!r} is refused; it takes a whole number from 0")
        self._named, self._how = task, {"sampler": sampler, "seed": seed, "pruner": pruner}
        self._study: NniStudy | None = None
        self._lock = threading.RLock()  # NNI reports the end of trials in another thread

    @property
    def study(self) -> NniStudy:
        """The study; NNI sends the search space before it asks for anything."""
        assert self._study, "NNI sends the search space first"
        return self._study

    def update_search_space(self, search_space: Any) -> None:
        """Search this space from now on, with all that is known of its points."""
        with self._lock, _fail_loudly():
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
        with self._lock, _fail_loudly():
            self.study.catch_up()
            return self.study.propose(parameter_id)

    def receive_trial_result(
        self, parameter_id: int, parameters: Any, value: Any, **_: Any
    ) -> None:
        """Take in a final metric: a number to maximize, or an object with one, `default`."""
        with self._lock, _survive():
            self.study.receive(parameters, value, self.study.known(), parameter_id)

    def trial_end(self, parameter_id: int, success: bool, **_: Any) -> None:
        """Note that a trial has ended; its final metric may yet be on its way."""
        with self._lock:
            self.study.over.add(parameter_id)

    def import_data(self, data: Any) -> None:
        """Learn from finished trials: those NNI replays when it resumes, and a user's import."""
        import nni

        with self._lock, _survive():
            known = self.study.known()
            for entry in nni.load(data) if isinstance(data, str) else data:
                with _survive():
                    trial = nni.load(entry) if isinstance(entry, str) else entry
                    self.study.receive(trial["parameter"], trial["value"], known)

    @cached_property
    def _words(self) -> list[str]:
        """The words of the experiment's trialCommand."""
        return shlex.split(nni_manager.trial_command())

    @cached_property
    def _task(self) -> Task:
        """The task named in classArgs, else that of the experiment's trialCommand."""
        if self._named:
            return load_task(self._named)
        command, words = nni_manager.trial_command(), self._words
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
        return Space.parse(source, self._task.params, "NNI's search space")

    def _latest(self) -> NniStudy | None:
        """The study that the experiment came to before it was stopped."""
        import optuna

        from core.search.storage import default_storage, open_storage

        studies = optuna.get_all_study_summaries(open_storage(default_storage(self._folder)))
        if not studies:
            return None
        latest = max(studies, key=lambda study: int(study.study_name))
        space = self._space(latest.user_attrs["setup"]["space"])
        return self._open(space, int(latest.study_name))

    def _open(self, space: Space, first: int) -> NniStudy:
        """The study, named by the number of its first trial."""
        from core.search.nni_study import NniStudy
        from core.search.study import open_search

        how: dict[str, Any] = {"space": space.source, "trials": ENDLESS, **self._how}
        if how["pruner"] != "none":  # trials' own flag says how many epochs they have
            flags = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
            flags.add_argument("--epochs")
            epochs = flags.parse_known_args(self._words)[0].epochs
            how["fixed"] = {"epochs": epochs} if epochs else {}
        config = SearchConfig(self._task.name, self._folder, str(first), **how)
        return NniStudy(open_search(config, self._task), self._folder.parent.name, first)


@contextmanager
def _survive() -> Iterator[None]:
    """Log what goes wrong: NNI's dispatcher would die of it, its experiment's status RUNNING."""
    try:
        yield
    except Exception:
        _logger.exception("left aside: a message of NNI's")


@contextmanager
def _fail_loudly() -> Iterator[None]:
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
