"""A worker process: it takes trials of a study until none is left, and reports to its parent."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from core.device import Share
from core.params import load_task
from core.search.config import SearchConfig
from core.task import Outcome, Score, Task, UserError
from core.training.progress import Progress
from core.training.run import run_trial
from core.training.signals import Interrupted, interruptible

EVERY = 0.25  # seconds between two messages about the steps of an epoch


def task_of(config: SearchConfig) -> Task:
    """The task of a search, scored by its holdout evaluator where the search says so."""
    task = load_task(config.task)
    return task.with_holdout_evaluator() if config.holdout else task


@dataclass
class PipedProgress(Progress):
    """Progress that is sent to the parent process, which shows it."""

    pipe: Connection | None = None
    _last: float = field(default=0.0)

    def say(self, line: str) -> None:
        """Send a line that stays."""
        self.send("say", line)

    def once(self, line: str) -> None:
        """Send a line that stays, unless some worker has sent it before."""
        self.send("once", line)

    def started(self, number: int, epochs: int, slot: int = 0) -> None:
        """Send that a trial begins."""
        self.send("started", number, epochs)

    def step(self, epoch: int, step: int, items: int, seconds: float, slot: int = 0) -> None:
        """Send the position in the epoch, now and then."""
        if time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            self.send("step", epoch, step, items, seconds)

    def scored(self, epoch: int, score: Score, items_per_second: float, slot: int = 0) -> None:
        """Send an epoch's score."""
        self.send("scored", epoch, score, items_per_second)

    def finished(self, outcome: Outcome, slot: int = 0) -> None:
        """Send how the trial has ended."""
        self.send("finished", outcome)

    def send(self, *message: Any) -> None:
        """Send a message; the worker ends where its parent has died."""
        assert self.pipe is not None
        try:
            self.pipe.send(message)
        except OSError:
            signal.raise_signal(signal.SIGTERM)


def work(config: SearchConfig, share: Share, pipe: Connection) -> None:
    """Take trials until none is left. Ctrl-C is left to the parent."""
    from core.search.storage import PATIENCE
    from core.search.study import open_search

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if share.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = share.gpu
    progress = PipedProgress(pipe=pipe)
    try:
        with interruptible((signal.SIGTERM,)):
            task = task_of(config)
            search = open_search(config.with_threads(share.threads), task, PATIENCE)
            for trial in search.trials(progress.once, worker=True):
                progress.send("took")
                run_trial(task, trial, progress, config.runs)
    except UserError as error:
        progress.send("error", str(error))
    except OSError as error:
        progress.send("error", f"{error.filename or 'disk'}: {error.strerror or error}")
    except Interrupted as error:
        signal.signal(error.signum, signal.SIG_DFL)
        os.kill(os.getpid(), error.signum)
