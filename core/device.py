"""Where a trial computes, how precisely, with how many threads, and from which seed."""

from __future__ import annotations

import os
import random
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch

from core.task import Params, UserError

MOST = 4  # a trial takes one to two gigabytes


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
        precision = "bf16" if _fast_bf16(device) else "fp32"
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


def configure_torch(params: Params) -> torch.device:
    """Set threads, precision and determinism as a trial wants them; return its device."""
    device = pick_device(params.device)
    torch.set_num_threads(params.threads or cores())
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(params.deterministic, warn_only=True)
        torch.backends.cudnn.benchmark = not params.deterministic
        exact = params.precision == "fp32"
        torch.set_float32_matmul_precision("highest" if exact else "high")
        torch.backends.cudnn.allow_tf32 = not exact
    elif params.precision == "tf32":
        raise UserError(f"--precision tf32: a CUDA device has it, {device.type} has not; use fp32")
    return device


def cores() -> int:
    """The CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def workers_for(params: Params) -> int:
    """How many trials this machine runs best at once: one a GPU, else one a core, MOST of them.

    Two CPU trials of one thread each are faster than one of two threads: the networks are small.
    """
    device = pick_device(params.device)
    if device.type != "cpu":
        return max(1, len(gpus()))
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
