"""Runs with given parameters: a best trial with other seeds or less data, a baseline many times.

Each is a trial of its own folder. Several processes may work on one list: whoever holds the lock of
a run's record makes it, and what is at an end that another attempt would only repeat is not made
again.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.device import workers_for
from core.files import now, read_json, write_json
from core.params import load_task, validate_params
from core.record import Record
from core.replicates.cost import measure_apart
from core.search.workers import run_workers
from core.task import RUNTIME_FIELDS, Outcome, OutcomeKind, Params, Task, UserError
from core.training.progress import Progress
from core.training.run import run_trial
from core.training.standalone import StandaloneTrial

DATA = "data_fraction"
FINAL = (OutcomeKind.COMPLETED, OutcomeKind.DIVERGED, OutcomeKind.COLLAPSED)
WAIT = 2.0
RETRIES = 3


@dataclass(frozen=True)
class Run:
    """A run to be made: its record's folder, its parameters, and which of them a search chose."""

    name: str
    number: int
    params: Params
    searched: tuple[str, ...] = ()


@dataclass(frozen=True)
class Runs:
    """Runs of one task, filed under a study; a job for workers.

    `unseen`: the evaluator that no search uses scores them, where the task has one.
    """

    task: str
    runs: Path
    study: str
    wanted: tuple[Run, ...]
    holdout: bool = False
    threads: int = 0
    pool: bool = False
    since: str = field(default_factory=now)

    def with_threads(self, threads: int) -> Runs:
        """The same for a worker with so many threads; a run that names its own keeps them."""
        return dataclasses.replace(self, threads=threads, pool=True)

    def open(self) -> tuple[Task, Callable[[Callable[[str], None]], Iterator[StandaloneTrial]]]:
        """The task, and what yields the runs that this process is to make."""
        task = load_task(self.task)
        return task.with_holdout_evaluator() if self.holdout else task, self.trials

    def record(self, run: Run) -> Record:
        """Where a run is kept."""
        return Record(self.runs / self.study / run.name)

    def trials(self, say: Callable[[str], None]) -> Iterator[StandaloneTrial]:
        """Yield each run that nobody has made or is making; then wait for those of others.

        A worker does not wait: of those that die, its pool takes care.
        """
        while True:
            busy = False
            for run in self.wanted:
                with ExitStack() as held:
                    try:
                        held.enter_context(self.record(run).running())
                    except UserError:
                        busy = True
                        continue
                    if not self.ended(run) and self._may_try(run):
                        yield self._trial(run)
            if not busy or self.pool:
                return
            say("waiting for runs that another process is making; Ctrl-C leaves them to it")
            time.sleep(WAIT)

    def ended(self, run: Run) -> OutcomeKind | None:
        """How a run has ended, unless it is to be tried again; UserError for other parameters."""
        record = self.record(run)
        outcome = record.outcome() if _begun(record, run.params) else None
        if outcome is None or outcome.kind is OutcomeKind.INTERRUPTED:
            return None
        lately = str(read_json(record.folder / "outcome.json").get("ended", "")) >= self.since
        return outcome.kind if lately or outcome.kind in FINAL else None

    def _may_try(self, run: Run) -> bool:
        """Count an attempt; a run that keeps killing its process is a failed one."""
        record = self.record(run)
        known = read_json(record.folder / "attempts.json")
        before = int(known.get("attempts", 0)) if known.get("since") == self.since else 0
        if before > RETRIES:
            record.end(Outcome(OutcomeKind.FAILED, f"its process was killed {before} times"), 0.0)
            return False
        attempts = {"since": self.since, "attempts": before + 1}
        write_json(record.folder / "attempts.json", attempts)
        return True

    def _trial(self, run: Run) -> StandaloneTrial:
        params = run.params
        if self.threads and not params.threads:
            params = params.model_copy(update={"threads": self.threads})
        values = params.model_dump()
        searched = {name: values[name] for name in run.searched if name in values}
        return StandaloneTrial(params, self.study, self.record(run).folder, run.number)


def make_runs(wanted: Runs, workers: int | None) -> None:
    """Make the runs, several at once where the machine can; `workers` None: as many as it can.

    Raises UserError where a folder holds a run of other parameters.
    """
    task, trials = wanted.open()
    with Progress(len(wanted.wanted), task.objective.direction == "maximize") as progress:
        for run in wanted.wanted:
            if (kind := wanted.ended(run)) is None:
                progress.say(f"trial {run.number}: {run.name} of {wanted.study}")
            else:
                outcome = wanted.record(run).outcome()
                value = outcome.score.value if outcome and outcome.score else None
                progress.seen(kind, value, run.number)
        left = len(wanted.wanted) - sum(progress.ended.values())
        if not left:
            return
        most = workers or workers_for(wanted.wanted[0].params)
        if (count := min(most, left)) > 1:
            run_workers(wanted, count, progress)
        for trial in trials(progress.once):
            run_trial(task, trial, progress, wanted.runs)


def changed(
    task: Task, params: Params, changes: Mapping[str, Mapping[str, Any]], searched: Sequence[str]
) -> tuple[Run, ...]:
    """A run for each of these changes to the parameters, by the name of its folder."""
    return tuple(
        Run(
            name,
            number,
            validate_params(task.params, {**params.model_dump(), **change}, name),
            (*searched,),
        )
        for number, (name, change) in enumerate(changes.items(), 1)
    )


def as_recorded(task: Task, recorded: Mapping[str, Any], where: str, **changes: Any) -> Params:
    """The parameters of a record, changed; where and how it ran is this machine's to say."""
    kept = {k: v for k, v in recorded.items() if k not in RUNTIME_FIELDS}
    return validate_params(task.params, {**kept, **changes}, where)


def with_less(params: Params, fraction: float) -> dict[str, Any]:
    """What trains on a share of the data (0 to 1) for as many steps."""
    longer = {"epochs": round(params.epochs / fraction)}
    if params.patience:
        longer["patience"] = round(params.patience / fraction)
    return {DATA: fraction, **longer}


def _begun(record: Record, params: Params) -> bool:
    """Whether the folder holds a run with these parameters; UserError when it is of others."""
    before = record.trial().get("params")
    after = params.model_dump(mode="json")
    unlike = [k for k in after if before and k not in RUNTIME_FIELDS and before.get(k) != after[k]]
    if unlike:
        raise UserError(
            f"{record.folder}: holds a run of other parameters ({', '.join(unlike)}), such as an "
            "earlier best trial's; name a new study, or remove the folder"
        )
    return bool(before)


def keep_cost(task: Task, params: Params, path: Path) -> None:
    """Write what a step costs as JSON, unless it lies there already."""
    asked = params.model_dump(mode="json")
    known = read_json(path)
    if known.get("params") != asked or "failed" in known:
        write_json(path, {**measure_apart(task.name, asked), "params": asked})
