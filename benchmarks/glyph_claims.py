"""Seven claims of the seed study, each tested by training.

python -m benchmarks.glyph_claims [--seeds 0 1] [--workers 2]   writes glyph_claims.md

Chinese glyphs (WenQuanYi Zen Hei to AR PL UKai CN, 64 x 64), a third of the training characters,
networks a quarter as wide as the study's, so that it ends in an hour on two cores. Each run is a
trial under runs/claims/ like any other; one that is complete is not run again. After training, the
networks translate the training characters and the validation characters in eval mode.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from benchmarks.table import origin, save, table
from core.checkpoint import restore_networks
from core.metrics.ink import ink, ink_ratio
from core.models.losses import fixed_l1, grey
from core.params import load_task, validate_params
from core.record import Record
from core.task import OutcomeKind

FOLDER = Path("runs/claims")
FLAGS = "--source-font 'WenQuanYi Zen Hei' --target-font 'AR PL UKai CN' --characters gb2312-1 "
FLAGS += "--size 64 --width 16 --data-fraction 0.333 --threads 1 --device cpu --epochs 40 "
FLAGS += "--lr-g 5e-4 --batch-size 40 --dropout 0.2"
CASES = {  # a name: the task and the flags in which a case differs
    "autoencoder": "glyph_autoencoder",
    "no dropout": "glyph_autoencoder --dropout 0",
    "dropout 0.5": "glyph_autoencoder --dropout 0.5",
    "lr 1e-2": "glyph_autoencoder --lr-g 1e-2",
    "lr 3e-3": "glyph_autoencoder --lr-g 3e-3",
    "u-net": "glyph_autoencoder --skip concat",
    "u-net, added skips": "glyph_autoencoder --skip add",
    "4 steps down": "glyph_autoencoder --depth 4",
    "5 steps down": "glyph_autoencoder --depth 5",
    "gan": "glyph_gan",
    "u-net, gan": "glyph_pix2pix",
    "3 channels": "glyph_autoencoder --channels 3",
    "lr 1e-4, batch 8": "glyph_autoencoder --lr-g 1e-4 --batch-size 8",
    "resnet": "glyph_autoencoder --generator resnet --blocks 3",
}
COLUMNS = ["case", "train", "validation", "each seed", "gap", "train, as logged"]
COLUMNS += ["grey mass", "ink"]


def record_of(case: str, seed: int) -> Record:
    """The record of a run."""
    return Record(FOLDER / f"{case.replace(', ', '-').replace(' ', '-')}-{seed}")


def has_ended(record: Record) -> bool:
    """Whether a run need not be run again."""
    outcome = record.outcome()
    return outcome is not None and outcome.kind in (OutcomeKind.COMPLETED, OutcomeKind.COLLAPSED)


def run(seed: int, case: str) -> None:
    """Train one case with one seed, in a process of its own, unless it has been trained."""
    record = record_of(case, seed)
    task, *own = CASES[case].split()
    place = ["--study", FOLDER.name, "--trial", record.folder.name, "--seed", str(seed)]
    command = [sys.executable, "-m", f"trials.{task}", *place, *shlex.split(FLAGS), *own]
    if not has_ended(record):
        subprocess.run(command, check=False, stderr=subprocess.DEVNULL)


def measure(record: Record) -> dict[str, float]:
    """Fixed L1 on characters that the trained network knows and on others, and what it draws."""
    trial = record.trial()
    task = load_task(trial["task"])
    params: Any = validate_params(task.params, trial["params"])
    data: Any = task.load(params)
    model: Any = task.build(params, data, torch.device("cpu"))
    restore_networks(model, record)
    figures: dict[str, float] = {}
    for part, chosen in (("train", data.train), ("validation", data.validation)):
        source, target = data.tensors(chosen, params.channels)
        output = model.translate(source)
        figures[part] = float(fixed_l1(output, target).mean())
    figures |= {"grey": float(grey(output)), "ink": ink_ratio(ink(output), ink(target))}
    return {**figures, "logged": record.epochs()[-1].losses["fixed_l1"]}


def row(case: str, seeds: list[int]) -> list[str]:
    """A row: means over the seeds that have ended, and each seed's validation figure."""
    runs = [measure(r) for r in (record_of(case, seed) for seed in seeds) if has_ended(r)]
    if not runs:
        return [case, "not finished", *[""] * 6]
    average = {key: mean(figures[key] for figures in runs) for key in runs[0]}
    each = ", ".join(f"{figures['validation']:.3f}" for figures in runs)
    gap = f"{average['validation'] - average['train']:+.3f}"
    cells = [f"{average[key]:.3f}" for key in ("train", "validation", "logged", "grey")]
    return [case, *cells[:2], each, gap, *cells[2:], f"{average['ink']:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--workers", type=int, default=2, help="trials at once, a thread each")
    arguments = parser.parse_args()
    with ThreadPoolExecutor(arguments.workers) as pool:
        list(pool.map(run, *zip(*product(arguments.seeds, CASES), strict=True)))
    torch.set_num_threads(arguments.workers)
    rows = [row(case, arguments.seeds) for case in CASES]
    save(__file__, origin("torch"), table(COLUMNS, rows, text=8))


if __name__ == "__main__":
    main()
