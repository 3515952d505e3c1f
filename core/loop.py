"""The only training loop: epochs, scores, early stopping, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from core.course import STUCK, Course, score_of
from core.divergence import finite_losses, finite_score
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
    course = Course(task, trial.params, *_resume(model, record))
    with _board(model, record, trial.params, len(course.lines)) as board:
        for epoch in range(len(course.lines) + 1, trial.params.epochs + 1):
            if course.over:
                break
            started = time.monotonic()
            losses, rate = _epoch(model, epoch, progress)
            samples = model.samples()
            score = finite_score(evaluator, samples, f"after epoch {epoch}")
            seconds = time.monotonic() - started
            parts, violations = dict(score.parts), dict(score.violations)
            line = EpochLine(epoch, losses, score.value, parts, violations, seconds, rate)
            course.add(line, samples, model)
            _keep(model, course, samples, record)
            if board:
                board.epoch(epoch, losses, score, samples)
            progress.scored(epoch, score, rate)
            hopeless = trial.report(epoch, score) and epoch < trial.params.epochs
            if hopeless and course.stuck < STUCK:
                return Ending(Outcome.PRUNED, f"hopeless after epoch {epoch}", score)
    return course.ending()


def _keep(model: Trainable, course: Course, samples: Samples, record: Record) -> None:
    """Write the epoch; with patience, pictures and networks of the best epoch so far."""
    best = course.best is course.lines[-1]
    if best or not course.params.patience:
        pictures = {"source": samples.source, "output": samples.output, "target": samples.target}
        for name, images in pictures.items():
            if images is not None:
                save_strip(record.samples / f"{name}.png", images)
    if best and course.params.patience:
        kept = {"epoch": len(course.lines), "model": model.state_dict()}
        replace(record.best, lambda file: torch.save(kept, file))
    record.write_epochs(course.lines)
    _checkpoint(model, record, course)  # last: a resumed trial redoes what it does not cover


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
        where = f"step {step} of epoch {epoch}"
        for name, value in finite_losses(model.step(batch), model.networks, where).items():
            sums[name] = sums.get(name, 0.0) + value
            counts[name] = counts.get(name, 0) + 1
        images += len(batch[0])
        progress.step(epoch, step, images, time.monotonic() - started)
    return {n: sums[n] / counts[n] for n in sums}, images / (time.monotonic() - started)


def _checkpoint(model: Trainable, record: Record, course: Course) -> None:
    state = {"epoch": len(course.lines), "signs": course.signs, "model": model.state_dict()}
    state["rng"] = torch.get_rng_state()
    if torch.cuda.is_available():
        state["cuda_rng"] = torch.cuda.get_rng_state_all()
    replace(record.checkpoint, lambda file: torch.save(state, file))


def _resume(model: Trainable, record: Record) -> tuple[list[EpochLine], list[str]]:
    """Load the checkpoint if there is one; the epochs it covers, and their signs of collapse."""
    if not record.checkpoint.is_file():
        return [], []
    state = torch.load(record.checkpoint, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    torch.set_rng_state(state["rng"])
    if "cuda_rng" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda_rng"][: torch.cuda.device_count()])
    lines = record.epochs()[: state["epoch"]]
    signs = state.get("signs") or [""] * len(lines)  # an earlier version's has none
    return lines, signs[: len(lines)]


def last_score(record: Record) -> Score | None:
    """The score of the last epoch recorded."""
    lines = record.epochs()
    return score_of(lines[-1]) if lines else None
