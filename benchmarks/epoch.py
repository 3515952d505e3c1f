"""What an epoch spends its time on, and whether trials in one process leave memory behind.

    python -m benchmarks.epoch [--data DIR] [--device cuda]     writes benchmarks/epoch.md

Trials run as the product runs them, with a stopwatch around the parts of the loop. The wide one
takes a few steps an epoch, and its epoch is computed from them. The first epoch of each trial is
left out. On a GPU the stopwatch waits for each step, which the loop does not.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import wraps
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
from rich.console import Console

from benchmarks.table import origin, save, table
from core.params import load_task, validate_params
from core.training import loop
from core.training.divergence import LossSums
from core.training.progress import Progress
from core.training.run import run_trial
from core.training.standalone import StandaloneTrial
from evaluators.painting import PaintingEvaluator
from trials.cyclegan import CycleGAN

TASK = load_task("cyclegan")
SMALL = {"size": 64, "width": 16, "blocks": 1, "batch_size": 4, "epochs": 3}
WIDE = {"size": 64, "width": 64, "blocks": 9, "batch_size": 1, "epochs": 2}
TINY = {"size": 32, "width": 4, "blocks": 1, "batch_size": 16, "epochs": 1}
DATA = "wait for the next batch"
PARTS = {
    "step": (CycleGAN, "step"),
    DATA: (CycleGAN, "batches"),
    "add and check the losses": (LossSums, "add"),
    "progress": (Progress, "step"),
    "translate the held-out images": (CycleGAN, "outputs"),
    "evaluator": (PaintingEvaluator, "__call__"),
    "pictures, record, checkpoint": (loop, "_keep"),
}
EACH_STEP = list(PARTS)[:4]
MARKS = (1, 10, 25, 50)


class Stopwatch:
    """The seconds of each call of each part, of a training with at most `limit` steps an epoch."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.epochs: list[float] = []  # when each began
        self.ended = 0.0

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        @wraps(function)
        def timed(*args: Any, **more: Any) -> Any:
            started = time.perf_counter()
            result = function(*args, **more)
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
            self.ended = time.perf_counter()
            self.seconds[part].append(self.ended - started)
            return result

        return timed

    def batches(self, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """The function, each of whose batches is timed."""

        @wraps(function)
        def watched(model: CycleGAN) -> Iterator[Any]:
            self.epochs.append(time.perf_counter())
            following = self.around(DATA, function(model).__next__)
            for _ in islice(count(), self.limit):
                try:
                    batch = following()
                except StopIteration:
                    return
                yield batch

        return watched

    def each(self) -> dict[str, float]:
        """Mean seconds of a call of each part, and of the rest of an epoch; the first left out."""
        epochs = len(self.epochs)
        kept = {part: times[len(times) // epochs :] for part, times in self.seconds.items()}
        spent = sum(map(sum, kept.values()))
        rest = (self.ended - self.epochs[1] - spent) / (epochs - 1)
        return {**{part: sum(kept[part]) / len(kept[part]) for part in PARTS}, "the rest": rest}


def watch(runs: Path, limit: int | None, **values: Any) -> tuple[dict[str, float], int]:
    """Train one trial; mean seconds of each part, and the steps of a whole epoch."""
    params = validate_params(TASK.params, values)
    data: Any = TASK.load(params)
    watch, most = Stopwatch(limit), max(len(data.domain(name).train) for name in "AB")
    with ExitStack() as stack:
        for part, (owner, name) in PARTS.items():
            function = getattr(owner, name)
            timed = watch.batches(function) if part == DATA else watch.around(part, function)
            stack.enter_context(patch.object(owner, name, timed))
        progress = stack.enter_context(Progress(console=Console(quiet=True)))
        trial = StandaloneTrial(params, "epoch", runs / "epoch" / f"width {values['width']}")
        run_trial(TASK, trial, progress, runs)
    return watch.each(), -(-most // values["batch_size"])


def columns(each: dict[str, float], steps: int) -> list[tuple[str, str]]:
    """Milliseconds of each part and its share of an epoch of so many steps; then the epoch's."""
    spent = {part: each[part] * (steps if part in EACH_STEP else 1) for part in each}
    whole = sum(spent.values())
    cells = [(f"{1e3 * each[part]:.2f}", f"{spent[part] / whole:.1%}") for part in each]
    return [*cells, (f"{1e3 * whole:.0f}", "")]


def memory(runs: Path, device: str, trials: int) -> Iterator[list[str]]:
    """The process's memory, in MB, after some trials that it runs one after another."""
    with Progress(console=Console(quiet=True)) as progress:
        for number in range(1, trials + 1):
            params = validate_params(TASK.params, {**TINY, "device": device, "seed": number})
            trial = StandaloneTrial(params, "memory", runs / "memory" / str(number), number)
            outcome = run_trial(TASK, trial, progress, runs)
            if number in MARKS or number == trials:
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
                cells = [f"{peak:.0f}", f"{pages * os.sysconf('SC_PAGE_SIZE') / 2**20:.0f}"]
                card = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else None
                cells += ["-" if card is None else f"{card:.0f}"]
                print(f"trial {number}, {outcome.kind}:", *cells, flush=True)
                yield [str(number), *cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="sample")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=10, help="of an epoch of the wide trial")
    parser.add_argument("--trials", type=int, default=MARKS[-1], help="whose memory is watched")
    arguments = parser.parse_args()
    source, where = origin("torch"), {"device": arguments.device, "data": arguments.data}
    with TemporaryDirectory() as folder:
        runs = Path(folder)
        kept = table(
            ["trials", "peak, MB", "now, MB", "GPU's peak, MB"],
            memory(runs, arguments.device, arguments.trials),
        )
        small = columns(*watch(runs, None, **SMALL, **where))
        wide = columns(*watch(runs, arguments.steps, **WIDE, **where))
    names = [*PARTS, "the rest", "an epoch"]
    rows = [[name, *a, *b] for name, a, b in zip(names, small, wide, strict=True)]
    head = ["part", "small, ms", "of the epoch", "wide, ms", "of the epoch"]
    save(__file__, f"{source}; on {torch.get_num_threads()} threads", table(head, rows), kept)


if __name__ == "__main__":
    main()
