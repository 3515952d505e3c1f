"""One process at work on a study that others work on too; its parent hears of all it does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from core.device import Share
from core.params import load_task
from core.task import Objective, Outcome, Score, Task, Trial, UserError
from core.training.progress import Progress
from core.training.run import run_trial
from core.training.signals import Interrupted, interruptible

if TYPE_CHECKING:
    from core.search.study import Search

EVERY = 0.25  # seconds between two messages of how far an epoch is


class Work(Protocol):
    """What workers are given: plain values, sent to each, that say which trials there are."""

    @property
    def runs(self) -> Path:
        """Where records and evaluators are kept."""

    def with_threads(self, threads: int) -> Work:
        """The same for a worker with so many CPU threads."""

    def open(self) -> tuple[Task, Callable[[Callable[[str], None]], Iterator[Trial]]]:
        """The task, and what yields the trials that this process is to run."""


@dataclass(frozen=True)
class Job:
    """What a worker needs to open the study by itself; plain values, so that it can be sent."""

    task: str
    runs: Path
    study: str
    storage: str
    space: dict[str, Any]
    fixed: Mapping[str, str]
    sampler: str
    pruner: str
    seed: int
    retries: int
    heartbeat: int
    artifacts: str
    objectives: tuple[Objective, ...]
    total: int

    @classmethod
    def of(cls, search: Search, total: int) -> Job:
        """The same search for another process."""
        return cls(
            task=search.task.name,
            runs=search.folder.parent,
            study=search.folder.name,
            storage=search.storage.url,
            space=search.space.source,
            fixed=search.fixed,
            sampler=search.sampler,
            pruner=search.pruner,
            seed=search.seed,
            retries=search.retries,
            heartbeat=search.storage.heartbeat,
            artifacts=search.artifacts,
            objectives=search.objectives,
            total=total,
        )

    def with_threads(self, threads: int) -> Job:
        """The same for a worker with so many threads, unless the search names its own."""
        return replace(self, fixed={"threads": str(threads), **self.fixed})

    def open(self) -> tuple[Task, Callable[[Callable[[str], None]], Iterator[Trial]]]:
        """The study as a search of this process: its task, and what yields its trials."""
        from core.search.config import open_search
        from core.search.space import Space
        from core.search.storage import PATIENCE

        task = load_task(self.task)
        space = Space.parse(self.space, task.params, "the search space")
        search = open_search(
            self.runs,
            self.study,
            self.storage,
            task,
            space,
            self.fixed,
            sampler=self.sampler,
            pruner=self.pruner,
            seed=self.seed,
            retries=self.retries,
            heartbeat=self.heartbeat,
            patience=PATIENCE,
            artifacts=self.artifacts,
            objectives=self.objectives,
        )
        return task, partial(search.trials, self.total)


@dataclass
class Told(Progress):
    """Progress that is told to another process, which shows it."""

    pipe: Connection | None = None
    _last: float = field(default=0.0)

    def say(self, line: str) -> None:
        """Send a line that stays."""
        self.send("say", line)

    def once(self, line: str) -> None:
        """Send a line that stays, unless some worker has said it before."""
        self.send("once", line)

    def started(self, number: int, epochs: int, slot: int = 0) -> None:
        """Send that a trial begins."""
        self.send("started", number, epochs)

    def step(self, epoch: int, step: int, images: int, seconds: float, slot: int = 0) -> None:
        """Send how far the epoch is, now and then."""
        if time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            self.send("step", epoch, step, images, seconds)

    def scored(self, epoch: int, score: Score, items_per_second: float, slot: int = 0) -> None:
        """Send an epoch's score."""
        self.send("scored", epoch, score, items_per_second)

    def finished(self, outcome: Outcome, slot: int = 0) -> None:
        """Send how the trial has ended."""
        self.send("finished", outcome)

    def send(self, *message: Any) -> None:
        """Send what is not progress too."""
        assert self.pipe is not None
        try:
            self.pipe.send(message)
        except OSError:  # whoever started this worker is gone
            signal.raise_signal(signal.SIGTERM)


def work(job: Work, share: Share, pipe: Connection) -> None:
    """A worker: takes trials until none is left. Ctrl-C is its parent's to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if share.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = share.gpu
    told = Told(pipe=pipe)
    try:
        with interruptible((signal.SIGTERM,)):
            task, trials = job.with_threads(share.threads).open()
            for trial in trials(told.once):
                told.send("took")
                run_trial(task, trial, told, job.runs)
    except UserError as error:
        told.send("mistake", str(error))
    except OSError as error:
        told.send("mistake", f"{error.filename or 'disk'}: {error.strerror or error}")
    except Interrupted as error:
        signal.signal(error.signum, signal.SIG_DFL)
        os.kill(os.getpid(), error.signum)
