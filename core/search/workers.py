"""The processes of this machine at work on one study: started, watched and stopped together.

Each worker opens the study by itself and takes trials until no share is left. It reports through a
pipe of its own, so a killed worker leaves nothing locked. A worker that dies is replaced, and the
next worker that asks for a trial continues the one it was at.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from core.device import Share, limit_threads, shares, workers_for
from core.params import load_task
from core.search.attributes import NUMBER, VALUES
from core.search.config import GRID, QUEUE, SearchConfig
from core.search.patience import PATIENCE
from core.search.processes import signals_blocked, start_context
from core.search.setup import refuse_other_data
from core.search.study import OptunaTrial, Search, open_search
from core.task import Outcome, Params, Score, Task, UserError
from core.training.progress import Progress
from core.training.run import run_trial
from core.training.signals import SIGNALS, Interrupted, interruptible, undisturbed

STILLBORN = 3
EVERY = 0.25  # seconds between two messages about the steps of an epoch


def task_of(config: SearchConfig) -> Task:
    """The task of a search, scored by its holdout evaluator where the search says so."""
    task = load_task(config.task)
    return task.with_holdout_evaluator() if config.holdout else task


def run_search(
    search: Search, params: Params, left: int, progress: Progress, memory: int = 0
) -> None:
    """Run the trials that are `left`, several at once where the machine can.

    `memory` is what a trial was measured to take of a GPU, in bytes; 0: it was not.
    """
    config = search.config
    count = config.workers or workers_for(params, memory)
    if not (config.budget and not config.budget.limited):  # those at a rung may go on
        count = min(count, config.trials if search.rungs else left)
    if count > 1 or config.budget:  # a trial in this process would outlast the time
        pool = WorkerPool(config, shares(count), progress)
        try:
            pool.run()
        finally:
            pool.stop()
    run_trials(search, progress)


def run_trials(search: Search, progress: Progress, took: Callable[[], None] | None = None) -> None:
    """Run trials here until none is left; a worker tells its parent of each that it `took`.

    UserError where the storage, and no signal, ended a trial.
    """
    config = search.config
    try:
        for trial in search.trials(progress.once, worker=took is not None):
            if took:
                took()
            if (twin := same_point(search, trial)) is not None:
                what = f"trial {trial.number} has the same values as trial {twin}"
                progress.once(f"{what}; it is trained all the same")
            run_trial(search.task, trial, progress, config.runs, compute=config.compute)
    except Interrupted:
        if search.storage.fault:
            raise search.storage.fault from None
        raise


def same_point(search: Search, trial: OptunaTrial) -> int | None:
    """The number of another trial with a new trial's values; None in a grid or a queue, too."""
    if search.config.sampler in (GRID, QUEUE) or trial.known:
        return None
    points = {t.user_attrs.get(NUMBER): t.user_attrs.get(VALUES) for t in search.taken()}
    point = points.pop(trial.number, None)
    return next((number for number, other in points.items() if other and other == point), None)


@dataclass
class _Worker:
    slot: int
    process: BaseProcess
    pipe: Connection
    took_a_trial: bool = False
    error: str = ""


class WorkerPool:
    """The workers of one search, one for each share of the machine."""

    def __init__(self, config: SearchConfig, shares: Sequence[Share], progress: Progress) -> None:
        self.config = config
        self.shares = shares
        self.progress = progress
        self.workers: list[_Worker] = []
        self.stillborn = 0

    def run(self) -> None:
        """Start the workers, and replace those that die, until nothing is to do or time is over."""
        for slot in range(len(self.shares)):
            self._start(slot)
        while self.workers:
            if self.config.budget and self.config.budget.left <= 0:
                return
            for worker in self._ready():
                with undisturbed():  # a message read by half would spoil the next one
                    self._receive(worker)
                if not worker.process.is_alive():
                    self._ended(worker)

    def stop(self) -> None:
        """Ask the workers to interrupt their trials, and wait for them."""
        for worker in self.workers:
            worker.process.terminate()
        while self.workers:
            for worker in self._ready():
                self._receive(worker)
                if not worker.process.is_alive():
                    self.workers.remove(worker)

    def _start(self, slot: int) -> None:
        context = start_context()
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(
            target=work, args=(self.config, self.shares[slot], sender), name=f"worker {slot}"
        )
        with signals_blocked():
            process.start()
        sender.close()
        self.workers.append(_Worker(slot, process, receiver))

    def _ready(self) -> list[_Worker]:
        budget = self.config.budget
        left = max(0.0, budget.left) if budget else None
        pipes, ends = zip(*((w.pipe, w.process.sentinel) for w in self.workers), strict=True)
        ready = wait([*pipes, *ends], left or None)
        found = [w for w in self.workers if w.pipe in ready or w.process.sentinel in ready]
        for worker in found:
            if worker.process.sentinel in ready:
                worker.process.join()
        return found

    def _receive(self, worker: _Worker) -> None:
        """Show what a worker has sent so far."""
        while True:
            try:
                if not worker.pipe.poll():
                    return
                kind, *content = worker.pipe.recv()
            except (EOFError, OSError):  # closed, or cut off in the middle of a message
                worker.process.join()
                return
            if kind == "took":
                worker.took_a_trial = True
            elif kind == "error":
                worker.error = content[0]
            elif kind in ("say", "once"):
                getattr(self.progress, kind)(*content)
            else:  # started, step, scored, finished
                getattr(self.progress, kind)(*content, slot=worker.slot)

    def _ended(self, worker: _Worker) -> None:
        """Raise a worker's error; replace a worker that died."""
        self.workers.remove(worker)
        status = worker.process.exitcode
        if worker.error:
            raise UserError(worker.error)
        if status == 0:
            return
        number = self.progress.gone(worker.slot)
        how = f"killed by {signal.Signals(-status).name}" if status and status < 0 else "lost"
        at = "" if number is None else f" at trial {number}; another one continues it"
        self.progress.say(f"worker {worker.slot}: {how}{at}")
        self.stillborn = 0 if worker.took_a_trial else self.stillborn + 1
        if self.stillborn >= STILLBORN:
            raise UserError(
                f"{STILLBORN} workers in a row died before they began a trial (the last one "
                f"{how}, exit status {status}); is there memory enough? try --workers 1"
            )
        self._start(worker.slot)


def work(config: SearchConfig, share: Share, pipe: Connection) -> None:
    """Take trials until none is left. Ctrl-C is left to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if share.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = share.gpu
    limit_threads(share.threads)
    progress = PipedProgress(pipe)
    try:
        with interruptible((signal.SIGTERM,)):
            if hasattr(signal, "pthread_sigmask"):
                signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            task = task_of(config)
            search = open_search(config, task, PATIENCE)
            refuse_other_data(config, task)
            run_trials(search, progress, partial(progress.send, "took"))
    except UserError as error:
        progress.send("error", str(error))
    except OSError as error:
        progress.send("error", f"{error.filename or 'disk'}: {error.strerror or error}")
    except Interrupted as error:
        signal.signal(error.signum, signal.SIG_DFL)
        os.kill(os.getpid(), error.signum)


class PipedProgress(Progress):
    """Progress that is sent to the parent process, which shows it; see `WorkerPool._receive`."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self._pipe = pipe
        self._last = 0.0

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
        try:
            self._pipe.send(message)
        except OSError:
            signal.raise_signal(signal.SIGTERM)
