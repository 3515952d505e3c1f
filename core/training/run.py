"""A trial from its parameters to its outcome: device, data, evaluator, signals, record."""

from __future__ import annotations

import errno
import gc
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from core.device import configure_torch, hardware, pick_device, seed_everything
from core.metrics.exam import ExamFailed, ExamPolicy, brief, failure, kept_exam, sentence, sit_once
from core.params import flag, validate_params
from core.record import Record
from core.task import (
    RUNTIME_FIELDS,
    Data,
    Evaluator,
    Outcome,
    OutcomeKind,
    Params,
    Task,
    Trial,
    UserError,
)
from core.training.choice import choose
from core.training.divergence import Diverged
from core.training.loop import last_score, train
from core.training.progress import Progress
from core.training.provenance import provenance
from core.training.signals import Interrupted, undisturbed

# The messages of PyTorch, its allocators and the CUDA libraries, on every platform.
OUT_OF_MEMORY = re.compile(
    "out of memory|can't allocate memory|cannot allocate memory|not enough memory|"
    "storage size calculation overflowed|_alloc_failed",
    re.IGNORECASE,
)


def run_trial(
    task: Task,
    trial: Trial,
    progress: Progress,
    runs: Path,
    exam: ExamPolicy = "skip",
    compute: Mapping[str, Any] | None = None,
) -> Outcome:
    """Train, score and record one trial, and report its outcome to its engine.

    Continues from the folder's checkpoint, if any. `compute` is its search's choice of how to
    compute steps (`core.training.choice`). A point of the search that the task refuses is
    a failed trial. Raises UserError for a mistake that is not the point's, ExamFailed as `prepare`
    does, and Interrupted again once the record is written.
    """
    record = Record(trial.workdir)
    started = time.monotonic()
    with record.running():
        _refuse_other_params(task, record, trial)
        choice = {"earlier": record.trial().get("compute"), "search": compute}
        outcome, stop = _attempt(task, trial, record, progress, runs, exam, choice)
        _free_memory()
        with undisturbed():
            record.end(outcome, time.monotonic() - started)
            progress.finished(outcome)
            trial.finish(outcome)
    if stop:
        raise stop
    return outcome


def _attempt(
    task: Task,
    trial: Trial,
    record: Record,
    progress: Progress,
    runs: Path,
    exam: ExamPolicy,
    choice: Mapping[str, Any],
) -> tuple[Outcome, Interrupted | UserError | None]:
    """How a trial ends, and what is to be raised again. The model dies with this call."""
    begun = False

    def begin(**facts: Any) -> None:
        nonlocal begun
        if not begun:
            record.begin({**_about(task, trial), **facts, **provenance()})
            progress.started(trial.number, trial.until)
        begun = True

    try:
        validate_params(task.params, dict(trial.params))  # an engine may propose what is refused
        device = configure_torch(trial.params)
        data, evaluator, facts = prepare(task, trial.params, progress, runs, exam)
        params, compute = choose(task, trial.params, data, device, runs, progress.once, **choice)
        what = {"data_fingerprint": data.fingerprint, "evaluator": dict(facts)}
        begin(**what, notes=data.notes, hardware=hardware(device), compute=compute)
        seed_everything(trial.params.seed)
        model = task.build(params, data, device)
        return train(task, model, evaluator, trial, record, progress), None
    except Interrupted as error:
        begin()
        reason = f"stopped by {error}"
        return Outcome(OutcomeKind.INTERRUPTED, reason, last_score(record)), error
    except UserError as error:
        at_fault = _point_at_fault(task, trial)
        if not at_fault and not begun:
            raise
        begin()
        outcome = Outcome(OutcomeKind.FAILED, str(error), last_score(record))
        return outcome, None if at_fault else error
    except Diverged as error:
        return Outcome(OutcomeKind.DIVERGED, str(error), last_score(record)), None
    except Exception as error:
        kind, reason = _classify(error)
        if kind is OutcomeKind.FAILED and not begun:
            raise
        begin()
        if kind is OutcomeKind.FAILED:
            progress.traceback()
        return Outcome(kind, reason, last_score(record)), None


def _classify(error: Exception) -> tuple[OutcomeKind, str]:
    """Out of memory, which has many messages, or a failure; with the reason."""
    first = str(error).split("\n")[0]
    lacking = isinstance(error, MemoryError | torch.OutOfMemoryError)
    lacking |= isinstance(error, OSError) and error.errno == errno.ENOMEM
    if lacking or (isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error))):
        reason = re.sub(r"^\[enforce fail at .*?\](?: err == 0\.)? *", "", first)
        return OutcomeKind.OUT_OF_MEMORY, reason or "out of memory"
    return OutcomeKind.FAILED, f"{type(error).__name__}: {first}"


def _free_memory() -> None:
    """Free what a trial held, for the next one in this process."""
    gc.collect()  # models hold themselves: without it two are in memory, or more
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _point_at_fault(task: Task, trial: Trial) -> bool:
    """Whether a mistake is the search point's own: with its values at their defaults there is none.

    A mistake that the defaults meet, too, would befall every trial of the search.
    """
    defaults = task.params()
    if all(getattr(trial.params, k, None) == getattr(defaults, k, None) for k in trial.searched):
        return False
    others = {k: v for k, v in dict(trial.params).items() if k not in trial.searched}
    try:
        params = validate_params(task.params, others)
        task.build(params, task.load(params), pick_device(params.device))
    except Exception:
        return False
    return True


def prepare(
    task: Task, params: Params, progress: Progress, runs: Path, exam: ExamPolicy = "skip"
) -> tuple[Data, Evaluator, Mapping[str, Any]]:
    """Load the data and the evaluator (trained now if need be), with notes for the user.

    Before a search the evaluator is to `pass` its exam, which it sits once: ExamFailed where it
    does not. With `sit` it sits the exam, whatever the result; with `skip` only an earlier exam is
    reported.
    """
    data = task.load(params)
    for note in data.notes:
        progress.once(note)
    evaluator = task.evaluator(params)
    facts = evaluator.prepare(data, runs / "evaluators", progress.once)
    if exam != "skip":
        result = sit_once(evaluator, data, facts, runs, progress.once)
        progress.once(sentence(result))
        if exam == "pass" and not result["passed"]:
            raise ExamFailed(failure(result))
    if known := kept_exam(runs, facts):
        facts = {**facts, "exam": brief(known)}
    return data, evaluator, facts


def _refuse_other_params(task: Task, record: Record, trial: Trial) -> None:
    """UserError when the folder holds the start of a trial with other parameters or other data."""
    about = record.trial()
    if not (before := about.get("params")):
        return
    after = trial.params.model_dump(mode="json", warnings=False)
    # an older version's trial knows fewer parameters
    before = {**type(trial.params)().model_dump(mode="json"), **before}
    known = about.get("data_fingerprint")
    same = RUNTIME_FIELDS | {"data"} if known else RUNTIME_FIELDS  # equal data may lie elsewhere
    changed = [k for k in after if k not in same and before.get(k) != after[k]]
    changes = [f"{flag(k)} {before.get(k)} is now {after[k]}" for k in changed]
    if known and (found := task.load(trial.params).fingerprint) != known:
        changes.append(f"data {known} is now {found}")
    if changes:
        raise UserError(
            f"{record.folder}: holds a trial with other parameters ({', '.join(changes)}); "
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
        "until": trial.until,
        "defaults": task.params().model_dump(mode="json"),
    }
