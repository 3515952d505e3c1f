"""A trial from its parameters to its ending: device, data, judge, signals, records.

`run_trial` is one trial, whoever proposed it; `main` is the entrypoint of `python -m trials.TASK`.
"""

from __future__ import annotations

import argparse
import errno
import gc
import os
import re
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch

from core.device import hardware, pick_device, seed_everything, use
from core.divergence import Diverged
from core.engines import nni
from core.engines.local import LocalTrial
from core.exam import Exam, ExamFailed, failure, in_a_sentence, in_brief, kept_exam, sit_once
from core.flags import add_flags, flag, given, make, report_mistake
from core.loop import last_score, train
from core.progress import Progress
from core.pruners import named
from core.record import Record, valid_name
from core.signals import Interrupted, interruptible, undisturbed
from core.task import (
    SURROUNDINGS,
    Data,
    Ending,
    Evaluator,
    Outcome,
    Params,
    Task,
    Trial,
    UserError,
)

# Endings of which an engine has heard a score.
TOLD = (Outcome.COMPLETED, Outcome.PRUNED, Outcome.DIVERGED, Outcome.COLLAPSED)
# What PyTorch, its allocators and the CUDA libraries call it, on every platform.
OUT_OF_MEMORY = re.compile(
    "out of memory|can't allocate memory|cannot allocate memory|not enough memory|"
    "storage size calculation overflowed|_alloc_failed",
    re.IGNORECASE,
)


def run_trial(
    task: Task, trial: Trial, progress: Progress, runs: Path, exam: Exam = "skip"
) -> Ending:
    """Train, score and record one trial, and tell its engine how it ended.

    Continues from the folder's checkpoint where there is one. A point of the search that the task
    refuses is a failed trial. Raises UserError for a mistake that is not the point's, ExamFailed as
    `prepare` does, and Interrupted again once the record is written.
    """
    record = Record(trial.workdir)
    started = time.monotonic()
    with record.alive():
        _same_trial(record, trial)
        ending, stop = _attempt(task, trial, record, progress, runs, exam)
        if ending.outcome is Outcome.OUT_OF_MEMORY:
            _free()
        with undisturbed():
            record.end(ending, time.monotonic() - started)
            progress.finished(ending)
            trial.finish(ending)
    if stop:
        raise stop
    return ending


def _attempt(
    task: Task, trial: Trial, record: Record, progress: Progress, runs: Path, exam: Exam
) -> tuple[Ending, Interrupted | UserError | None]:
    """How a trial ends, and what is to be raised again once that is told.

    The model is this function's alone: when it returns, its memory is free.
    """
    begun = False

    def begin(**facts: Any) -> None:
        nonlocal begun
        if not begun:
            record.begin({**_about(task, trial), **facts})
            progress.started(trial.number, trial.params.epochs)
        begun = True

    try:
        make(task.params, dict(trial.params))  # an engine may propose what the task refuses
        device = use(trial.params)
        data, evaluator, judge = prepare(task, trial.params, progress, runs, exam)
        begin(judge=dict(judge), notes=data.notes, hardware=hardware(device))
        seed_everything(trial.params.seed)
        model = task.build(trial.params, data, device)
        return train(task, model, evaluator, trial, record, progress), None
    except Interrupted as error:
        begin()
        return Ending(Outcome.INTERRUPTED, f"stopped by {error}", last_score(record)), error
    except UserError as error:
        to_blame = _is_to_blame(task, trial)
        if not to_blame and not begun:
            raise
        begin()
        ending = Ending(Outcome.FAILED, str(error), last_score(record))
        return ending, None if to_blame else error
    except Diverged as error:
        return Ending(Outcome.DIVERGED, str(error), last_score(record)), None
    except Exception as error:
        outcome, reason = _failure(error)
        if outcome is Outcome.FAILED and not begun:
            raise
        begin()
        if outcome is Outcome.FAILED:
            progress.traceback()
        return Ending(outcome, reason, last_score(record)), None


def _failure(error: Exception) -> tuple[Outcome, str]:
    """Out of memory, which is said in several ways, or a failure; with the reason."""
    first = str(error).split("\n")[0]
    lacking = isinstance(error, MemoryError | torch.OutOfMemoryError)
    lacking |= isinstance(error, OSError) and error.errno == errno.ENOMEM
    if lacking or (isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error))):
        said = re.sub(r"^\[enforce fail at .*?\](?: err == 0\.)? *", "", first)
        return Outcome.OUT_OF_MEMORY, said or "out of memory"
    return Outcome.FAILED, f"{type(error).__name__}: {first}"


def _free() -> None:
    """Give back what a trial held that ran out of memory, for the next one in this process."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _is_to_blame(task: Task, trial: Trial) -> bool:
    """Whether a mistake is the search point's own: with its values at their defaults there is none.

    What the defaults meet, too, would befall every trial of the search.
    """
    defaults = task.params()
    if all(getattr(trial.params, k, None) == getattr(defaults, k, None) for k in trial.searched):
        return False
    others = {k: v for k, v in dict(trial.params).items() if k not in trial.searched}
    try:
        params = make(task.params, others)
        task.build(params, task.load(params), pick_device(params.device))
    except Exception:
        return False
    return True


def prepare(
    task: Task, params: Params, progress: Progress, runs: Path, exam: Exam = "skip"
) -> tuple[Data, Evaluator, Mapping[str, Any]]:
    """Load the data and the judge (trained now if need be), saying what a person should know.

    Before a search the judge is to `pass` its exam, which it sits once: ExamFailed where it does
    not. With `sit` it sits it and that is that; with `skip` only one kept from before is told of.
    """
    data = task.load(params)
    for note in data.notes:
        progress.once(note)
    evaluator = task.evaluator(params)
    facts = evaluator.prepare(data, runs / "evaluators", progress.once)
    if exam != "skip":
        sat = sit_once(evaluator, data, facts, runs, progress.once)
        progress.once(in_a_sentence(sat))
        if exam == "pass" and not sat["passed"]:
            raise ExamFailed(failure(sat))
    if known := kept_exam(runs, facts):
        facts = {**facts, "exam": in_brief(known)}
    return data, evaluator, facts


def _same_trial(record: Record, trial: Trial) -> None:
    """UserError when the folder holds the start of a trial with other parameters."""
    before: dict[str, Any] = record.trial().get("params") or {}
    after = trial.params.model_dump(mode="json", warnings=False)
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
        "params": trial.params.model_dump(mode="json", warnings=False),
        "searched": sorted(trial.searched),
        "defaults": task.params().model_dump(mode="json"),
    }


def main(task: Task, argv: list[str] | None = None) -> NoReturn:
    """Run one trial: NNI's when NNI started this process, else a standalone one; then exit.

    Exit status: 0 when the trial came to a score, 1 when it failed, 2 for a user's mistake. A
    signal ends the process by that same signal, so that NNI sees a cancelled trial.
    """
    arguments = _parser(task).parse_args(argv)
    try:
        with interruptible(), Progress() as progress:
            trial = _trial(task, arguments)
            ending = run_trial(task, trial, progress, arguments.runs, _exam(arguments))
            progress.say(f"record: {trial.workdir}")
    except (UserError, OSError) as error:
        sys.exit(report_mistake(error))
    except ExamFailed as error:
        sys.exit(f"error: {error}")
    except Interrupted as error:
        signal.signal(error.signum, signal.SIG_DFL)
        os.kill(os.getpid(), error.signum)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing left to save: no traceback at exit
    sys.exit(0 if ending.outcome in TOLD else 1)


def _exam(arguments: argparse.Namespace) -> Exam:
    """Whether the judge is to pass its exam: before the trials of a search."""
    if not nni.present():
        return "skip"
    return "sit" if arguments.ignore_exam else "pass"


def _trial(task: Task, arguments: argparse.Namespace) -> Trial:
    if nni.present():
        how = (arguments.runs, task.objective, arguments.pruner)
        return nni.next_trial(task.params, given(arguments), *how)
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
    told = "inside NNI: who stops the trial when those before it were better by then (none): "
    told += "median or, from epoch 3 on, median:3"
    parser.add_argument("--pruner", type=named("median", "none"), default="none", help=told)
    told = "inside NNI: train though the judge has failed its exam"
    parser.add_argument("--ignore-exam", action="store_true", help=told)
    add_flags(parser, task.params)
    return parser
