"""Time as a search's budget: what it buys before it begins, and when it is over."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from core.record import Record
from core.search.rungs import FIRST, Rungs
from core.task import UserError

TIME = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")
REPORT = 4.0  # seconds kept for the report, and for workers to end
LOSS = 1.25  # of the epochs: trials that end unevenly, and promotions that ranks undo later
RECENT = 6  # trials


def seconds_of(text: str) -> float:
    """`45m`, `1h30m`, `90s` or `90` in seconds; ValueError for anything else, and for none."""
    found = TIME.fullmatch(text.strip())
    numbers = [int(number or 0) for number in found.groups()] if found else [0]
    if not any(numbers):
        raise ValueError(text)
    return float(sum(n * unit for n, unit in zip(numbers, (86400, 3600, 60, 1), strict=True)))


seconds_of.__name__ = "time, as in 45m or 1h30m,"


def clock(seconds: float) -> str:
    """90 as `1m30s`, 5400 as `1h30m`."""
    total = round(seconds)
    if total < 60:
        return f"{seconds:.2g}s" if seconds < 10 else f"{total}s"
    if total < 3600:
        return f"{total // 60}m{total % 60:02}s" if total % 60 else f"{total // 60}m"
    return f"{total // 3600}h{total % 3600 // 60:02}m"


@dataclass(frozen=True)
class Budget:
    """Until when a search goes on (Unix time), and how long an epoch was measured to take.

    `limited`: it ends with its number of trials, too, though time is left.
    """

    deadline: float
    epoch: float
    limited: bool = False

    @property
    def left(self) -> float:
        """The seconds left; below 0 when it is over."""
        return self.deadline - time.time()

    def pace(self, records: Sequence[Record]) -> float:
        """Seconds of an epoch beside the other workers: as recorded lately, else as measured."""
        seconds = [line.seconds for record in records[-RECENT:] for line in record.epochs()]
        return fmean(seconds) if seconds else self.epoch


def affordable(epochs: float, most: int, pruner: str, workers: int = 1) -> tuple[int, str]:
    """The length of a trial, `most` at most, for which a whole tournament fits, and the pruner.

    `workers` together train so many epochs. Where they are too few for any tournament, a trial is
    what a worker trains alone, and none is stopped. UserError for fewer than 3 epochs.
    """
    for length in range(most, 0, -1):
        if cost_of(length, pruner, workers) * LOSS <= epochs:
            return length, pruner
    if epochs >= FIRST * workers * LOSS:
        return min(most, int(epochs / (workers * LOSS))), "none"
    raise UserError(
        f"--timeout: buys {epochs:.1f} epochs, and the first scores that say something take "
        f"{FIRST * workers * LOSS:.0f}; give it more time, or make an epoch cheaper by smaller "
        "networks or images"
    )


def cost_of(epochs: int, pruner: str, workers: int = 1) -> float:
    """The epochs of the smallest search that is one: from a full first rung to one whole trial.

    Without rungs, that is eight whole trials. Infinite where there is no rung. Those for which
    `workers` wait count, since the longest trial has no other beside it.
    """
    try:
        rungs = Rungs.of(pruner, epochs)
    except UserError:
        return float("inf")
    if rungs is None:
        return -(-8.0 // workers) * workers * epochs if epochs >= FIRST else float("inf")
    return float(rungs.cost(rungs.eta ** (len(rungs.levels) - 1), workers))


def bought(epochs: float, length: int, pruner: str) -> int:
    """How many trials of this length so many epochs buy; one at least."""
    rungs, trials = Rungs.of(pruner, length), 1
    while (rungs.cost(trials + 1) if rungs else length * (trials + 1)) * LOSS <= epochs:
        trials += 1
    return trials
