"""Where a trial computes, how precisely, with how many threads, and from which seed."""

from __future__ import annotations

import os
import random
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass

import numpy as np
import psutil
import torch

from core.task import Params, UserError

MOST = 4  # a trial takes one to two gigabytes
BESIDE = 3 * 2**30  # bytes of a GPU that a trial takes beside its training: context, evaluator


def pick_device(name: str) -> torch.device:
    """The device for auto, cpu, cuda or mps; UserError when the machine lacks it."""
    found = ["cuda"] if torch.cuda.is_available() else []
    found += ["mps"] if torch.backends.mps.is_available() else []
    found += ["cpu"]
    if name != "auto" and name not in found:
        raise UserError(f"--device {name}: this machine has none; it has {', '.join(found)}")
    return torch.device(found[0] if name == "auto" else name)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """bf16 autocast or none; auto takes it where the hardware multiplies bf16 fast."""
    if precision == "auto":
        precision = "bf16" if fast_bf16(device) else "fp32"
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def fast_bf16(device: torch.device) -> bool:
    """Whether the device has units that multiply bf16."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


def configure_torch(params: Params) -> torch.device:
    """Set threads, precision and determinism as a trial wants them; return its device."""
    device = pick_device(params.device)
    torch.set_num_threads(thread_limit(params))
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(params.deterministic, warn_only=True)
        exact = params.precision == "fp32"
        torch.set_float32_matmul_precision("highest" if exact else "high")
        torch.backends.cudnn.allow_tf32 = not exact
    elif params.precision == "tf32":
        raise UserError(f"--precision tf32: a CUDA device has it, {device.type} has not; use fp32")
    return device


def cores() -> int:
    """The CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_limit = 0  # of this process; 0: none


def limit_threads(count: int) -> None:
    """Leave the other cores to other workers."""
    global _limit
    _limit = count


def thread_limit(params: Params) -> int:
    """The most CPU threads that a trial takes in this process."""
    return params.threads or _limit or cores()


class Busy:
    """How many cores other programs keep busy, from now on."""

    def __init__(self) -> None:
        self._before = self._spent()

    def cores(self) -> float:
        """The mean since this object was made, without this process and its children."""
        after = self._spent()
        others, ours, seconds = (b - a for a, b in zip(self._before, after, strict=True))
        return max(0.0, others - ours) / seconds if seconds > 0 else 0.0

    @staticmethod
    def _spent() -> tuple[float, float, float]:
        times, me = psutil.cpu_times(), psutil.Process()
        busy = sum(times) - times.idle - getattr(times, "iowait", 0.0)
        ours = sum(me.cpu_times()[:4])
        for child in me.children(recursive=True):
            with suppress(psutil.Error):
                ours += sum(child.cpu_times()[:2])
        return busy, ours, time.monotonic()


@dataclass(frozen=True)
class Share:
    """One worker's part of the machine: its CPU threads, and the GPU it sees where there are."""

    threads: int
    gpu: str | None = None


def shares(count: int) -> list[Share]:
    """The machine divided among so many workers; GPUs are handed round."""
    seen = gpus()
    return [
        Share(max(1, cores() // count), seen[i % len(seen)] if seen else None) for i in range(count)
    ]


def gpus() -> list[str]:
    """The CUDA devices this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named:
        return [name.strip() for name in named.split(",")][: torch.cuda.device_count()]
    return [str(i) for i in range(torch.cuda.device_count())]


def workers_for(params: Params, memory: int = 0) -> int:
    """How many trials this machine runs best at once: one a core, MOST of them; on GPUs, one each.

    Two CPU trials of one thread each are faster than one of two threads: the networks are small.
    Two trials share a GPU that has room for them: `memory` is what one was measured to take, bytes.
    """
    device = pick_device(params.device)
    if device.type == "cuda":
        room = torch.cuda.mem_get_info()[0] if memory else 0
        return max(1, len(gpus())) * (2 if room > 2 * (memory + BESIDE) else 1)
    if device.type != "cpu":
        return 1
    return max(1, min(cores() // (params.threads or 1), MOST))


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and PyTorch's generators (all devices)."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def hardware(device: torch.device) -> str:
    """The device in words, for the record."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"
