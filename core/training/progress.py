"""What a person sees while trials run: a live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from core.task import Outcome, OutcomeKind, Score


@dataclass
class _Running:
    """A trial that runs now."""

    number: int
    epochs: int
    epoch: int = 0
    step: int = 0
    rate: float = 0.0

    def __str__(self) -> str:
        return (
            f"trial {self.number} running: epoch {self.epoch}/{self.epochs}, step {self.step}, "
            f"{self.rate:.3g} images/s"
        )


@dataclass
class Progress:
    """Counts trials and tells of them; `total` is the number of trials the study is to have."""

    total: int = 1
    maximize: bool = True
    console: Console = field(default_factory=lambda: Console(stderr=True))
    ended: dict[OutcomeKind, int] = field(default_factory=dict)
    best: tuple[float, int] | None = None
    _began: float = field(default_factory=time.monotonic)
    _new: int = 0
    _said: set[str] = field(default_factory=set)
    _live: Live | None = None
    _running: dict[int, _Running] = field(default_factory=dict)

    def __enter__(self) -> Progress:
        self._began = time.monotonic()
        if self.console.is_terminal:
            self._live = Live(console=self.console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def say(self, line: str) -> None:
        """A line that stays."""
        self.console.print(escape(line), soft_wrap=True, highlight=False)

    def once(self, line: str) -> None:
        """A line that stays, unless it has been said before."""
        if line not in self._said:
            self._said.add(line)
            self.say(line)

    def seen(self, outcome: OutcomeKind, value: float | None, number: int) -> None:
        """Count a trial that has ended, now or in an earlier run."""
        self.ended[outcome] = self.ended.get(outcome, 0) + 1
        if value is None or not outcome.scored:
            return
        if self.best is None or ((value > self.best[0]) == self.maximize and value != self.best[0]):
            self.best = (value, number)

    def started(self, number: int, epochs: int, slot: int = 0) -> None:
        """A trial begins; trials that run side by side have slots of their own."""
        self._running[slot] = _Running(number, epochs)

    def step(self, epoch: int, step: int, images: int, seconds: float, slot: int = 0) -> None:
        """A training step of an epoch (from 1) is done; images and seconds of this epoch so far."""
        running = self._running[slot]
        running.epoch, running.step = epoch, step
        running.rate = images / seconds if seconds > 0 else 0.0
        self._show()

    def scored(self, epoch: int, score: Score, items_per_second: float, slot: int = 0) -> None:
        """An epoch is scored."""
        running = self._running[slot]
        parts = " ".join(f"{k} {v:.3g}" for k, v in score.parts.items())
        self.say(
            f"trial {running.number} epoch {epoch}/{running.epochs}: score {score.value:.3f} "
            f"({parts}) {items_per_second:.3g} images/s"
        )

    def finished(self, outcome: Outcome, slot: int = 0) -> None:
        """The trial has ended."""
        number = self._running.pop(slot).number
        value = outcome.score.value if outcome.score else None
        self._new += 1
        self.seen(outcome.kind, value, number)
        line = f"trial {number} {outcome.kind}"
        line += f", score {value:.3f}" if value is not None else ""
        line += f": {outcome.reason}" if outcome.reason else ""
        self.say(f"{line} | {self._standing()}")

    def gone(self, slot: int) -> int | None:
        """The slot's process is gone; the number of the trial it was at, if any."""
        running = self._running.pop(slot, None)
        return running.number if running else None

    def traceback(self) -> None:
        """Print the exception that is being handled: a bug, not a user's mistake."""
        self.say(traceback.format_exc().rstrip())

    def _standing(self) -> str:
        done = sum(self.ended.values())
        pruned = self.ended.get(OutcomeKind.PRUNED, 0)
        best = f"best {self.best[0]:.3f} (trial {self.best[1]})" if self.best else "no score yet"
        left = self.total - done
        spent = time.monotonic() - self._began
        time_left = f", about {_clock(spent / self._new * left)} left" if self._new and left else ""
        return f"{done}/{self.total} done, {pruned} pruned, {best}{time_left}"

    def _show(self) -> None:
        if self._live:
            lines = [str(running) for _, running in sorted(self._running.items())]
            self._live.update(Text("\n".join([*lines, self._standing()])))


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
