"""The processes of this machine at work on one study: started, watched and stopped together.

Each worker opens the study by itself and takes trials until no share is left. It reports through a
pipe of its own, so a killed worker leaves nothing locked. A worker that dies is replaced, and the
next worker that asks for a trial continues the one it was at.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from core.device import Share, shares, workers_for
from core.search.config import SearchConfig
from core.search.worker import work
from core.task import Params, UserError
from core.training.progress import Progress
from core.training.run import run_trial
from core.training.signals import undisturbed

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from core.search.study import Search

STILLBORN = 3


def run_search(search: Search, params: Params, left: int, progress: Progress) -> None:
    """Run the trials that are `left`, several at once where the machine can.

    Raises Interrupted once all workers have stopped, and UserError for a mistake of the user's.
    """
    config = search.config
    if (count := min(config.workers or workers_for(params), left)) > 1:
        run_workers(config, count, progress)
    for trial in search.trials(progress.once):
        run_trial(search.task, trial, progress, config.runs)


def run_workers(config: SearchConfig, count: int, progress: Progress) -> None:
    """Work on the study with `count` processes until no share is left.

    Raises Interrupted once all have stopped, and UserError for a mistake that one of them met.
    """
    pool = WorkerPool(config, shares(count), progress)
    try:
        pool.run()
    finally:
        pool.stop()


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
        """Start the workers, and replace those that die, until all have found nothing to do."""
        for slot in range(len(self.shares)):
            self._start(slot)
        while self.workers:
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
        context = get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(
            target=work, args=(self.config, self.shares[slot], sender), name=f"worker {slot}"
        )
        with _sigint_blocked():
            process.start()
        sender.close()
        self.workers.append(_Worker(slot, process, receiver))

    def _ready(self) -> list[_Worker]:
        ready = wait([w.pipe for w in self.workers] + [w.process.sentinel for w in self.workers])
        found = [w for w in self.workers if w.pipe in ready or w.process.sentinel in ready]
        for worker in found:
            if worker.process.sentinel in ready:
                worker.process.join()
        return found

    def _receive(self, worker: _Worker) -> None:
        """Show what a worker has sent so far."""
        show: dict[str, Callable[..., None]] = {
            "started": self.progress.started,
            "step": self.progress.step,
            "scored": self.progress.scored,
            "finished": self.progress.finished,
        }
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
            elif kind == "say":
                self.progress.say(*content)
            elif kind == "once":
                self.progress.once(*content)
            else:
                show[kind](*content, slot=worker.slot)

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


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Start a process with SIGINT blocked: Ctrl-C in a terminal is sent to all processes."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
