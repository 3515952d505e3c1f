"""The only training loop: epochs, scores, early stopping, checkpoints, divergence."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from core.pictures import save_strip
from core.progress import Progress
from core.record import EpochLine, Record, replace
from core.task import (
    Ending,
    Evaluator,
    Outcome,
    Params,
    Samples,
    Score,
    Task,
    Trainable,
    Trial,
)
from core.tensorboard import Board


class Diverged(Exception):
    """A loss or an output is no longer finite."""


def train(
    task: Task,
    model: Trainable,
    evaluator: Evaluator,
    trial: Trial,
    record: Record,
    progress: Progress,
) -> Ending:
    """Train from the folder's checkpoint, or the start, to the end; Diverged where it does.

    With patience the score is the best epoch's, which is what early stopping keeps.
    """
    lines = _resume(model, record)
    with _board(model, record, trial.params, len(lines)) as board:
        for epoch in range(len(lines) + 1, trial.params.epochs + 1):
            if _waited(task, lines, trial.params.patience):
                break
            started = time.monotonic()
            losses, rate = _epoch(model, epoch, progress)
            samples = model.samples()
            if not samples.output.isfinite().all():
                raise Diverged(f"non-finite output in epoch {epoch}")
            score = evaluator(samples)
            seconds = time.monotonic() - started
            parts, violations = dict(score.parts), dict(score.violations)
            lines.append(EpochLine(epoch, losses, score.value, parts, violations, seconds, rate))
            _keep(task, model, trial.params, samples, lines, record)
            if board:
                board.epoch(epoch, losses, score, samples)
            progress.scored(epoch, score, rate)
            if trial.report(epoch, score) and epoch < trial.params.epochs:
                return Ending(Outcome.PRUNED, f"hopeless after epoch {epoch}", score)
    return _completed(task, lines, trial.params)


def _keep(
    task: Task,
    model: Trainable,
    params: Params,
    samples: Samples,
    lines: list[EpochLine],
    record: Record,
) -> None:
    """Write the epoch; with patience, pictures and networks of the best epoch so far."""
    best = _best(task, lines) is lines[-1]
    if best or not params.patience:
        pictures = {"source": samples.source, "output": samples.output, "target": samples.target}
        for name, images in pictures.items():
            if images is not None:
                save_strip(record.samples / f"{name}.png", images)
    if best and params.patience:
        kept = {"epoch": len(lines), "model": model.state_dict()}
        replace(record.best, lambda file: torch.save(kept, file))
    record.write_epochs(lines)
    _checkpoint(model, record, len(lines))  # last: a resumed trial redoes what it does not cover


def _best(task: Task, lines: list[EpochLine]) -> EpochLine:
    best = lines[0]
    for line in lines:
        if task.objective.better(line.value, best.value):
            best = line
    return best


def _waited(task: Task, lines: list[EpochLine], patience: int) -> bool:
    """Whether so many epochs have brought nothing better."""
    return bool(patience and lines) and len(lines) - _best(task, lines).epoch >= patience


def _completed(task: Task, lines: list[EpochLine], params: Params) -> Ending:
    """The last epoch's score; with patience the best epoch's, which early stopping keeps."""
    line = _best(task, lines) if params.patience else lines[-1]
    stopped = _waited(task, lines, params.patience) and len(lines) < params.epochs
    reason = f"stopped after epoch {len(lines)}: none better since {line.epoch}" if stopped else ""
    return Ending(Outcome.COMPLETED, reason, _score(line))


@contextmanager
def _board(model: Trainable, record: Record, params: Params, epoch: int) -> Iterator[Board | None]:
    if not params.tensorboard:
        yield None
        return
    board = Board(record.folder / "tensorboard", model, params.tensorboard_layers, epoch)
    try:
        yield board
    finally:
        board.close()


def _epoch(model: Trainable, epoch: int, progress: Progress) -> tuple[dict[str, float], float]:
    """One pass over the training data: mean losses, and images a second."""
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    images, started = 0, time.monotonic()
    for step, batch in enumerate(model.batches(), 1):
        for name, value in _finite(model.step(batch), epoch, step).items():
            sums[name] = sums.get(name, 0.0) + value
            counts[name] = counts.get(name, 0) + 1
        images += len(batch[0])
        progress.step(epoch, step, images, time.monotonic() - started)
    return {n: sums[n] / counts[n] for n in sums}, images / (time.monotonic() - started)


def _finite(losses: Mapping[str, Tensor], epoch: int, step: int) -> dict[str, float]:
    """The losses as numbers, read from the device at once; Diverged where one is not finite."""
    values = torch.stack([loss.float() for loss in losses.values()]).tolist()
    named = dict(zip(losses, values, strict=True))
    for name, value in named.items():
        if not math.isfinite(value):
            raise Diverged(f"{name} is {value} at step {step} of epoch {epoch}")
    return named


def _checkpoint(model: Trainable, record: Record, epoch: int) -> None:
    state = {"epoch": epoch, "model": model.state_dict(), "rng": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda_rng"] = torch.cuda.get_rng_state_all()
    replace(record.checkpoint, lambda file: torch.save(state, file))


def _resume(model: Trainable, record: Record) -> list[EpochLine]:
    """Load the checkpoint if there is one; the epochs it covers."""
    if not record.checkpoint.is_file():
        return []
    state = torch.load(record.checkpoint, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    torch.set_rng_state(state["rng"])
    if "cuda_rng" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda_rng"][: torch.cuda.device_count()])
    return record.epochs()[: state["epoch"]]


def last_score(record: Record) -> Score | None:
    """The score of the last epoch recorded."""
    lines = record.epochs()
    return _score(lines[-1]) if lines else None


def _score(line: EpochLine) -> Score:
    return Score(line.value, line.parts, line.violations)
