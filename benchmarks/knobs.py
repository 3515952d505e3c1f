"""What makes a small CycleGAN learn strokes in minutes: one change at a time, with common seeds.

    python -m benchmarks.knobs [--seeds 3] [--epochs 12]   writes benchmarks/knobs.md and knobs.png

The embedded sample at 64 pixels. `RECIPE` is what the demo trains; each other row changes one thing
of it, and the first is the published baseline with networks of the same size. A run that lies under
runs/knobs/ is done.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from PIL import Image

from benchmarks.table import origin, save, table
from core.checkpoint import load_checkpoint
from core.device import configure_torch
from core.files import read_json, write_json
from core.params import load_task, validate_params
from core.record import Record
from core.training.progress import Progress
from core.training.run import run_trial
from core.training.standalone import StandaloneTrial

TASK = load_task("cyclegan")
FOLDER = Path("runs/knobs")
SMALL: dict[str, Any] = {"size": 64, "width": 16, "blocks": 2, "batch_size": 2, "threads": 1}
RECIPE: dict[str, Any] = {
    **{"upsample": "resize", "skip": "add", "norm": "none", "spectral_norm": True, "d_layers": 2},
    **{"grain": 0.1, "lambda_cycle": 5.0, "lambda_identity": 0.0, "lr_g": 5e-4, "lr_d": 5e-4},
}
CHANGES: dict[str, dict[str, Any]] = {
    "recipe": {},
    "no grain": {"grain": 0.0},
    "half the grain": {"grain": 0.05},
    "skip none": {"skip": "none"},
    "norm instance": {"norm": "instance"},
    "norm none, no spectral norm": {"spectral_norm": False},
    "upsample transposed": {"upsample": "transposed"},
    "patches of 16 pixels": {"d_layers": 1},
    "patches of 70 pixels": {"d_layers": 3},
    "crops of 32 pixels": {"crop": 32, "batch_size": 8},
    "batch 1": {"batch_size": 1},
    "batch 4": {"batch_size": 4},
    "identity 0.5": {"lambda_identity": 0.5},
    "cycle 10": {"lambda_cycle": 10.0},
    "rates 2e-4": {"lr_g": 2e-4, "lr_d": 2e-4},
    "rates 1e-3": {"lr_g": 1e-3, "lr_d": 1e-3},
    "ema 0.99": {"ema": 0.99},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "published baseline": {},
    **{name: {**RECIPE, **change} for name, change in CHANGES.items()},
}
HEAD = ["setting", "score", "holdout", "style", "content"]


def run(name: str, values: Mapping[str, Any], seed: int, epochs: int) -> dict[str, Any]:
    """Train, unless that is done; what both evaluators say of the last epoch, and its record."""
    params = validate_params(TASK.params, {**SMALL, **values, "seed": seed, "epochs": epochs})
    record = Record(FOLDER / f"{name.replace(' ', '-').replace(',', '')}-{epochs}-{seed}")
    if record.outcome() is None:
        trial = StandaloneTrial(params, FOLDER.name, record.folder)
        run_trial(TASK, trial, Progress(), FOLDER)
    last = record.epochs()[-1].score
    known = read_json(record.folder / "holdout.json")
    if not known:
        data, device = TASK.load(params), configure_torch(params)
        holdout = TASK.with_holdout_evaluator().evaluator(params)
        holdout.prepare(data, FOLDER / "evaluators", print)
        model = TASK.build(params, data, device)
        model.load_state_dict(load_checkpoint(record.checkpoint)["model"])
        known = {"holdout": holdout(model.outputs()).value}
        write_json(record.folder / "holdout.json", known)
    picture = record.pictures / "output.png"
    return {"score": last.value, **known, **last.parts, "picture": picture}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    arguments = parser.parse_args()
    rows, strips, source = [], list[Image.Image](), origin("torch")
    for name, values in SETTINGS.items():
        runs = [run(name, values, seed, arguments.epochs) for seed in range(arguments.seeds)]
        columns = [[float(found[column]) for found in runs] for column in HEAD[1:]]
        rows.append([name, *(f"{fmean(c):.3f} ({min(c):.3f} to {max(c):.3f})" for c in columns)])
        print(*rows[-1], sep=" | ", flush=True)
        strips.append(Image.open(runs[0]["picture"]))
    sheet = Image.new("RGB", (strips[0].width, sum(strip.height for strip in strips)))
    for i, strip in enumerate(strips):
        sheet.paste(strip, (0, i * strip.height))
    sheet.save(Path(__file__).with_suffix(".png"))
    save(__file__, f"{source}; {arguments.seeds} seeds", table(HEAD, rows))


if __name__ == "__main__":
    main()
