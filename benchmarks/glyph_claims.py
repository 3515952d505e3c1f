"""Seven claims of the seed study, each tested by training: writes benchmarks/glyph_claims.md.

python -m benchmarks.glyph_claims [--seeds 0 1] [--workers 2] [--table]

Chinese glyphs (WenQuanYi Zen Hei to AR PL UKai CN, 64 x 64), a third of the training characters,
networks a quarter as wide as the study's, so that it ends in an hour on two cores. Each run is a
trial under runs/claims/ like any other; one that is complete is not run again. After training, the
networks are asked in eval mode for the training characters and for the validation characters.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import mean

import torch

from core.files import atomic_write
from core.metrics.ink import ink, ink_ratio
from core.models.losses import fixed_l1, grey
from core.params import load_task, validate_params
from core.record import Record
from core.task import OutcomeKind

FOLDER = Path("runs/claims")
COMMON = ["--source-font", "WenQuanYi Zen Hei", "--target-font", "AR PL UKai CN"]
COMMON += ["--characters", "gb2312-1", "--size", "64", "--width", "16", "--data-fraction", "0.333"]
COMMON += ["--threads", "1", "--device", "cpu"]
EPOCHS = "40"
BASE = {"--lr-g": "5e-4", "--batch-size": "40", "--dropout": "0.2"}


@dataclass(frozen=True)
class Case:
    """One setting: a task, and the flags in which it differs from BASE."""

    name: str
    task: str
    flags: dict[str, str]


AUTOENCODER = "glyph_autoencoder"
CASES = (
    Case("autoencoder", AUTOENCODER, {}),
    Case("no dropout", AUTOENCODER, {"--dropout": "0"}),
    Case("dropout 0.5", AUTOENCODER, {"--dropout": "0.5"}),
    Case("lr 1e-2", AUTOENCODER, {"--lr-g": "1e-2"}),
    Case("lr 3e-3", AUTOENCODER, {"--lr-g": "3e-3"}),
    Case("u-net", AUTOENCODER, {"--skip": "concat"}),
    Case("u-net, added skips", AUTOENCODER, {"--skip": "add"}),
    Case("4 steps down", AUTOENCODER, {"--depth": "4"}),
    Case("5 steps down", AUTOENCODER, {"--depth": "5"}),
    Case("gan", "glyph_gan", {}),
    Case("u-net, gan", "glyph_pix2pix", {}),
    Case("3 channels", AUTOENCODER, {"--channels": "3"}),
    Case("lr 1e-4, batch 8", AUTOENCODER, {"--lr-g": "1e-4", "--batch-size": "8"}),
    Case("resnet", AUTOENCODER, {"--generator": "resnet", "--blocks": "3"}),
)


def folder(case: Case, seed: int) -> Path:
    """Where a run's record lies."""
    return FOLDER / f"{case.name.replace(', ', '-').replace(' ', '-')}-{seed}"


def run(case: Case, seed: int) -> None:
    """Train one case with one seed, in a process of its own."""
    record = Record(folder(case, seed))
    if _over(record):
        return
    flags = [word for pair in {**BASE, **case.flags}.items() for word in pair]
    command = [sys.executable, "-m", f"trials.{case.task}", "--study", FOLDER.name, "--trial"]
    command += [record.folder.name, *COMMON, *flags, "--epochs", EPOCHS, "--seed", str(seed)]
    subprocess.run(command, check=False, stderr=subprocess.DEVNULL)


def _over(record: Record) -> bool:
    outcome = record.outcome()
    return outcome is not None and outcome.kind in (OutcomeKind.COMPLETED, OutcomeKind.COLLAPSED)


def measure(case: Case, seed: int) -> dict[str, float]:
    """What the trained network makes of characters it knows, and of those it does not."""
    record = Record(folder(case, seed))
    task = load_task(case.task)
    params = validate_params(task.params, record.trial()["params"])
    data = task.load(params)
    model = task.build(params, data, torch.device("cpu"))
    state = torch.load(record.checkpoint, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    found: dict[str, float] = {}
    for part, chosen in (("train", data.train), ("validation", data.validation)):  # type: ignore[attr-defined]
        source, target = data.tensors(chosen, params.channels)  # type: ignore[attr-defined]
        output = model.translate(source)
        found[part] = float(fixed_l1(output, target).mean())
    found["grey"] = float(grey(output))
    found["ink"] = ink_ratio(ink(output), ink(target))
    found["logged"] = record.epochs()[-1].losses["fixed_l1"]
    return found


def table(seeds: list[int]) -> str:
    """Markdown: a row a case, the mean over seeds and each seed's validation figure."""
    lines = [
        "| case | train | validation | each seed | gap | train, as logged | grey mass | ink |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in CASES:
        there = [seed for seed in seeds if _over(Record(folder(case, seed)))]
        if not there:
            lines.append(f"| {case.name} | not finished | | | | | | |")
            continue
        runs = [measure(case, seed) for seed in there]
        train, validation, logged, shade, much = (
            mean(r[k] for r in runs) for k in ("train", "validation", "logged", "grey", "ink")
        )
        each = ", ".join(f"{r['validation']:.3f}" for r in runs)
        lines.append(
            f"| {case.name} | {train:.3f} | {validation:.3f} | {each} | {validation - train:+.3f} "
            f"| {logged:.3f} | {shade:.3f} | {much:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--workers", type=int, default=2, help="trials at once, a thread each")
    parser.add_argument("--table", action="store_true", help="train nothing: write what there is")
    arguments = parser.parse_args()
    with ThreadPoolExecutor(arguments.workers) as pool:
        for seed in [] if arguments.table else arguments.seeds:
            list(pool.map(lambda case, seed=seed: run(case, seed), CASES))  # type: ignore[misc]
    torch.set_num_threads(arguments.workers)
    seeds = " ".join(map(str, arguments.seeds))
    text = f"""# The seed study's claims, measured

`python -m benchmarks.glyph_claims --seeds {seeds} --workers {arguments.workers}`, {date.today()}, \
{platform.machine()}, CPU, PyTorch {torch.__version__}.

Each case: `{" ".join(COMMON)} --epochs {EPOCHS} \
{" ".join(f"{k} {v}" for k, v in BASE.items())}`, but for what its name says. Fixed L1 of the
trained network in eval mode, on its training and on the validation characters; "as logged" is
the last epoch's training loss, with dropout on and weights still moving. A blank page has 1.

{table(arguments.seeds)}
"""
    atomic_write(Path(__file__).with_suffix(".md"), lambda file: file.write(text.encode()))


if __name__ == "__main__":
    main()
