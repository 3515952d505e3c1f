"""What a person sees while trials run: a live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from core.task import Ending, Outcome, Score


@dataclass
class Progress:
    """Counts trials and tells of them; `total` is the number of trials the study is to have."""

    total: int = 1
    maximize: bool = True
    console: Console = field(default_factory=lambda: Console(stderr=True))
    ended: dict[Outcome, int] = field(default_factory=dict)
    best: tuple[float, int] | None = None
    _began: float = field(default_factory=time.monotonic)
    _new: int = 0
    _said: set[str] = field(default_factory=set)
    _live: Live | None = None
    _trial: tuple[int, int] = (0, 1)
    _epoch: tuple[int, int, int, float] = (0, 0, 1, 0.0)

    def __enter__(self) -> Progress:
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

    def seen(self, outcome: Outcome, value: float | None, number: int) -> None:
        """Count a trial that has ended, now or in an earlier run."""
        self.ended[outcome] = self.ended.get(outcome, 0) + 1
        if value is None or not outcome.scored:
            return
        if self.best is None or ((value > self.best[0]) == self.maximize and value != self.best[0]):
            self.best = (value, number)

    def started(self, number: int, epochs: int) -> None:
        """A trial begins."""
        self._trial = (number, epochs)
        self._epoch = (0, 0, 1, 0.0)

    def step(self, epoch: int, step: int, images: int, seconds: float) -> None:
        """A training step of an epoch (from 1) is done; images and seconds of this epoch so far."""
        self._epoch = (epoch, step, images, seconds)
        if self._live:
            self._live.update(Text(self._status()))

    def scored(self, epoch: int, score: Score, images_per_second: float) -> None:
        """An epoch is scored."""
        number, epochs = self._trial
        parts = " ".join(f"{k} {v:.3g}" for k, v in score.parts.items())
        self.say(
            f"trial {number} epoch {epoch}/{epochs}: score {score.value:.3f} ({parts}) "
            f"{images_per_second:.3g} images/s"
        )

    def finished(self, ending: Ending) -> None:
        """The trial has ended."""
        number, _ = self._trial
        value = ending.score.value if ending.score else None
        self._new += 1
        self.seen(ending.outcome, value, number)
        line = f"trial {number} {ending.outcome}"
        line += f", score {value:.3f}" if value is not None else ""
        line += f": {ending.reason}" if ending.reason else ""
        self.say(f"{line} | {self._standing()}")

    def _standing(self) -> str:
        done = sum(self.ended.values())
        pruned = self.ended.get(Outcome.PRUNED, 0)
        best = f"best {self.best[0]:.3f} (trial {self.best[1]})" if self.best else "no score yet"
        left = self.total - done
        spent = time.monotonic() - self._began
        time_left = f", about {_clock(spent / self._new * left)} left" if self._new and left else ""
        return f"{done}/{self.total} done, {pruned} pruned, {best}{time_left}"

    def _status(self) -> str:
        number, epochs = self._trial
        epoch, step, images, seconds = self._epoch
        rate = images / seconds if seconds > 0 else 0.0
        return (
            f"trial {number} running: epoch {epoch}/{epochs}, step {step}, {rate:.3g} images/s "
            f"| {self._standing()}"
        )


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
