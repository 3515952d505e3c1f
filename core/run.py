"""A trial from its parameters to its ending: device, data, judge, signals, records.

`run_trial` is one trial, whoever proposed it; `main` is the entrypoint of `python -m trials.TASK`.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch

from core.device import hardware, seed_everything, use
from core.engines import nni
from core.engines.local import LocalTrial
from core.flags import add_flags, flag, given, make, report_mistake
from core.loop import Diverged, last_score, train
from core.progress import Progress
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

OUT_OF_MEMORY = "out of memory|can't allocate memory|not enough memory"


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
        mistake: UserError | None = None
        try:
            seed_everything(trial.params.seed)
            model = task.build(trial.params, data, device)
            ending = train(task, model, evaluator, trial, record, progress)
        except Interrupted as error:
            interrupt = error
            ending = Ending(Outcome.INTERRUPTED, f"stopped by {error}", last_score(record))
        except Diverged as error:
            ending = Ending(Outcome.DIVERGED, str(error), last_score(record))
        except UserError as error:
            mistake = error
            ending = Ending(Outcome.FAILED, str(error))
        except Exception as error:
            ending = _failure(error)
            if ending.outcome is Outcome.FAILED:
                progress.console.print_exception()
        with undisturbed():
            record.end(ending, time.monotonic() - started)
            progress.finished(ending)
            trial.finish(ending)
    if stopped := interrupt or mistake:
        raise stopped
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
