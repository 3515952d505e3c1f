"""What a task costs to train: parameters, FLOPs, time and memory, measured in a fresh process.

`python -m core.replicates.cost` reads {"task": name, "params": {...}} from stdin and prints the
JSON of `measure`.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from core.device import configure_torch, hardware, seed_everything
from core.files import read_json, write_json
from core.params import load_task, validate_params
from core.task import CanTranslate, Params, Task

KEPT = 4  # batches
MOST_SECONDS = 10.0
GPU, PROCESS = "GPU memory", "process memory"


def measure(task: Task, params: Params) -> dict[str, Any]:
    """Build the model and train it for a moment; numbers unrounded, FLOPs per image, bytes.

    A step is the mean over a turn of `d_steps_per_g` steps, after any head start of the
    discriminator; its time is the median over turns. The memory is the peak of training: on CUDA
    what PyTorch allocated, elsewhere the process's resident memory beyond that without the model.
    """
    from torch.utils.benchmark import Timer  # logs, here into a pipe, where CUDA has no GPU

    if hasattr(params, "d_head_start"):
        params = params.model_copy(update={"d_head_start": 0})
    device = configure_torch(params)
    data = task.load(params)
    seed_everything(params.seed)
    before = _mark(device)
    model = task.build(params, data, device)
    first, *others = islice(model.batches(), KEPT)
    images, turn = len(first[0]), int(getattr(params, "d_steps_per_g", 1))
    # A smaller last batch would pass for a fast step.
    endless = cycle([first, *(batch for batch in others if len(batch[0]) == images)])

    def train() -> None:
        for batch in islice(endless, turn):
            model.step(batch)
        if device.type != "cpu":
            torch.accelerator.synchronize(device)

    timer = Timer("train()", globals={"train": train}, num_threads=torch.get_num_threads())
    timed = timer.adaptive_autorange(max_run_time=MOST_SECONDS)
    seconds, memory = timed.median / turn, _peak(device) - before
    networks, translated = list(model.networks.values()), 0
    if isinstance(model, CanTranslate):
        translated = _flops(model.translate, first[0][:1].float().cpu())
    return {
        "parameters": count_parameters(networks),
        "parameters_output": count_parameters(networks[:1]),
        "flops_train_image": _flops(train) / turn / images,
        "flops_translate_image": translated,
        "step_ms": 1000 * seconds,
        "items_per_second": images / seconds,
        "batch": images,
        "timed_steps": timed.number_per_run * len(timed.times) * turn,
        "memory_bytes": max(0, memory),
        "memory_of": GPU if device.type == "cuda" else PROCESS,
        "hardware": hardware(device),
    }


def count_parameters(networks: Iterable[nn.Module]) -> int:
    """How many numbers are trained; what networks share counts once."""
    return sum({id(p): p.numel() for net in networks for p in net.parameters()}.values())


def _flops(function: Callable[..., object], *arguments: object) -> int:
    with FlopCounterMode(display=False) as counter:
        function(*arguments)
    return int(counter.get_total_flops())


def _mark(device: torch.device) -> int:
    """Bytes in use now; what peaked earlier is forgotten where the system can forget."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return _peak(device)


def _peak(device: torch.device) -> int:
    """Bytes at the peak since `_mark`, or of the process's life where that is unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError, IndexError):
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return 1024 * int(status.split("VmHWM:")[1].split()[0])
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure_apart(task: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """`measure` in a fresh process, of params as JSON; {"failed": why} where it came to nothing."""
    command = [sys.executable, "-P", "-m", "core.replicates.cost"]
    path = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    request = json.dumps({"task": task, "params": dict(params)})
    ended = subprocess.run(
        command, input=request, capture_output=True, encoding="utf-8", env=environment
    )
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() if ended.returncode > 0 else []
        reason = lines[-1] if lines else f"exit status {ended.returncode}"
        return {"failed": reason.removeprefix("core.task.UserError: ")}
    figures: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return figures


def keep_cost(task: Task, params: Params, path: Path) -> None:
    """Write a step's cost as JSON, unless the file has that of these parameters already."""
    wanted = params.model_dump(mode="json")
    known = read_json(path)
    if known.get("params") != wanted or "failed" in known:
        write_json(path, {**measure_apart(task.name, wanted), "params": wanted})


def main() -> None:
    """Measure what stdin asks for."""
    request = json.load(sys.stdin)
    task = load_task(request["task"])
    figures = measure(task, validate_params(task.params, request["params"]))
    print(json.dumps(figures, allow_nan=False))


if __name__ == "__main__":
    main()
