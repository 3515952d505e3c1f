"""The networks of a trial on disk: written, read, and found again.

A checkpoint is a dict that `torch.load(weights_only=True)` reads: `epoch`, and under `model` the
Trainable's `state_dict()`; the last epoch's also holds what a resumed trial continues with.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from core.files import atomic_write
from core.record import Record
from core.task import Trainable, UserError


def save_checkpoint(path: Path, model: Trainable, epoch: int, **more: Any) -> None:
    """Write a model's state after an epoch (from 1), atomically."""
    state = {"epoch": epoch, "model": model.state_dict(), **more}
    atomic_write(path, lambda file: torch.save(state, file))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; UserError where it is missing, damaged or none."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(state, dict) and "model" in state:
            return state
        reason = "it holds no model"
    except (OSError, KeyError, RuntimeError, EOFError, ValueError, UnpicklingError) as error:
        reason = _first_line(error)
    raise UserError(f"{path}: cannot be used ({reason}); train the trial first, or again")


def last_good(record: Record, say: Callable[[str], None]) -> dict[str, Any]:
    """What a trial goes on from: its last checkpoint, its best one where that is damaged, or {}.

    Damage is said.
    """
    damaged = False
    for path in (record.checkpoint, record.best):
        if not path.is_file():
            break
        try:
            state = load_checkpoint(path)
        except UserError as error:
            damaged = True
            say(str(error).split("; ")[0])
        else:
            if damaged:
                say(f"{path}: the trial goes on from its best epoch, {state['epoch']}")
            return state
    if damaged:
        say(f"{record.folder}: the trial starts again")
    return {}


def networks_file(record: Record) -> Path:
    """The checkpoint to use a trial's networks from: its best epoch's, in old records its last."""
    return record.best if record.best.is_file() else record.checkpoint


def restore_networks(model: Trainable, record: Record) -> None:
    """Load a trial's best networks into a model that was built from its parameters."""
    path = networks_file(record)
    try:
        model.load_state_dict(load_checkpoint(path)["model"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(
            f"{path}: does not fit the trial's parameters ({_first_line(error)})"
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
