"""How fast CycleGAN trials are together, by precision and by sharing the cores out between them.

    python -m benchmarks.processes [--compile on]       writes benchmarks/processes.md

Every figure is a ratio to one process in fp32 on all threads, measured side by side: the variants
take turns for several rounds and the median round counts, since the machine's speed drifts.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

from benchmarks.table import origin, save, table
from core.device import cores

PARAMS: dict[str, Any] = {"size": 64, "width": 16, "blocks": 2, "batch_size": 4, "device": "cpu"}


def work(pipe: Connection, values: dict[str, Any]) -> None:
    """Take `n` steps each time `n` arrives, and answer when done, until the pipe is closed."""
    import torch

    from core.params import load_task

    task = load_task("cyclegan")
    params = task.params.model_validate({**PARAMS, **values})
    torch.set_num_threads(values["threads"])
    model = task.build(params, task.load(params), torch.device("cpu"))
    batches = [batch for _, batch in zip(range(4), model.batches(), strict=False)]
    model.step(batches[0])
    pipe.send("ready")
    with suppress(EOFError):
        while True:
            for k in range(pipe.recv()):
                model.step(batches[k % len(batches)])
            pipe.send("done")


class Variant:
    """Some processes that train at the same time."""

    def __init__(self, processes: int, threads: int, precision: str, compiled: str) -> None:
        count = f"{processes} process{'es' if processes > 1 else ''}"
        self.name = f"{count} x {threads} thread{'s' if threads > 1 else ''}, {precision}"
        values = {"threads": threads, "precision": precision, "compile": compiled}
        self.pipes: list[Connection] = []
        context = mp.get_context("spawn")
        for _ in range(processes):
            ours, theirs = context.Pipe()
            context.Process(target=work, args=(theirs, values), daemon=True).start()
            self.pipes.append(ours)
            ours.recv()

    def rate(self, steps: int = 8) -> float:
        """Images a second over all its processes."""
        started = time.perf_counter()
        for pipe in self.pipes:
            pipe.send(steps)
        for pipe in self.pipes:
            pipe.recv()
        images: int = steps * PARAMS["batch_size"] * len(self.pipes)
        return images / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--compile", choices=["on", "off"], default="off")
    arguments = parser.parse_args()
    count = cores()
    shares = [(1, count, "fp32"), (1, count, "bf16"), (count, 1, "fp32"), (count, 1, "bf16")]
    shares += [(count, count, "bf16")]
    variants = [Variant(*share, arguments.compile) for share in shares]
    rounds = [[v.rate() for v in variants] for _ in range(arguments.rounds)]
    rows = []
    for variant, rates in zip(variants, zip(*rounds, strict=True), strict=True):
        ratios = [rate / turn[0] for rate, turn in zip(rates, rounds, strict=True)]
        ratio = f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        rows.append([variant.name, ratio, f"{median(rates):.0f}"])
    params = ", ".join(f"{k} {v}" for k, v in {**PARAMS, "compile": arguments.compile}.items())
    source = f"{origin('torch')}; CycleGAN, {params}; {arguments.rounds} rounds"
    save(__file__, source, table(["variant", "throughput, first = 1", "images/s"], rows, text=3))


if __name__ == "__main__":
    main()
