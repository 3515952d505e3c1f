"""How fast a CycleGAN step is, by precision and by sharing the cores out between trials.

    python -m benchmarks.training_step          writes benchmarks/training_step.md

Every figure is a ratio to one process in fp32 on all threads, measured side by side: the variants
take turns for several rounds and the median round counts, since the machine's speed drifts.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import statistics
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

from core.files import write_bytes
from core.training.provenance import git_commit, provenance

SETTING = {"size": 64, "width": 16, "blocks": 2, "batch_size": 4, "device": "cpu"}


def work(pipe: Connection, precision: str, threads: int) -> None:
    """Take `n` steps each time `n` arrives; answer when done; 0 ends it."""
    import torch

    from core.data.images import load_unpaired
    from trials.cyclegan import CycleGAN, CycleGANParams

    params = CycleGANParams.model_validate({**SETTING, "precision": precision, "threads": threads})
    torch.set_num_threads(threads)
    data = load_unpaired("sample", params.size, params.preprocess)
    model = CycleGAN(params, data, torch.device("cpu"))
    batches = [batch for _, batch in zip(range(4), model.batches(), strict=False)]
    model.step(batches[0])
    pipe.send("ready")
    while steps := pipe.recv():
        for k in range(steps):
            model.step(batches[k % len(batches)])
        pipe.send("done")


class Variant:
    """Some processes that train at the same time."""

    def __init__(self, name: str, precision: str, processes: int, threads: int) -> None:
        self.name = name
        self.pipes: list[Connection] = []
        for _ in range(processes):
            ours, theirs = mp.get_context("spawn").Pipe()
            mp.get_context("spawn").Process(
                target=work, args=(theirs, precision, threads), daemon=True
            ).start()
            self.pipes.append(ours)
            ours.recv()

    def rate(self, steps: int) -> float:
        """Images a second over all its processes."""
        started = time.perf_counter()
        for pipe in self.pipes:
            pipe.send(steps)
        for pipe in self.pipes:
            pipe.recv()
        images = steps * SETTING["batch_size"] * len(self.pipes)
        return float(images) / (time.perf_counter() - started)


def main() -> None:
    """Measure, print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=8)
    arguments = parser.parse_args()
    cores = mp.cpu_count()
    variants = [
        Variant(f"1 process x {cores} threads, fp32", "fp32", 1, cores),
        Variant(f"1 process x {cores} threads, bf16", "bf16", 1, cores),
        Variant(f"{cores} processes x 1 thread, fp32", "fp32", cores, 1),
        Variant(f"{cores} processes x 1 thread, bf16", "bf16", cores, 1),
        Variant(f"{cores} processes x {cores} threads, bf16", "bf16", cores, cores),
    ]
    rounds = [[v.rate(arguments.steps) for v in variants] for _ in range(arguments.rounds)]
    facts = provenance()
    lines = [
        "# Training step",
        "",
        f"`{facts['command']}`, {datetime.now(UTC):%Y-%m-%d}, {facts['machine']}, "
        f"torch {facts['versions']['torch']}, commit {git_commit()[:12]}.",
        "CycleGAN, "
        + ", ".join(f"{k} {v}" for k, v in SETTING.items())
        + f". Median of {arguments.rounds} rounds in turns; range in brackets.",
        "",
        "| variant | throughput, first = 1 | images/s |",
        "|---|---|---|",
    ]
    for k, variant in enumerate(variants):
        ratios = [r[k] / r[0] for r in rounds]
        speed = statistics.median(r[k] for r in rounds)
        middle = statistics.median(ratios)
        spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
        lines.append(f"| {variant.name} | {middle:.2f} ({spread}) | {speed:.0f} |")
    text = "\n".join(lines) + "\n"
    write_bytes(Path(__file__).with_suffix(".md"), text.encode())
    print(text)


if __name__ == "__main__":
    main()
