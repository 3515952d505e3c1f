"""The same point again: a best trial with other seeds or less data, a baseline many times.

Replicates are trials of a study of their own whose sampler is a queue: enqueued with all their
parameters, taken by the same workers as a search's trials, and recovered in the same way. A run
that ended for good (completed, diverged or collapsed) is not made again; one that failed or ran
out of memory is tried again when it is asked for again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.device import configure_torch
from core.params import validate_params
from core.record import Record
from core.search.attributes import FOLDER, NUMBER, SEARCHED, folder_of
from core.search.config import SearchConfig, differences
from core.search.study import Search, open_search
from core.search.workers import run_search, task_of
from core.task import RUNTIME_FIELDS, Outcome, OutcomeKind, Params, Task, UserError
from core.training.progress import Progress
from core.training.provenance import scored_by
from core.training.run import prepare

DATA = "data_fraction"
FINAL = (OutcomeKind.COMPLETED, OutcomeKind.DIVERGED, OutcomeKind.COLLAPSED)


@dataclass(frozen=True)
class Replicate:
    """A run to be made: its record's folder, its parameters, and which of them a search chose.

    Its number in the study is that of its place in the queue, from 1, unless it has one. What its
    scores are compared with was `scored_by` this data and evaluator (core.training.provenance).
    """

    folder: str
    params: Params
    searched: tuple[str, ...] = ()
    number: int | None = None
    scored_by: Mapping[str, str] = field(default_factory=dict)

    def outcome(self, study: Path) -> Outcome | None:
        """How it ended for good, or None; UserError where the folder has other parameters."""
        record = Record(study / self.folder)
        before: dict[str, Any] = record.trial().get("params") or {}
        values = self.values
        if before and (changes := differences(before, values)):
            raise UserError(
                f"{record.folder}: holds a run of other parameters ({'; '.join(changes)}), such as "
                "an earlier best trial's; name a new study, or remove the folder"
            )
        outcome = record.outcome() if before else None
        return outcome if outcome and outcome.kind in FINAL else None

    @property
    def values(self) -> dict[str, Any]:
        """Its parameters but for where and how it runs, as JSON values."""
        return self.params.model_dump(mode="json", exclude=set(RUNTIME_FIELDS))


def run_replicates(config: SearchConfig, wanted: Sequence[Replicate]) -> None:
    """Make the runs of `wanted` that have not ended for good, several at once where possible.

    Returns when every run has ended, those of other processes included. Raises UserError where a
    folder holds a run of other parameters.
    """
    task = task_of(config)
    with Progress(len(wanted), task.objective.direction == "maximize") as progress:
        left = _left(config, wanted, progress)
        if not left:
            return
        _refuse_others(config, task, left, progress)
        search = open_search(config, task)
        search.take_up()
        with search.locked():
            _enqueue(search, left)
        params = validate_params(task.params, {**left[0].params.model_dump(), **config.fixed})
        run_search(search, params, len(left), progress)


def _refuse_others(
    config: SearchConfig, task: Task, left: Sequence[Replicate], progress: Progress
) -> None:
    """UserError where a run's data or evaluator is not what it is to be compared with."""
    for run in {tuple(run.scored_by.items()): run for run in left if run.scored_by}.values():
        params = validate_params(task.params, {**run.params.model_dump(), **config.fixed})
        configure_torch(params)
        data, _, facts = prepare(task, params, progress, config.runs)
        now = scored_by(data.fingerprint, {} if config.holdout else facts)
        if changes := differences(run.scored_by, now):
            raise UserError(
                f"{config.folder / run.folder}: its score would not compare with the study's "
                f"({'; '.join(changes)}); put that back, or search again under another --study"
            )


def _left(config: SearchConfig, wanted: Sequence[Replicate], progress: Progress) -> list[Replicate]:
    """The runs that are still to be made; the others are counted as seen."""
    left = []
    for number, run in enumerate(wanted):
        if outcome := run.outcome(config.folder):
            progress.seen(outcome, number)
        else:
            left.append(run)
            progress.say(f"queued: {run.folder} of {config.study}")
    return left


def _enqueue(search: Search, left: Sequence[Replicate]) -> None:
    """Enqueue the runs that neither wait nor run already, nor have just ended elsewhere."""
    known = {folder_of(t): t for t in search.own() if FOLDER in t.user_attrs}
    active = {name for name, t in known.items() if not t.state.is_finished()}
    numbers = {name: t.user_attrs[NUMBER] for name, t in known.items()}
    for run in left:
        if run.folder in active or run.outcome(search.config.folder):
            continue
        number = numbers.get(run.folder, run.number)
        if number is None:
            number = max(numbers.values(), default=0) + 1
        numbers[run.folder] = number
        attributes = {NUMBER: number, FOLDER: run.folder, SEARCHED: list(run.searched)}
        search.recovery.enqueue(run.values, attributes)


def variants(
    task: Task, params: Params, changes: Mapping[str, Mapping[str, Any]], searched: Sequence[str]
) -> list[Replicate]:
    """A run for each of these changes to the parameters, by the name of its folder."""
    return [
        Replicate(
            folder,
            validate_params(task.params, {**params.model_dump(), **change}, folder),
            tuple(searched),
        )
        for folder, change in changes.items()
    ]


def recorded_params(task: Task, recorded: Mapping[str, Any], source: str, **changes: Any) -> Params:
    """The parameters of a record, changed; where and how it ran is not taken over."""
    kept = {k: v for k, v in recorded.items() if k not in RUNTIME_FIELDS}
    return validate_params(task.params, {**kept, **changes}, source)


def with_less_data(params: Params, fraction: float) -> dict[str, Any]:
    """The changes that train on a share of the data (0 to 1) for as many steps."""
    changes: dict[str, Any] = {DATA: fraction, "epochs": round(params.epochs / fraction)}
    if params.patience:
        changes["patience"] = round(params.patience / fraction)
    return changes
