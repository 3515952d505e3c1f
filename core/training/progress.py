"""What a person sees while trials run: live bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

from core.task import Outcome, OutcomeKind, Score


@dataclass
class _Running:
    """A trial that runs now, and its bar."""

    number: int
    epochs: int
    bar: TaskID | None = None


@dataclass
class Progress:
    """Counts trials and shows them; `total` is the number of trials the study is to have.

    `deadline`: when it ends all the same, Unix time.
    Trials that run side by side have slots of their own.
    """

    total: int = 1
    maximize: bool = True
    deadline: float | None = None
    console: Console = field(default_factory=lambda: Console(stderr=True))
    ended: dict[int, OutcomeKind] = field(default_factory=dict)
    best: tuple[tuple[int, float], float, int] | None = None  # its key, score and number
    _began: float = field(default_factory=time.monotonic)
    _new: int = 0
    _said: set[str] = field(default_factory=set)
    _bars: Bars | None = None
    _running: dict[int, _Running] = field(default_factory=dict)

    def __enter__(self) -> Progress:
        self._began = time.monotonic()
        if self.console.is_terminal:
            text = TextColumn("{task.description}")
            self._bars = Bars(text, BarColumn(20), console=self.console, transient=True)
            self._bars.start()
            self._bars.add_task(self._summary(), total=self.total)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()
            self._bars = None

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self.console.print(escape(line), soft_wrap=True, highlight=False)

    def once(self, line: str) -> None:
        """Print a line that stays, unless it has been printed before."""
        if line not in self._said:
            self._said.add(line)
            self.say(line)

    def seen(self, outcome: Outcome, number: int) -> None:
        """Count a trial that has ended, now or in an earlier run."""
        self.ended[number] = outcome.kind
        if outcome.kind.scored and (score := outcome.score):
            key = len(score.broken), -score.value if self.maximize else score.value
            if self.best is None or key < self.best[0]:
                self.best = key, score.value, number
        self._show_summary()

    def started(self, number: int, epochs: int, slot: int = 0) -> None:
        """A trial begins."""
        text = f"trial {number} running: epoch 1/{epochs}"
        bar = self._bars.add_task(text, total=epochs) if self._bars else None
        self._running[slot] = _Running(number, epochs, bar)
        self.ended.pop(number, None)  # it goes on

    def step(self, epoch: int, step: int, items: int, seconds: float, slot: int = 0) -> None:
        """A training step of an epoch (from 1) is done; items and seconds of this epoch so far."""
        running = self._running[slot]
        if self._bars and running.bar is not None:
            rate = items / seconds if seconds > 0 else 0.0
            position = f"epoch {epoch}/{running.epochs}, step {step}, {rate:.3g} items/s"
            text = f"trial {running.number} running: {position}"
            self._bars.update(running.bar, description=text, completed=epoch - 1)

    def scored(self, epoch: int, score: Score, items_per_second: float, slot: int = 0) -> None:
        """An epoch is scored."""
        running = self._running[slot]
        parts = " ".join(f"{k} {v:.3g}" for k, v in score.parts.items())
        self.say(
            f"trial {running.number} epoch {epoch}/{running.epochs}: score {score.value:.3g} "
            f"({parts}) {items_per_second:.3g} items/s"
        )

    def finished(self, outcome: Outcome, slot: int = 0) -> None:
        """The trial has ended."""
        number, score = self._remove(slot), outcome.score
        self._new += 1
        self.seen(outcome, number if number is not None else -1)
        line = f"trial {number} {outcome.kind}"
        if score:
            line += f", score {score.value:.3g}"
            line += f", breaks {', '.join(score.broken)}" if score.broken else ""
        line += f": {outcome.reason}" if outcome.reason else ""
        self.say(f"{line} | {self._summary()}")

    def gone(self, slot: int) -> int | None:
        """The slot's process is gone; the number of the trial it was at, if any."""
        return self._remove(slot)

    def traceback(self) -> None:
        """Print the exception that is being handled: a bug, not a user's mistake."""
        self.say(traceback.format_exc().rstrip())

    def _remove(self, slot: int) -> int | None:
        running = self._running.pop(slot, None)
        if running and self._bars and running.bar is not None:
            self._bars.remove_task(running.bar)
        return running.number if running else None

    def _summary(self) -> str:
        done = len(self.ended)
        pruned = list(self.ended.values()).count(OutcomeKind.PRUNED)
        best = f"best {self.best[1]:.3g} (trial {self.best[2]})" if self.best else "no score yet"
        total = max(self.total, done)  # a budget of time may buy more than was expected
        left = total - done
        seconds = (time.monotonic() - self._began) / self._new * left if self._new else 0.0
        if self.deadline:
            seconds = max(0.0, self.deadline - time.time())
        time_left = f", about {_clock(seconds)} left" if seconds else ""
        return f"{done}/{total} done, {pruned} pruned, {best}{time_left}"

    def _show_summary(self) -> None:
        if self._bars:
            done = len(self.ended)
            self._bars.update(TaskID(0), description=self._summary(), completed=done)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
