"""Does bf16, or compilation, change what a search concludes?

    python -m benchmarks.conclusions [--seeds 4] [--epochs 2]   writes benchmarks/conclusions.md

The published baseline and one other configuration are trained in fp32, in bf16 and in bf16
compiled, with the same seeds, on the embedded sample with small networks, and scored once at the
end. What precision changes is to be small beside what a seed changes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from benchmarks.table import origin, save, table
from core.device import configure_torch, seed_everything
from core.params import load_task, validate_params
from core.training.loop import _epoch
from core.training.progress import Progress

TASK = load_task("cyclegan")
SMALL = {"size": 64, "width": 16, "blocks": 1, "batch_size": 4, "threads": 1}
OTHER = {"lambda_cycle": 2.0, "lambda_identity": 0.0, "lr_g": 5e-4}
PRECISIONS = {
    "fp32": {"precision": "fp32", "compile": "off"},
    "bf16": {"precision": "bf16", "compile": "off"},
    "bf16, compiled": {"precision": "bf16", "compile": "on"},
}
HEAD = ["precision", "baseline", "other", "baseline, less fp32's", "other, less fp32's"]
HEAD += ["baseline less other", "seeds with the baseline ahead"]


class Trials:
    """Trials of one device, data set and evaluator."""

    def __init__(self, device: str, epochs: int, runs: Path) -> None:
        self.fixed: dict[str, Any] = {**SMALL, "device": device, "epochs": epochs}
        params = validate_params(TASK.params, self.fixed)
        self.data, self.evaluator = TASK.load(params), TASK.evaluator(params)
        self.evaluator.prepare(self.data, runs, print)

    def score(self, **values: Any) -> float:
        """Train from the start to the last epoch; the score at the end."""
        params = validate_params(TASK.params, {**self.fixed, **values})
        device = configure_torch(params)
        seed_everything(params.seed)
        model = TASK.build(params, self.data, device)
        with Progress(console=Console(quiet=True)) as progress:
            progress.started(0, params.epochs)
            for epoch in range(1, params.epochs + 1):
                _epoch(model, epoch, progress)
        return self.evaluator(model.outputs()).value


def rows(scores: Mapping[str, Sequence[tuple[float, float]]]) -> Iterator[list[str]]:
    """A row for each precision, of its scores (baseline, other) by seed; the first is fp32."""
    reference = next(iter(scores.values()))
    for name, pairs in scores.items():
        columns = [[pair[k] for pair in pairs] for k in (0, 1)]
        changes = [
            [pair[k] - first[k] for pair, first in zip(pairs, reference, strict=True)]
            for k in (0, 1)
        ]
        leads = [baseline - other for baseline, other in pairs]
        ahead = f"{sum(lead > 0 for lead in leads)} of {len(leads)}"
        cells = [_spread(values, "") for values in columns]
        cells += ["-" if pairs is reference else _spread(values, "+") for values in changes]
        yield [name, *cells, _spread(leads, "+"), ahead]


def _spread(values: Sequence[float], sign: str) -> str:
    return f"{mean(values):{sign}.4f} ({stdev(values):.4f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4, help="two or more")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    scores: dict[str, list[tuple[float, float]]] = {name: [] for name in PRECISIONS}
    source, started = origin("torch"), time.monotonic()
    with TemporaryDirectory() as folder:
        trials = Trials(arguments.device, arguments.epochs, Path(folder))
        for seed in range(arguments.seeds):
            for name, how in PRECISIONS.items():
                pair = [trials.score(seed=seed, **how, **more) for more in ({}, OTHER)]
                scores[name].append((pair[0], pair[1]))
                print(
                    f"{time.monotonic() - started:.0f} s: seed {seed}, {name}: {pair}", flush=True
                )
    small = ", ".join(f"{k} {v}" for k, v in SMALL.items())
    other = ", ".join(f"{k} {v}" for k, v in OTHER.items())
    source += f"; {small}, epochs {arguments.epochs}; {arguments.seeds} seeds"
    save(__file__, f"{source}; other: {other}", table(HEAD, rows(scores)))


if __name__ == "__main__":
    main()
