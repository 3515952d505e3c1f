"""Several processes of this machine at work on one study: started, watched and stopped together.

Each worker opens the study by itself and takes trials until no share is left; what it has to tell
comes through a pipe of its own, so that a killed one leaves nothing locked behind. A worker that
dies is replaced, and whoever asks for a trial next continues the one it was at.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from core.device import Share, shares
from core.search.worker import Work, work
from core.task import UserError
from core.training.progress import Progress
from core.training.signals import undisturbed

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

STILLBORN = 3


@dataclass
class _Worker:
    slot: int
    process: BaseProcess
    pipe: Connection
    took_a_trial: bool = False
    mistake: str = ""


def run_workers(job: Work, count: int, progress: Progress) -> None:
    """Work on the study with `count` processes until no share is left.

    Raises Interrupted once all have stopped, and UserError for a mistake that one of them met.
    """
    pool = WorkerPool(job, shares(count), progress)
    try:
        pool.work()
    finally:
        pool.stop()


class WorkerPool:
    """The workers there are, one a share of the machine."""

    def __init__(self, job: Work, shares: Sequence[Share], progress: Progress) -> None:
        self.job = job
        self.shares = shares
        self.progress = progress
        self.workers: list[_Worker] = []
        self.stillborn = 0

    def work(self) -> None:
        """Start them, and replace those that die, until all have found nothing left to do."""
        for slot in range(len(self.shares)):
            self._start(slot)
        while self.workers:
            for worker in self._ready():
                with undisturbed():  # half a message read would be the end of the next one
                    self._hear(worker)
                if not worker.process.is_alive():
                    self._ended(worker)

    def stop(self) -> None:
        """Ask those still at work to end their trials in good order, and wait for them."""
        for worker in self.workers:
            worker.process.terminate()
        while self.workers:
            for worker in self._ready():
                self._hear(worker)
                if not worker.process.is_alive():
                    self.workers.remove(worker)

    def _start(self, slot: int) -> None:
        context = get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=work, args=(self.job, self.shares[slot], theirs), name=f"worker {slot}"
        )
        with _deaf_to_ctrl_c():
            process.start()
        theirs.close()
        self.workers.append(_Worker(slot, process, ours))

    def _ready(self) -> list[_Worker]:
        ready = wait([w.pipe for w in self.workers] + [w.process.sentinel for w in self.workers])
        found = [w for w in self.workers if w.pipe in ready or w.process.sentinel in ready]
        for worker in found:
            if worker.process.sentinel in ready:
                worker.process.join()
        return found

    def _hear(self, worker: _Worker) -> None:
        """Show what a worker has told so far."""
        tell: dict[str, Callable[..., None]] = {
            "say": self.progress.say,
            "once": self.progress.once,
            "started": self.progress.started,
            "step": self.progress.step,
            "scored": self.progress.scored,
            "finished": self.progress.finished,
        }
        while True:
            try:
                if not worker.pipe.poll():
                    return
                what, *how = worker.pipe.recv()
            except (EOFError, OSError):  # closed, or cut off in the middle of a message
                worker.process.join()
                return
            if what == "took":
                worker.took_a_trial = True
            elif what == "mistake":
                worker.mistake = how[0]
            elif what in ("say", "once"):
                tell[what](*how)
            else:
                tell[what](*how, slot=worker.slot)

    def _ended(self, worker: _Worker) -> None:
        """Raise a worker's mistake; replace one that died."""
        self.workers.remove(worker)
        status = worker.process.exitcode
        if worker.mistake:
            raise UserError(worker.mistake)
        if status == 0:
            return
        number = self.progress.gone(worker.slot)
        told = f"killed by {signal.Signals(-status).name}" if status and status < 0 else "lost"
        at = "" if number is None else f" at trial {number}; another one continues it"
        self.progress.say(f"worker {worker.slot}: {told}{at}")
        self.stillborn = 0 if worker.took_a_trial else self.stillborn + 1
        if self.stillborn >= STILLBORN:
            raise UserError(
                f"{STILLBORN} workers in a row died before they began a trial (the last one "
                f"{told}, exit status {status}); is there memory enough? try --workers 1"
            )
        self._start(worker.slot)


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """A process started within is born with SIGINT blocked: Ctrl-C in a terminal is for all."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
