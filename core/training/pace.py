"""How long an epoch takes here, scoring included: measured on a few steps before a search."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import torch

from core.device import seed_everything
from core.task import Evaluator, Params, Task, UserError

ENOUGH = 5.0  # seconds of steps: a shared machine slows down for seconds at a time
FIRST = 3  # steps that warm up, or compile


def epoch_seconds(
    task: Task, params: Params, data: Any, evaluator: Evaluator, device: torch.device
) -> float:
    """Seconds of an epoch of a trial that has the machine for itself.

    The median of its first steps, as many times as an epoch has steps, and the outputs scored.
    UserError where not even these can be taken.
    """
    try:
        seed_everything(params.seed)
        model = task.build(params, data, device)
        times = list[float]()
        for step, batch in enumerate(model.batches()):
            started = time.perf_counter()
            model.step(batch)
            if device.type != "cpu":
                torch.accelerator.synchronize(device)
            times.append(time.perf_counter() - started)
            if step >= 2 * FIRST and sum(times[FIRST:]) > ENOUGH:
                break
        training = model.steps_per_epoch * median(times[FIRST:] or times)
        started = time.perf_counter()
        evaluator(model.outputs())
        return training + time.perf_counter() - started
    except (RuntimeError, MemoryError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"--timeout: an epoch cannot be timed here ({reason})") from None
