"""What makes a small CycleGAN learn strokes in minutes: one change at a time, with common seeds.

    python -m benchmarks.knobs [--seeds 3] [--part 0 --parts 2]     an hour on two cores

The embedded sample at 64 pixels, `EPOCHS` epochs. `RECIPE` is what the recorded curves trained, in
the middle of their space; each row changes one thing, and the last one is the published CycleGAN
with networks of the same size. What lies under runs/knobs/ is done: parts share the training, each
on one core or all on one GPU. Whoever ends last times the steps of all settings, writes
benchmarks/knobs.md and saves benchmarks/knobs.png. A trial that did not complete has no score.
"""

from __future__ import annotations

import argparse
import math
import time
from itertools import islice
from pathlib import Path
from statistics import fmean, median
from typing import Any

from PIL import Image

from benchmarks.recorded import NETWORKS, TASK, holdout, trained
from benchmarks.table import origin, save, table
from core.device import configure_torch
from core.files import read_json, write_json
from core.params import validate_params
from core.record import Record
from core.task import OutcomeKind

FOLDER = Path("runs/knobs")
EPOCHS = 9
SMALL = {name: NETWORKS[name] for name in ("size", "width", "blocks", "threads", "precision")}
RATES = {"lr_g": 7e-4, "lr_d": 7e-4}
RECIPE = {**NETWORKS, **RATES, "grain": 0.1, "lambda_cycle": 8.0, "lambda_identity": 0.0}
PATCHES = {"discriminator": "patch", "d_layers": 2, "spectral_norm": True}
CHANGES: dict[str, dict[str, Any]] = {
    "crops of 32 pixels": {},
    "patch discriminators of 34 pixels, spectral norm, gain 10": {**PATCHES, "d_gain": 10.0},
    "the same, gain 1": PATCHES,
    "no grain": {"grain": 0.0},
    "grain 0.2": {"grain": 0.2},
    "transposed convolutions": {"upsample": "transposed"},
    "instance norm": {"norm": "instance"},
    "instance norm, no skips": {"norm": "instance", "skip": "none"},
    "whole images instead of crops": {"crop": 0},
    "batch 1": {"batch_size": 1},
    "batch 4": {"batch_size": 4},
    "identity 0.5": {"lambda_identity": 0.5},
    "cycle 3": {"lambda_cycle": 3.0},
    "cycle 20": {"lambda_cycle": 20.0},
    "rates 2e-4": {"lr_g": 2e-4, "lr_d": 2e-4},
    "rates 2e-3": {"lr_g": 2e-3, "lr_d": 2e-3},
    "no averaged weights": {"ema": 0.0},
}
SETTINGS: dict[str, dict[str, Any]] = {
    **{name: {**RECIPE, **change} for name, change in CHANGES.items()},
    "the published CycleGAN, as small": SMALL,
}
COLUMNS = ("score", "holdout", "style", "content")
SHOWN = 8  # pictures of a row
ROUNDS, STEPS = 6, 5  # of the timing


def run(number: int, seed: int) -> dict[str, Any]:
    """Train a setting, unless that is done; its scores and its record."""
    values = {**[*SETTINGS.values()][number], "seed": seed, "epochs": EPOCHS, "compile": "off"}
    record = Record(FOLDER / f"{number:02d}-{seed}")
    params = validate_params(TASK.params, values)
    if trained(params, record, FOLDER).kind is not OutcomeKind.COMPLETED:
        return {**dict.fromkeys(COLUMNS, math.nan), "record": record}
    known = read_json(record.folder / "holdout.json")
    if not known:
        known = {"holdout": holdout(record, params, FOLDER)}
        write_json(record.folder / "holdout.json", known)
    last = record.epochs()[-1].score
    return {**last.parts, **known, "score": last.value, "record": record}


def epochs_cost() -> list[float]:
    """What an epoch of each setting costs in training, as a multiple of the first one's.

    Settings take their steps in turn, so that a machine that slows down slows all of them; the
    median of the rounds.
    """
    models, times = [], []
    for values in SETTINGS.values():
        params = validate_params(TASK.params, {**values, "compile": "off"})
        device = configure_torch(params)
        models.append(TASK.build(params, TASK.load(params), device))
        times.append(list[float]())
    for _ in range(ROUNDS):
        for model, taken in zip(models, times, strict=True):
            batches = islice(model.batches(), STEPS)
            started = time.perf_counter()
            for batch in batches:
                model.step(batch)
            taken.append((time.perf_counter() - started) / STEPS * model.steps_per_epoch)
    return [median(taken[1:]) / median(times[0][1:]) for taken in times]


def sheet(rows: list[list[Record]]) -> Image.Image:
    """The first outputs of each setting's first seed, a setting a row."""
    size = int(SMALL["size"])
    found = Image.new("RGB", (size * SHOWN, size * len(rows)))
    for i, (first, *_) in enumerate(rows):
        if (file := first.pictures / "output.png").is_file():
            found.paste(Image.open(file), (0, i * size))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--part", type=int, default=0, help="which of the parts, from 0")
    parser.add_argument("--parts", type=int, default=1)
    arguments = parser.parse_args()
    todo = [(n, seed) for seed in range(arguments.seeds) for n in range(len(SETTINGS))]
    for number, seed in todo[arguments.part :: arguments.parts]:
        run(number, seed)
    if not all(Record(FOLDER / f"{n:02d}-{seed}").outcome() for n, seed in todo):
        return
    rows, records, costs = [], [], epochs_cost()
    for number, name in enumerate(SETTINGS):
        found = [run(number, seed) for seed in range(arguments.seeds)]
        means = [fmean(one[column] for one in found) for column in COLUMNS]
        scores = [one["score"] for one in found]
        spread = f"{min(scores):.3f} to {max(scores):.3f}"
        rows.append([name, f"{means[0]:.3f}", spread, *(f"{m:.3f}" for m in means[1:])])
        rows[-1].append(f"{costs[number]:.2f}")
        records.append([one["record"] for one in found])
    head = ["one change", "score", "of the seeds", *COLUMNS[1:], "cost of an epoch"]
    sheet(records).save(Path(__file__).with_suffix(".png"))
    save(
        __file__, f"{origin('torch')}; {EPOCHS} epochs, {arguments.seeds} seeds", table(head, rows)
    )


if __name__ == "__main__":
    main()
