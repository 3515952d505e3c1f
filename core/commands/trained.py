"""What `translate` and `generate` begin with: the networks of a trial."""

from __future__ import annotations

import argparse
from typing import Any

from core.params import load_task, validate_params
from core.record import Record
from core.task import Params, Task, UserError


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where the networks are to run."""
    message = "where to compute (default: the trial's device, or auto where that is missing)"
    parser.add_argument("--device", choices=["auto", "cpu", "cuda", "mps"], help=message)


def trained_trial(record: Record, device: str | None) -> tuple[Task, Params]:
    """The task of a trial and its parameters, for a device of this machine."""
    about = record.trial()
    if "params" not in about or not isinstance(about.get("task"), str):
        raise UserError(f"{record.folder}: holds no trial (a folder such as runs/demo/0003 does)")
    task = load_task(about["task"])
    source = str(record.folder / "trial.json")
    return task, _on_device(validate_params(task.params, about["params"], source), device)


def _on_device(params: Params, wanted: str | None) -> Params:
    """The parameters for a device of this machine: the one that is wanted, or the trial's, or any.

    UserError where the machine lacks the one that is wanted.
    """
    from core.device import pick_device

    try:
        device = pick_device(wanted or params.device).type
    except UserError:
        if wanted:
            raise
        device = pick_device("auto").type
        print(f"this machine has no {params.device}, where the trial was trained: using {device}")
    exact = params.precision == "tf32" and device != "cuda"  # no other device has it
    precision = "fp32" if exact else params.precision
    return params.model_copy(update={"device": device, "precision": precision})


def trained_model(record: Record, task: Task, params: Params) -> Any:
    """The trial's model with its best networks."""
    from core.checkpoint import restore_networks
    from core.device import configure_torch

    device = configure_torch(params)
    if task.inference:
        model = task.inference(params, device)
    else:
        try:
            data = task.load(params)
        except UserError as error:
            what = f"{task.name} needs its data"
            raise UserError(f"{record.folder}: {what}: {error}") from None
        model = task.build(params, data, device)
    restore_networks(model, record)
    return model
