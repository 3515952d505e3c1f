"""How fast a CycleGAN step is on the CPU, beside a textbook's and beside what the machine can do.

    python -m benchmarks.training_step [--threads 1]      writes benchmarks/training_step.md

The variants of a shape take turns for several rounds in one process. A ratio is the median of the
rounds' own ratios to the textbook's step in fp32: the machine's speed drifts. What compilation
takes is what the first step of a process takes longer than its second, with no compiled code kept
(cold) and with what another process has kept (warm).
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.nn.functional import conv2d
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.table import origin, save, table
from benchmarks.textbook import Textbook
from core.device import configure_torch, seed_everything
from core.params import load_task, validate_params

SHAPES = [
    {"size": 64, "batch_size": 4, "width": 16, "blocks": 1},
    {"size": 64, "batch_size": 8, "width": 64, "blocks": 9},
    {"size": 128, "batch_size": 1, "width": 64, "blocks": 9},
]
COMPILED = {"precision": "bf16", "compile": "on"}
VARIANTS = {
    "fp32": {"precision": "fp32", "compile": "off"},
    "bf16": {"precision": "bf16", "compile": "off"},
    "bf16, compiled": COMPILED,
}
HEAD = ["shape", "textbook fp32, ms", *VARIANTS, "s to compile, cold", "warm"]
HEAD += ["GFLOP", "GFLOP/s, compiled", "of the convolution's"]


def build(**values: Any) -> tuple[Any, list[Any]]:
    """CycleGAN with these parameters, and two batches."""
    task = load_task("cyclegan")
    params = validate_params(task.params, {**values, "device": "cpu"})
    device = configure_torch(params)
    seed_everything(0)
    model = task.build(params, task.load(params), device)
    return model, list(islice(model.batches(), 2))


def first_step(values: dict[str, Any]) -> float:
    """Seconds that the first step takes longer than the second."""
    model, batches = build(**values)
    first, second = (seconds(lambda b=batch: model.step(b)) for batch in batches)  # type: ignore[misc]
    return first - second


def in_a_process(function: Callable[..., float], *arguments: Any) -> float:
    """What the function returns in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def seconds(call: Callable[[], Any], times: int = 1) -> float:
    """Mean seconds of a call."""
    started = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - started) / times


def ceilings() -> Iterator[tuple[str, float]]:
    """GFLOP/s of large kernels, the best of five turns."""
    n = 2048
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = (torch.randn(n, n, dtype=dtype) for _ in "ab")
        best = min(seconds(lambda a=a, b=b: a @ b) for _ in range(5))  # type: ignore[misc]
        yield f"{name} matrix product, {n} x {n}", 2e-9 * n**3 / best
    layout: Any = {"dtype": torch.bfloat16, "memory_format": torch.channels_last}
    x, w = (torch.randn(*shape).to(**layout) for shape in ((8, 256, 32, 32), (256, 256, 3, 3)))
    x.requires_grad_(), w.requires_grad_()
    y = torch.ones_like(conv2d(x, w, padding=1))
    best = min(seconds(lambda: conv2d(x, w, padding=1).backward(y)) for _ in range(5))
    work = 3 * 2e-9 * y.numel() * w[0].numel()
    yield "bf16 convolution 3 x 3, 8 x 256 x 32 x 32, channels-last, and its backward", work / best


def turns(shape: dict[str, int], threads: int, rounds: int) -> tuple[float, list[list[float]]]:
    """GFLOP of a textbook step, and seconds a step: a row a round, the textbook's first."""
    steps: list[Callable[[], Any]] = []
    for how in VARIANTS.values():
        model, batches = build(**shape, **how, threads=threads)
        steps.append(lambda m=model, b=batches[0]: m.step(b))  # type: ignore[misc]
    book = Textbook(shape["width"], shape["blocks"])
    steps.insert(0, lambda: book.step(*batches[0][:2]))
    with FlopCounterMode(display=False) as counter:
        steps[0]()
    for step in steps:
        step()
    times = max(1, round(0.5 / seconds(steps[0])))
    timed = [[seconds(step, times) for step in steps] for _ in range(rounds)]
    return counter.get_total_flops() / 1e9, timed


def ratios(rounds: list[list[float]]) -> Iterator[str]:
    """How many times as fast as the first each other one is: median and range of the rounds."""
    for k in range(1, len(rounds[0])):
        each = [turn[0] / turn[k] for turn in rounds]
        yield f"{median(each):.2f} ({min(each):.2f}-{max(each):.2f})"


def row(shape: dict[str, int], threads: int, rounds: int, ceiling: float) -> list[str]:
    """What is measured of one shape."""
    compiling = [in_a_process(first_step, {**shape, **COMPILED, "threads": threads}) for _ in "12"]
    work, timed = turns(shape, threads, rounds)
    torch._dynamo.reset()
    gc.collect()
    rate = median(work / turn[-1] for turn in timed)
    name = "{size} px, batch {batch_size}, width {width}, blocks {blocks}".format(**shape)
    cells = [f"{1e3 * median(turn[0] for turn in timed):.0f}", *ratios(timed)]
    cells += [f"{each:.0f}" for each in (*compiling, work, rate)]
    print(name, *cells, sep="  ", flush=True)
    return [name, *cells, f"{rate / ceiling:.0%}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shapes", type=int, default=len(SHAPES), help="how many shapes")
    arguments = parser.parse_args()
    source = f"{origin('torch')}; {arguments.threads} threads, {arguments.rounds} rounds"
    torch.set_num_threads(arguments.threads)
    rates = dict(ceilings())
    limits = [[name, f"{rate:.0f}"] for name, rate in rates.items()]
    print(*limits, sep="\n", flush=True)
    rows = []
    for shape in SHAPES[: arguments.shapes]:
        with TemporaryDirectory() as folder:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
            rows.append(row(shape, arguments.threads, arguments.rounds, [*rates.values()][-1]))
    save(__file__, source, table(["kernel", "GFLOP/s"], limits), table(HEAD, rows))


if __name__ == "__main__":
    main()
