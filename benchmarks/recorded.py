"""Learning curves of small CycleGANs that were trained, for others to search over and to rank.

    python -m benchmarks.recorded [--part 0 --parts 2]     trains what is missing, in hours

The published baseline and `POINTS` random points of benchmarks/curves/space.json on the
embedded sample, `EPOCHS` epochs each, trained on crops of 32 pixels; every fifth point with
`SEEDS` seeds. A curve lies under runs/curves/ once its trial has ended, and a killed trial goes on
from its last epoch. Parts share the work, each on one core or all on one GPU; whoever ends last
writes `CURVES`, a curve a line.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna

from core.checkpoint import load_checkpoint
from core.device import configure_torch
from core.files import read_json, write_json
from core.params import load_task, validate_params
from core.record import Record
from core.search.space import Space
from core.task import Outcome, OutcomeKind, Params
from core.training.progress import Progress
from core.training.provenance import provenance
from core.training.run import run_trial
from core.training.standalone import StandaloneTrial

TASK = load_task("cyclegan")
FOLDER = Path("runs/curves")
CURVES = Path(__file__).parent / "curves" / "cyclegan_small.jsonl"
SPACE = Space.load(CURVES.with_name("space.json"), TASK.params)
POINTS, EPOCHS, SEEDS, REPEATED = 40, 27, 4, 5
NETWORKS: dict[str, Any] = {
    **{"size": 64, "crop": 32, "width": 16, "blocks": 2, "batch_size": 2, "ema": 0.99},
    **{"upsample": "resize", "skip": "add", "norm": "none", "discriminator": "projected"},
    **{"threads": 1, "precision": "bf16", "compile": "on"},
}


def points() -> list[dict[str, Any]]:
    """The published baseline, and random points of the space, as Optuna's sampler draws them."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    asked = [study.ask() for _ in range(POINTS)]
    return [{}, *(SPACE.draw(trial._suggest) for trial in asked)]


def runs() -> Iterator[tuple[int, int, dict[str, Any]]]:
    """The numbers of points, seeds, and what to train; the first seed of every point first."""
    drawn = list(enumerate(points()))
    for seed in range(SEEDS):
        for number, point in drawn[:: REPEATED if seed else 1]:
            yield number, seed, {**NETWORKS, **point, "seed": seed, "epochs": EPOCHS}


def curve_file(number: int, seed: int) -> Path:
    """Where a trial's curve lies once it has ended."""
    return FOLDER / f"{number:02d}-{seed}.json"


def train(number: int, seed: int, values: dict[str, Any]) -> None:
    """Train a trial to its end, unless its curve is there, and write that."""
    file = curve_file(number, seed)
    if file.exists():
        return
    params, record = validate_params(TASK.params, values), Record(FOLDER / file.stem)
    ended, lines = trained(params, record, FOLDER), record.epochs()
    completed = ended.kind is OutcomeKind.COMPLETED
    curve = {
        "number": number,
        "point": {name: values[name] for name in SPACE.fields if name in values},
        "seed": seed,
        "outcome": ended.kind.value,
        "scores": [round(line.score.value, 5) for line in lines],
        "holdout": round(holdout(record, params, FOLDER), 5) if completed else None,
        "commit": provenance()["git"][:12],
    }
    write_json(file, curve)


def trained(params: Params, record: Record, folder: Path) -> Outcome:
    """How a trial ended, or ends now; one that was cut short goes on."""
    if record.outcome() is None:
        with Progress() as progress:
            run_trial(TASK, StandaloneTrial(params, folder.name, record.folder), progress, folder)
    outcome = record.outcome()
    assert outcome is not None
    return outcome


def holdout(record: Record, params: Any, folder: Path = FOLDER) -> float:
    """What the holdout evaluator says of a trial's last epoch."""
    data, device = TASK.load(params), configure_torch(params)
    evaluator = TASK.with_holdout_evaluator().evaluator(params)
    evaluator.prepare(data, folder / "evaluators", print)
    model = TASK.build(params, data, device)
    model.load_state_dict(load_checkpoint(record.checkpoint)["model"])
    return evaluator(model.outputs()).value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", type=int, default=0, help="which of the parts, from 0")
    parser.add_argument("--parts", type=int, default=1)
    arguments = parser.parse_args()
    for run in list(runs())[arguments.part :: arguments.parts]:
        train(*run)
    files = [curve_file(number, seed) for number, seed, _ in runs()]
    if all(file.exists() for file in files):
        lines = [json.dumps(read_json(file)) + "\n" for file in sorted(files)]
        CURVES.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
