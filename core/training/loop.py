"""The only training loop: epochs, scores, early stopping, checkpoints."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import torch

from core.checkpoint import last_good, save_checkpoint
from core.data.pictures import save_strip
from core.record import EpochLine, Record
from core.task import (
    CanWarmUp,
    Evaluator,
    Outcome,
    OutcomeKind,
    Outputs,
    Score,
    Task,
    Trainable,
    Trial,
)
from core.training.divergence import LossSums, finite_score
from core.training.history import STUCK, History
from core.training.progress import Progress
from core.training.signals import undisturbed
from core.training.tensorboard import board_of


def train(
    task: Task,
    model: Trainable,
    evaluator: Evaluator,
    trial: Trial,
    record: Record,
    progress: Progress,
) -> Outcome:
    """Train from the folder's checkpoint, or the start, to the end or to the trial's rung.

    With patience the score is the best epoch's, which early stopping keeps. Raises Diverged.
    """
    history = History(task, trial.params, *_resume(model, last_good(record, progress.say), record))
    if not history.lines and isinstance(model, CanWarmUp):
        model.warm_up()
    with board_of(model, trial.params, record.folder, len(history.lines)) as board:
        for epoch in range(len(history.lines) + 1, trial.until + 1):
            if history.over:
                break
            started = time.monotonic()
            losses, rate = _epoch(model, epoch, progress)
            outputs = model.outputs()
            score = finite_score(evaluator, outputs, f"after epoch {epoch}")
            line = EpochLine(epoch, losses, score, time.monotonic() - started, rate)
            history.add(line, outputs, model)
            with undisturbed():  # a signal inside torch.save comes out as another error
                _keep(model, history, outputs, record)
            if board:
                board.epoch(epoch, losses, score, outputs)
            progress.scored(epoch, score, rate)
            hopeless = trial.report(epoch, score) and epoch < trial.params.epochs
            if hopeless and history.stuck < STUCK:
                return Outcome(OutcomeKind.PRUNED, f"hopeless after epoch {epoch}", score)
    if trial.until < trial.params.epochs and not history.over:
        reason = f"stopped at rung {trial.until} of {trial.params.epochs} epochs"
        return Outcome(OutcomeKind.PRUNED, reason, history.lines[-1].score)
    return history.outcome()


def _keep(model: Trainable, history: History, outputs: Outputs, record: Record) -> None:
    """Write the epoch, the networks of the best one so far, pictures of the one that counts."""
    best = history.best is history.lines[-1]
    if best or not history.params.patience:
        for name, images in outputs.pictures().items():
            save_strip(record.pictures / f"{name}.png", images)
    if best:
        save_checkpoint(record.best, model, len(history.lines))
    _checkpoint(model, record, history)  # with the epochs: none is lost, none is trained twice
    record.write_epochs(history.lines)


def _epoch(model: Trainable, epoch: int, progress: Progress) -> tuple[dict[str, float], float]:
    """One pass over the training data: mean losses, and items a second."""
    losses = LossSums(model.networks, epoch)
    items, started = 0, time.monotonic()
    for step, batch in enumerate(model.batches(), 1):
        losses.add(model.step(batch))
        items += len(batch[0])
        progress.step(epoch, step, items, time.monotonic() - started)
    return losses.means(), items / (time.monotonic() - started)


def _checkpoint(model: Trainable, record: Record, history: History) -> None:
    more: dict[str, Any] = {
        "lines": [asdict(line) for line in history.lines],
        "collapse_reasons": history.collapse_reasons,
        "rng": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        more["cuda_rng"] = torch.cuda.get_rng_state_all()
    save_checkpoint(record.checkpoint, model, len(history.lines), **more)


def _resume(
    model: Trainable, state: dict[str, Any], record: Record
) -> tuple[list[EpochLine], list[str]]:
    """Load a checkpoint, if any; the epochs it covers, and their reasons of collapse."""
    if not state:
        return [], []
    model.load_state_dict(state["model"])
    if "rng" in state:
        torch.set_rng_state(state["rng"])
    if "cuda_rng" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda_rng"][: torch.cuda.device_count()])
    saved = [EpochLine.parse(line) for line in state.get("lines", ())]
    lines = saved or record.epochs()[: state["epoch"]]  # older checkpoints hold no epochs
    record.write_epochs(lines)
    # version 0.1.0 called them signs
    reasons = state.get("collapse_reasons") or state.get("signs") or [""] * len(lines)
    return lines, reasons[: len(lines)]


def last_score(record: Record) -> Score | None:
    """The score of the last epoch recorded."""
    lines = record.epochs()
    return lines[-1].score if lines else None
