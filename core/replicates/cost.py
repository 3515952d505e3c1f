"""What a task costs to train: parameters, FLOPs, time and memory, measured in a fresh process.

`python -m core.replicates.cost` reads {"task": name, "params": {...}} from stdin and prints the
JSON of `measure`.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from core.device import configure_torch, hardware, seed_everything
from core.files import read_json, write_json
from core.params import load_task, print_user_error, validate_params
from core.task import CanTranslate, Params, Task, Trainable, UserError

KEPT = 4
WARM_UP, LEAST, MOST, ENOUGH_SECONDS = 2, 3, 50, 10.0
STEADY = {"d_head_start": 0}
GPU, PROCESS = "GPU memory", "process memory"


def measure(task: Task, params: Params) -> dict[str, Any]:
    """Build the model and train it for a moment; numbers unrounded, FLOPs per image, bytes.

    A step is the mean over one turn of generator and discriminator (`d_steps_per_g` steps), as
    after any head start of the discriminator. The memory is the peak of training: on CUDA what
    PyTorch allocated, elsewhere the process's resident memory above what it was without the model.
    """
    params = params.model_copy(update={k: v for k, v in STEADY.items() if hasattr(params, k)})
    device = configure_torch(params)
    data = task.load(params)
    seed_everything(params.seed)
    before = _mark(device)
    model = task.build(params, data, device)
    batches = _full(islice(model.batches(), KEPT))
    images, turn = len(batches[0][0]), int(getattr(params, "d_steps_per_g", 1))
    seconds = _time(model, batches, turn, device)
    memory = _peak(device) - before
    networks = list(model.networks.values())
    return {
        "parameters": count_parameters(networks),
        "parameters_output": count_parameters(networks[:1]),
        "flops_train_image": _training_flops(model, batches, turn) / images,
        "flops_translate_image": _translation_flops(model, batches[0][0][:1]),
        "step_ms": 1000 * statistics.median(seconds),
        "items_per_second": images / statistics.median(seconds),
        "batch": images,
        "timed_steps": len(seconds) * turn,
        "memory_bytes": max(0, memory),
        "memory_of": GPU if device.type == "cuda" else PROCESS,
        "hardware": hardware(device),
    }


def count_parameters(networks: Iterable[nn.Module]) -> int:
    """How many numbers are trained; what networks share counts once."""
    return sum({id(p): p.numel() for net in networks for p in net.parameters()}.values())


def _full(batches: Iterable[Any]) -> list[Any]:
    """The batches as large as the first one; a smaller last one would pass for a fast step."""
    drawn = list(batches)
    return [batch for batch in drawn if len(batch[0]) == len(drawn[0][0])]


def _time(model: Trainable, batches: list[Any], turn: int, device: torch.device) -> list[float]:
    """Seconds a step, the mean over a turn, of up to 50 turns within about 10 seconds."""
    endless = cycle(batches)
    seconds: list[float] = []
    began = time.monotonic()
    for i in range(WARM_UP + MOST):
        _synchronize(device)
        started = time.perf_counter()
        for _ in range(turn):
            model.step(next(endless))
        _synchronize(device)
        if i >= WARM_UP:
            seconds.append((time.perf_counter() - started) / turn)
        if len(seconds) >= LEAST and time.monotonic() - began > ENOUGH_SECONDS:
            break
    return seconds


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _training_flops(model: Trainable, batches: list[Any], turn: int) -> float:
    """FLOPs of a training step, the mean over a turn."""
    with FlopCounterMode(display=False) as counter:
        for batch in islice(cycle(batches), turn):
            model.step(batch)
    return float(counter.get_total_flops()) / turn


def _translation_flops(model: Trainable, image: torch.Tensor) -> int:
    """FLOPs of one translation; 0 where the model translates nothing."""
    if not isinstance(model, CanTranslate):
        return 0
    with FlopCounterMode(display=False) as counter:
        model.translate(image.float().cpu())
    return int(counter.get_total_flops())


def _mark(device: torch.device) -> int:
    """Bytes in use now; what peaked earlier is forgotten where the system can forget."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak(device)


def _peak(device: torch.device) -> int:
    """Bytes at the peak since `_mark`, or of the process's life where that cannot be told."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.split("VmHWM:")[1].split()[0])
    except (OSError, IndexError, ValueError):
        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure_apart(task: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """`measure` in a fresh process, of params as JSON; {"failed": why} where it came to nothing."""
    command = [sys.executable, "-P", "-m", "core.replicates.cost"]
    root = str(Path(__file__).parents[2])
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([root, *([inherited] if inherited else [])])
    request = json.dumps({"task": task, "params": dict(params)})
    environment = {**os.environ, "PYTHONPATH": path}
    ended = subprocess.run(
        command, input=request, capture_output=True, text=True, env=environment, check=False
    )
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"]
        return {"failed": lines[-1].removeprefix("error: ")}
    figures: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return figures


def keep_cost(task: Task, params: Params, path: Path) -> None:
    """Write the cost of a step as JSON, unless the file has that of these parameters already."""
    wanted = params.model_dump(mode="json")
    known = read_json(path)
    if known.get("params") != wanted or "failed" in known:
        write_json(path, {**measure_apart(task.name, wanted), "params": wanted})


def main() -> int:
    """Measure what stdin asks for; exit status 2 for a user's mistake."""
    request = json.load(sys.stdin)
    try:
        task = load_task(request["task"])
        figures = measure(task, validate_params(task.params, request["params"]))
        print(json.dumps(figures, allow_nan=False))
    except (UserError, OSError) as error:
        return print_user_error(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
