"""What gantune does on a GPU: speed, memory, waits, recovery, and a search with pictures.

    python -m benchmarks.gpu                            writes benchmarks/gpu.md, in 12 minutes
    python -m benchmarks.gpu --data DIR --pictures OUT  searches there, and keeps its pictures
    python -m benchmarks.gpu --device cpu --quick       the same path on a CPU, in a minute or two

It needs the checkout and its packages, no installation and no network.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.table import origin, save, table
from benchmarks.textbook import Textbook
from core.checkpoint import load_checkpoint, save_checkpoint
from core.device import configure_torch, seed_everything
from core.params import load_task, validate_params
from core.task import OutcomeKind, Params
from core.training.loop import _epoch
from core.training.progress import Progress
from core.training.run import run_trial
from core.training.standalone import StandaloneTrial

SHAPES = [(128, 1), (64, 1), (256, 1), (64, 8), (128, 8), (256, 8)]
TASK = load_task("cyclegan")
SMALL = {"size": 64, "width": 16, "blocks": 2, "batch_size": 4, "epochs": 2}
TINY = {"size": 32, "width": 4, "blocks": 1, "batch_size": 8, "epochs": 2}


class Bench:
    """The device, the time that is left, and the folder of everything that is made."""

    def __init__(self, arguments: argparse.Namespace, runs: Path) -> None:
        self.device, self.quick, self.runs = arguments.device, arguments.quick, runs
        self.data, self.pictures = arguments.data, arguments.pictures
        self.cuda = self.device == "cuda"
        self.small = TINY if self.quick else SMALL
        self.ends = time.monotonic() + 60 * arguments.minutes
        self.params: dict[str, Any] = {"device": self.device, "data": self.data}

    def left(self) -> float:
        """Seconds that are left."""
        return self.ends - time.monotonic()

    def build(self, **values: Any) -> tuple[Any, Params]:
        """CycleGAN with these parameters, its published ones elsewhere."""
        params = validate_params(TASK.params, {**self.params, **values})
        device = configure_torch(params)
        seed_everything(0)
        return TASK.build(params, TASK.load(params), device), params

    def seconds(self, step: Callable[[], Any]) -> float:
        """The median time of a step, after those that compile, autotune and capture."""
        for _ in range(2 if self.quick else 6):
            step()
        times = []
        for _ in range(3 if self.quick else 5):
            self.wait()
            started = time.perf_counter()
            for _ in range(1 if self.quick else 10):
                step()
            self.wait()
            times.append((time.perf_counter() - started) / (1 if self.quick else 10))
        return median(times)

    def wait(self) -> None:
        """Until the device has done what it was asked for."""
        if self.cuda:
            torch.cuda.synchronize()

    def memory(self) -> str:
        """The most memory that tensors took since the last call, in GB."""
        if not self.cuda:
            return "-"
        most = torch.cuda.max_memory_reserved() / 1e9
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return f"{most:.1f}"


def ceilings(bench: Bench) -> Iterator[list[str]]:
    """What the device can do: a matrix product, a copy."""
    n = 8192 if bench.cuda else 1024
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = (torch.randn(n, n, device=bench.device, dtype=dtype) for _ in "ab")
        torch.set_float32_matmul_precision("highest")
        rate = 2e-12 * n**3 / bench.seconds(lambda a=a, b=b: a @ b)  # type: ignore[misc]
        yield [f"{name} matrix product, {n} x {n}", f"{rate:.1f} TFLOP/s"]
    a = torch.randn(2**28 if bench.cuda else 2**22, device=bench.device)
    b = torch.empty_like(a)
    rate = 8e-9 * a.numel() / bench.seconds(lambda: b.copy_(a))
    yield ["copy, bytes read and written", f"{rate:.0f} GB/s"]


def steps(bench: Bench, shapes: list[tuple[int, int]]) -> Iterator[list[str]]:
    """A row for each shape: the textbook's step in fp32, and what others make of it."""
    wide = {"width": 4, "blocks": 1} if bench.quick else {"width": 64, "blocks": 9}
    for size, batch in shapes:
        rows = [_textbook(bench, size, batch, tf32, **wide) for tf32 in (False, True)]
        for compiled in ("off", "on"):
            try:
                model, _ = bench.build(size=size, batch_size=batch, compile=compiled, **wide)
                batches = cycle(list(islice(model.batches(), 4)))
                started = time.monotonic()
                seconds = bench.seconds(lambda m=model, b=batches: m.step(next(b)))  # type: ignore[misc]
                took = f"{time.monotonic() - started:.0f}"
                rows.append((seconds, took, bench.memory()))
            except RuntimeError as error:
                print(f"{size} px, batch {batch}, compile {compiled}: {error}", flush=True)
                rows.append((float("nan"), "-", "-"))
            model = batches = None
        base = rows[0][0]
        cells = [f"{1e3 * base:.1f}", *(f"{base / each[0]:.2f}" for each in rows[1:])]
        row = [f"{size} px, batch {batch}", *cells, rows[3][1], *(each[2] for each in rows)]
        print("  ".join(row), flush=True)
        yield row


def _textbook(
    bench: Bench, size: int, batch: int, tf32: bool, width: int, blocks: int
) -> tuple[float, str, str]:
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    book = Textbook(width, blocks, bench.device)
    x, y = (torch.rand(batch, 3, size, size, device=bench.device) * 2 - 1 for _ in "xy")
    return bench.seconds(lambda: book.step(x, y)), "", bench.memory()


def waits(bench: Bench) -> str:
    """How often an epoch of training waits for the device, losses and data included."""
    model, _ = bench.build(**{**bench.small, "batch_size": 1})
    with Progress() as progress:
        progress.started(0, 9)
        _epoch(model, 1, progress)
        if not bench.cuda:
            return "not counted on a CPU"
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _epoch(model, 2, progress)
        torch.cuda.set_sync_debug_mode("default")
    waited = [str(w.filename) for w in caught if "synchronizing" in str(w.message)]
    print("waits at:", *sorted(set(waited)), sep="\n  ", flush=True)
    return f"{len(waited)} waits in {model.steps // 2} steps"


def resumed(bench: Bench) -> str:
    """A second epoch from a checkpoint against the same epoch without one."""
    ends = []
    path = bench.runs / "resumed.pt"
    for again in (False, True):
        model, _ = bench.build(**bench.small, deterministic=True)
        with Progress() as progress:
            progress.started(0, 2)
            if again:
                state = load_checkpoint(path)
                model.load_state_dict(state["model"])
                torch.set_rng_state(state["rng"])
            else:
                start = _weights(model)
                _epoch(model, 1, progress)
                save_checkpoint(path, model, 1, rng=torch.get_rng_state())
            _epoch(model, 2, progress)
        ends.append(_weights(model))
    apart = float((ends[0] - ends[1]).norm() / (ends[0] - start).norm())
    assert apart < 0.02, f"a resumed trial is {apart:.3f} of its way apart"
    return f"weights {apart:.1e} of the way from the start apart"


def _weights(model: Any) -> torch.Tensor:
    return torch.cat([p.detach().flatten().cpu() for p in model.G.parameters()])


def out_of_memory(bench: Bench) -> str:
    """A trial that does not fit, then one that does, in the same process."""
    if not bench.cuda:
        return "not tried on a CPU"
    ends = []
    huge = {**bench.small, "size": 1024, "width": 256, "batch_size": 64, "blocks": 9}
    for name, values in (("huge", huge), ("small", {**bench.small, "epochs": 1})):
        params = validate_params(TASK.params, {**bench.params, **values})
        trial = StandaloneTrial(params, "memory", bench.runs / "memory" / name)
        with Progress() as progress:
            ends.append(run_trial(TASK, trial, progress, bench.runs).kind)
    assert ends == [OutcomeKind.OUT_OF_MEMORY, OutcomeKind.COMPLETED], ends
    return "an outcome; the next trial of the process completed"


def search(bench: Bench, study: str, *flags: str) -> float:
    """A search by the product's own command; the seconds that it took."""
    fixed = ["--device", bench.device, "--data", bench.data, "--runs", str(bench.runs)]
    command = [sys.executable, "-c", "import sys; from core.cli import main; sys.exit(main())"]
    command += ["tune", "cyclegan", "--study", study]
    started = time.monotonic()
    subprocess.run([*command, *fixed, *flags], check=True)
    return time.monotonic() - started


def two_workers(bench: Bench) -> str:
    """Two workers on one card, and the same trials by one."""
    small = [f"--{k.replace('_', '-')}={v}" for k, v in bench.small.items()]
    took = [
        search(bench, f"by{n}", "--trials=4", f"--workers={n}", "--ignore-exam", *small)
        for n in (1, 2)
    ]
    return f"4 trials by one worker {took[0]:.0f} s, by two {took[1]:.0f} s"


def real_search(bench: Bench) -> str:
    """A search with the time that is left; the best trial's pictures go to `--pictures`."""
    size, epochs = ("32", "1") if bench.quick else ("128", "12")
    wide = ["--width=4", "--blocks=1", "--batch-size=8"] if bench.quick else ["--batch-size=1"]
    flags = [f"--size={size}", f"--epochs={epochs}", *wide, "--ignore-exam", "--workers=1"]
    trials = 2 if bench.quick else max(2, int((bench.left() - 60) / 60))
    took = search(bench, "gpu", f"--trials={trials}", *flags)
    if bench.pictures:
        for strip in sorted((bench.runs / "gpu").glob("*/pictures/output.png")):
            target = Path(bench.pictures) / f"{strip.parent.parent.name}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(strip.read_bytes())
    return f"{trials} trials of {epochs} epochs at {size} px: {took:.0f} s"


CHECKS = {
    "waits": waits,
    "resume": resumed,
    "out of memory": out_of_memory,
    "two workers": two_workers,
    "search": real_search,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny networks: is the path whole?")
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--shapes", type=int, default=len(SHAPES), help="how many shapes")
    parser.add_argument("--only", default="", help="checks, by name, separated by commas")
    parser.add_argument("--data", default="sample")
    parser.add_argument("--pictures", default="", help="folder for the search's pictures")
    parser.add_argument("--no-save", action="store_true", help="leave gpu.md as it is")
    arguments = parser.parse_args()
    shapes = [(32, 2)][: arguments.shapes] if arguments.quick else SHAPES[: arguments.shapes]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, Path(folder))
        tables = [table(["ceiling", "measured"], ceilings(bench))]
        head = ["shape", "textbook fp32, ms", "TF32", "ours", "compiled", "s to start"]
        head += [f"GB {name}" for name in ("fp32", "TF32", "ours", "compiled")]
        tables += [table(head, steps(bench, shapes))]
        rows = []
        for name, check in CHECKS.items():
            if arguments.only and name not in arguments.only.split(","):
                continue
            try:
                rows.append([name, check(bench)])
            except Exception as error:
                traceback.print_exc()
                rows.append([name, f"FAILED: {error}"])
            print(*rows[-1], sep=": ", flush=True)
        tables += [table(["check", "result"], rows, text=2)]
    card = torch.cuda.get_device_name() if bench.cuda else "a CPU"
    source = f"{origin('torch')}; on {card}"
    if arguments.no_save or arguments.quick:
        print(source, *tables, sep="\n")
    else:
        save(__file__, source, *tables)
    if any("FAILED" in row[1] for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
