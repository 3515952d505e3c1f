"""An Optuna study that any number of processes, on any machine, work on together.

Trial 0 is the published baseline. A trial is asked for, locked and given its first heartbeat under
the study's lock, so that no share is taken twice and no trial is taken for dead that is not. A
grid's trials are its points, each once, in the seed's order; a queue's are those enqueued.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from core.params import validate_params
from core.record import Record
from core.search.artifacts import open_artifacts, upload
from core.search.attributes import (
    BROKEN,
    KEPT,
    NUMBER,
    SEARCHED,
    UNTIL,
    VALUES,
    folder_of,
    latest,
)
from core.search.config import GRID, QUEUE, SearchConfig, check_pruner
from core.search.promotion import Promotion
from core.search.recovery import Recovery, location
from core.search.rungs import KINDS, Rungs
from core.search.samplers import Grid, constrain, infeasibility, make_sampler
from core.search.setup import open_study
from core.search.space import Space
from core.search.storage import Storage, default_storage, open_storage
from core.task import Outcome, OutcomeKind, Params, Score, Task, UserError

INTERRUPTED_PATIENCE = 10.0
WAIT = 2.0


def open_search(config: SearchConfig, task: Task, patience: float = 0.0) -> Search:
    """Create or resume the study; UserError when set up otherwise, or away for `patience` s."""
    space = Space.parse(config.space, task.params, "the search space", config.sampler == QUEUE)
    params = config.params(task)
    if "epochs" not in space.fields:
        check_pruner(config.pruner, params.epochs)
        config.rungs(task)
    elif config.pruner.partition(":")[0] in KINDS:
        raise UserError(f"--pruner {config.pruner}: its trials have one length; search no epochs")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    open_artifacts(config.artifacts_location)
    url = config.storage or default_storage(config.runs)
    storage = open_storage(url, config.heartbeat, patience)
    config.folder.mkdir(parents=True, exist_ok=True)
    return Search(config, task, space, open_study(config, task, storage), storage)


@dataclass(frozen=True)
class OptunaTrial:
    """One trial of an Optuna study; `known` epochs were scored before it was cut short."""

    params: Params
    searched: Mapping[str, Any]
    study: str
    number: int
    workdir: Path
    search: Search
    trial: optuna.Trial
    known: int
    until: int
    engine: ClassVar[str] = "optuna"

    def report(self, epoch: int, score: Score) -> bool:
        """Report the epoch's score; True where the pruner stops the trial (of one objective only).

        The trial is interrupted where the database stays away, or says that another machine has
        taken the trial over.
        """
        if self.search.config.objectives:
            return False
        try:
            if epoch > self.known:
                self.trial.report(score.value, epoch)
            return self.trial.should_prune()
        except (StorageInternalError, UpdateFinishedTrialError):
            signal.raise_signal(signal.SIGTERM)
            return True

    def finish(self, outcome: Outcome) -> None:
        """Close the trial in the study; an interrupted one is enqueued again.

        Where the database is away the record has it all, and the next run tells the study.
        """
        if outcome.kind is OutcomeKind.INTERRUPTED:
            storage = self.search.storage
            storage.patience = min(storage.patience, INTERRUPTED_PATIENCE)
        with suppress(StorageInternalError, UpdateFinishedTrialError):
            self.search.close(self.trial, outcome, Record(self.workdir))


@dataclass(frozen=True)
class Search:
    """An Optuna study of a task: what is to be tried next, and what became of each trial."""

    config: SearchConfig
    task: Task
    space: Space
    study: optuna.Study
    storage: Storage

    @cached_property
    def rungs(self) -> Rungs | None:
        """Where trials stop before they go on, if its pruner is one of rungs."""
        return self.config.rungs(self.task)

    @property
    def recovery(self) -> Recovery:
        """Enqueues trials, and continues those whose process died."""
        return Recovery(self.config, self.study, self.storage, self.space)

    def trials(
        self, say: Callable[[str], None] = print, worker: bool = False
    ) -> Iterator[OptunaTrial]:
        """Propose trials until the study has all of its trials, those it already has included.

        Waits for trials of other machines, to continue one whose machine dies; for a queue, whose
        trials are all wanted, for those of other commands here, too (not in a `worker`).
        """
        while True:
            with ExitStack() as held:
                if trial := self._next(held):
                    yield trial
                    continue
            here_too = bool(self.rungs) or (self.config.sampler == QUEUE and not worker)
            over = self.config.budget and self.config.budget.left <= 0
            if over or not (others := self._elsewhere(here_too)):
                return
            if not self.rungs or others != [socket.gethostname()]:
                say(f"waiting for trials that run on {', '.join(others)}; Ctrl-C leaves them to it")
            time.sleep(WAIT)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the study's lock: no other process may ask or enqueue."""
        with self.storage.alone(self.config.study, self.config.folder):
            yield

    def take_up(self) -> None:
        """Enqueue the baseline first, and again every trial whose process is gone."""
        with self.locked():
            self._take_up()

    def baseline_first(self) -> None:
        """Enqueue the published defaults where the study is new; a grid has only its own points."""
        if self.config.sampler not in (GRID, QUEUE) and not self.study.get_trials(deepcopy=False):
            self.recovery.enqueue(self.task.params().model_dump(), {})

    def ended(self) -> Iterator[tuple[int, Outcome]]:
        """The trials that have ended, in this run or in earlier ones, by number."""
        for frozen in self.own(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL):
            if outcome := Record(self.workdir(frozen)).outcome():
                yield frozen.user_attrs[NUMBER], outcome

    def own(self, *states: TrialState) -> list[FrozenTrial]:
        """Trials in these states, without those that a later one continues."""
        trials = latest(self.study.get_trials(deepcopy=False))
        return [t for t in trials if not states or t.state in states]

    def taken(self) -> list[FrozenTrial]:
        """All but those that wait in the queue."""
        return self.own(*(s for s in TrialState if s is not TrialState.WAITING))

    def workdir(self, trial: FrozenTrial | optuna.Trial) -> Path:
        """The folder of its record."""
        return self.config.folder / folder_of(trial)

    def close(self, trial: optuna.Trial, outcome: Outcome, record: Record | None) -> None:
        """Tell the study how a trial ended, in the form that its sampler learns most from."""
        trial.set_user_attr("outcome", str(outcome.kind))
        trial.set_user_attr("reason", outcome.reason)
        trial.set_user_attr("parts", dict(outcome.score.parts) if outcome.score else {})
        if record:
            pictures = sorted(record.pictures.glob("*.png"))
            upload(self.config.artifacts_location, pictures, trial)
        if outcome.kind.reported:
            constrain(trial, self.config.sampler, outcome)
            if self.rungs:
                trial.set_user_attr(BROKEN, infeasibility(outcome))
        if outcome.kind is OutcomeKind.COMPLETED and outcome.score:
            self.study.tell(trial, self.values(outcome.score))
        elif outcome.kind is OutcomeKind.PRUNED:
            self.study.tell(trial, state=TrialState.PRUNED)
        elif outcome.kind.reported:  # diverged or collapsed
            objectives = self.config.objectives or (self.task.objective,)
            self.study.tell(trial, [o.worst for o in objectives])
        else:
            if outcome.kind is OutcomeKind.INTERRUPTED:
                self.recovery.requeue(trial)
            self.study.tell(trial, state=TrialState.FAIL)

    def values(self, score: Score) -> list[float]:
        """What the study searches for: the value, or the parts that were named."""
        if not self.config.objectives:
            return [score.value]
        return [float(score.parts.get(o.name, o.worst)) for o in self.config.objectives]

    def _elsewhere(self, here_too: bool) -> list[str]:
        """The machines at work on trials of the study; this one only where `here_too`."""
        places = {t.user_attrs.get("runs") for t in self.own(TrialState.RUNNING)}
        own = location(self.config.folder)
        return sorted(p.split(":")[0] for p in places if p and (here_too or p != own))

    def _take_up(self) -> list[FrozenTrial]:
        """The trials taken so far, once the baseline is enqueued and dead trials are closed."""
        # they are read once: with thousands of trials that is what asking costs
        if not (taken := self.taken()):
            self.baseline_first()
        running = [t for t in taken if t.state is TrialState.RUNNING]
        if self.recovery.fail_stale_trials(running, self.close):
            taken = self.taken()
        return taken

    def _complete(self, taken: list[FrozenTrial]) -> bool:
        """Whether no trial is left to be taken."""
        if self.config.sampler == QUEUE:
            return not self.own(TrialState.WAITING)
        if (budget := self.config.budget) and not budget.limited:
            return False
        return len(taken) >= self.config.trials

    def _too_late(self, taken: list[FrozenTrial]) -> bool:
        """Whether a new trial would slow those that run, and not reach its first stop in time."""
        budget = self.config.budget
        if not budget or all(t.state is not TrialState.RUNNING for t in taken):
            return False
        whole = self.config.params(self.task).epochs
        stop = self.rungs.after(len(taken), 0) if self.rungs else whole
        return budget.pace([Record(self.workdir(t)) for t in taken]) * stop > budget.left

    def _next(self, held: ExitStack) -> OptunaTrial | None:
        """The next trial, its lock and its heartbeat `held`; None when no share is left."""
        with self.locked():
            if self.config.budget and self.config.budget.left <= 0:
                return None
            taken = self._take_up()
            if not self.promoted(taken) and (self._complete(taken) or self._too_late(taken)):
                return None
            trial = self.ask(taken)
            number = trial.user_attrs.get(NUMBER, len(taken))
            trial.set_user_attr(NUMBER, number)
            workdir = self.workdir(trial)
            held.enter_context(Record(workdir).running())
            held.enter_context(_beating(self.storage, trial._trial_id))
            trial.set_user_attr("runs", location(self.config.folder))
            rung = self.stop_at_rung(trial, number)
            values = self.draw(trial)
        fixed = self.config.fixed
        try:
            params = validate_params(self.task.params, {**fixed, **values}, "the search space")
        except UserError:  # the trial says so itself when it is run, and fails
            params = validate_params(self.task.params, fixed).model_copy(update=values)
        known = Record(workdir).epochs()
        for line in () if self.config.objectives else known:
            trial.report(line.score.value, line.epoch)
        searched = {k: values[k] for k in trial.user_attrs.get(SEARCHED, values) if k in values}
        place = (self.config.study, number, workdir)
        until = rung or params.epochs
        return OptunaTrial(params, searched, *place, self, trial, len(known), until)

    def promoted(self, taken: list[FrozenTrial], anywhere: bool = False) -> bool:
        """Whether a trial that goes on to its next rung has been enqueued; see `Promotion`."""
        if not self.rungs:
            return False
        promotion = Promotion(self.rungs, self.study, self.recovery)
        return promotion.enqueue(len(taken), anywhere) is not None

    def stop_at_rung(self, trial: optuna.Trial, number: int) -> int:
        """The epoch after which a trial asked for stops for now, kept with it; 0 for the last."""
        rung: int = trial.user_attrs.get(UNTIL, 0)
        if self.rungs and not rung:
            rung = self.rungs.after(number, 0)
            trial.set_user_attr(UNTIL, rung)
        return rung

    def ask(self, taken: list[FrozenTrial]) -> optuna.Trial:
        """Ask for the trial after those taken: an enqueued one, or the sampler's; values later."""
        name, seed = self.config.sampler, self.config.seed
        if name == GRID:
            self.study.sampler = Grid(self.space, seed)
        else:
            together = any(t.state is TrialState.RUNNING for t in taken)
            conditional = self.space.conditional
            self.study.sampler = make_sampler(name, seed, len(taken), conditional, together)
        with warnings.catch_warnings():  # its heartbeats come from `_beating`
            warnings.filterwarnings("ignore", "Heartbeat of storage is supposed", UserWarning)
            return self.study.ask()

    def draw(self, trial: optuna.Trial) -> dict[str, Any]:
        """The values of a trial asked for, flat; the study keeps them with it."""
        kept: dict[str, Any] = trial.user_attrs.get(KEPT, {})
        values = self.space.draw(trial._suggest, kept)
        trial.set_user_attr(VALUES, values)
        return values


@contextmanager
def _beating(storage: Storage, trial_id: int) -> Iterator[None]:
    """Record a heartbeat every `heartbeat` seconds, from now on, that the trial's process lives."""
    storage.record_heartbeat(trial_id)
    over = threading.Event()

    def beat() -> None:
        with suppress(StorageInternalError):
            while not over.wait(storage.heartbeat):
                storage.record_heartbeat(trial_id)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
