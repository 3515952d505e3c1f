"""The only training loop: epochs, scoring, checkpoints, signals, divergence, records.

`run_trial` is one trial, whoever proposed it; `main` is the entrypoint of `python -m trials.TASK`.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from core.device import hardware, seed_everything, use
from core.engines import nni
from core.engines.local import LocalTrial
from core.flags import add_flags, flag, given, make, report_mistake
from core.pictures import save_strip
from core.progress import Progress
from core.record import EpochLine, Record, valid_name
from core.signals import Interrupted, interruptible, undisturbed
from core.task import (
    SURROUNDINGS,
    Data,
    Ending,
    Evaluator,
    Outcome,
    Params,
    Score,
    Task,
    Trainable,
    Trial,
    UserError,
)

OUT_OF_MEMORY = "out of memory|can't allocate memory|not enough memory"


class Diverged(Exception):
    """A loss or an output is no longer finite."""


def run_trial(task: Task, trial: Trial, progress: Progress, runs: Path) -> Ending:
    """Train, score and record one trial, and tell its engine how it ended.

    Continues from the folder's checkpoint where there is one. Raises UserError for bad input,
    and Interrupted again once the record is written.
    """
    record = Record(trial.workdir)
    started = time.monotonic()
    with record.alive():
        device = use(trial.params)
        data, evaluator, judge = prepare(task, trial.params, progress, runs)
        _same_trial(record, trial)
        facts = {"judge": dict(judge), "notes": data.notes, "hardware": hardware(device)}
        record.begin({**_about(task, trial), **facts})
        progress.started(trial.number, trial.params.epochs)
        interrupt: Interrupted | None = None
        try:
            seed_everything(trial.params.seed)
            model = task.build(trial.params, data, device)
            ending = _train(model, evaluator, trial, record, progress)
        except Interrupted as error:
            interrupt = error
            ending = Ending(Outcome.INTERRUPTED, f"stopped by {error}", _last_score(record))
        except Diverged as error:
            ending = Ending(Outcome.DIVERGED, str(error), _last_score(record))
        except Exception as error:
            ending = _failure(error)
            if ending.outcome is Outcome.FAILED:
                progress.console.print_exception()
        with undisturbed():
            record.end(ending, time.monotonic() - started)
            progress.finished(ending)
            trial.finish(ending)
    if interrupt:
        raise interrupt
    return ending


def _failure(error: Exception) -> Ending:
    """Out of memory, which PyTorch says in several ways, or a failure."""
    first = str(error).split("\n")[0]
    memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if memory or (isinstance(error, RuntimeError) and re.search(OUT_OF_MEMORY, str(error))):
        return Ending(Outcome.OUT_OF_MEMORY, first or "out of memory")
    return Ending(Outcome.FAILED, f"{type(error).__name__}: {first}")


def prepare(
    task: Task, params: Params, progress: Progress, runs: Path
) -> tuple[Data, Evaluator, Mapping[str, Any]]:
    """Load the data and the judge (trained now if need be), saying what a person should know."""
    data = task.load(params)
    for note in data.notes:
        progress.once(note)
    evaluator = task.evaluator(params)
    return data, evaluator, evaluator.prepare(data, runs / "evaluators", progress.once)


def _same_trial(record: Record, trial: Trial) -> None:
    """UserError when the folder holds the start of a trial with other parameters."""
    before: dict[str, Any] = record.trial().get("params") or {}
    after = trial.params.model_dump(mode="json")
    changed = [k for k in after if k not in SURROUNDINGS and before and before.get(k) != after[k]]
    if changed:
        told = ", ".join(f"{flag(k)} {before.get(k)} is now {after[k]}" for k in changed)
        raise UserError(
            f"{record.folder}: holds a trial with other parameters ({told}); "
            "name another --study or --trial, or remove the folder"
        )


def _about(task: Task, trial: Trial) -> dict[str, Any]:
    return {
        "task": task.name,
        "study": trial.study,
        "number": trial.number,
        "engine": trial.engine,
        "objective": {"name": task.objective.name, "direction": task.objective.direction},
        "params": trial.params.model_dump(mode="json"),
        "searched": sorted(trial.searched),
        "defaults": task.params().model_dump(mode="json"),
    }


def _train(
    model: Trainable, evaluator: Evaluator, trial: Trial, record: Record, progress: Progress
) -> Ending:
    lines = _resume(model, record)
    score = _last_score(record)
    for epoch in range(len(lines) + 1, trial.params.epochs + 1):
        started = time.monotonic()
        losses, rate = _epoch(model, epoch, progress)
        samples = model.samples()
        if not samples.output.isfinite().all():
            raise Diverged(f"non-finite output in epoch {epoch}")
        score = evaluator(samples)
        seconds = time.monotonic() - started
        parts, violations = dict(score.parts), dict(score.violations)
        lines.append(EpochLine(epoch, losses, score.value, parts, violations, seconds, rate))
        save_strip(record.samples / "source.png", samples.source)
        save_strip(record.samples / "output.png", samples.output)
        record.write_epochs(lines)
        _checkpoint(model, record, epoch)  # last: a resumed trial redoes what it does not cover
        progress.scored(epoch, score, rate)
        if trial.report(epoch, score) and epoch < trial.params.epochs:
            return Ending(Outcome.PRUNED, f"hopeless after epoch {epoch}", score)
    return Ending(Outcome.COMPLETED, "", score)


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
    record.save_checkpoint(lambda file: torch.save(state, file))


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


def _last_score(record: Record) -> Score | None:
    lines = record.epochs()
    return Score(lines[-1].value, lines[-1].parts, lines[-1].violations) if lines else None


def main(task: Task, argv: list[str] | None = None) -> NoReturn:
    """Run one trial: NNI's when NNI started this process, else a standalone one; then exit.

    Exit status: 0 when the trial came to a score, 1 when it failed, 2 for a user's mistake. A
    signal ends the process by that same signal, so that NNI sees a cancelled trial.
    """
    arguments = _parser(task).parse_args(argv)
    try:
        with interruptible(), Progress() as progress:
            trial = _trial(task, arguments)
            ending = run_trial(task, trial, progress, arguments.runs)
            progress.say(f"record: {trial.workdir}")
    except (UserError, OSError) as error:
        sys.exit(report_mistake(error))
    except Interrupted as error:
        signal.signal(error.signum, signal.SIG_DFL)
        os.kill(os.getpid(), error.signum)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing left to save: no traceback at exit
    sys.exit(0 if ending.outcome in (Outcome.COMPLETED, Outcome.DIVERGED, Outcome.COLLAPSED) else 1)


def _trial(task: Task, arguments: argparse.Namespace) -> Trial:
    if nni.present():
        return nni.next_trial(task.params, given(arguments), arguments.runs, task.objective)
    params = make(task.params, given(arguments))
    name = arguments.trial or time.strftime("%Y%m%d-%H%M%S")
    workdir = arguments.runs / valid_name(arguments.study) / valid_name(name)
    return LocalTrial(params, {}, arguments.study, workdir)


def _parser(task: Task) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m trials.{task.name}",
        description=f"One trial of {task.name}: {task.summary}. Every default is the published "
        "baseline's. Inside an NNI experiment, NNI's parameters go before these flags.",
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where records go (runs)")
    parser.add_argument("--study", default="standalone", help="the study to file it under")
    parser.add_argument("--trial", help="its name (default: the time); an unfinished one continues")
    add_flags(parser, task.params)
    return parser
