"""Optuna proposes: a study that any number of processes, on any machine, work on together.

Trial 0 is the published baseline. A trial is asked for, locked and given its first heartbeat while
nobody else may ask, so that no share is taken twice and none is believed dead that is not. A grid's
trials are its points, each once, in the seed's order.
"""

from __future__ import annotations

import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from core.params import validate_params
from core.record import Record
from core.search.artifacts import upload
from core.search.constraints import constrain
from core.search.grid import GRID, Grid
from core.search.recovery import KEPT, NUMBER, VALUES, Recovery, number_of, place
from core.search.samplers import make_sampler
from core.search.space import Space
from core.search.storage import PatientStorage
from core.task import Objective, Outcome, OutcomeKind, Params, Score, Task, UserError

# Endings that teach the sampler something.
TOLD = (OutcomeKind.COMPLETED, OutcomeKind.PRUNED, OutcomeKind.DIVERGED, OutcomeKind.COLLAPSED)
INTERRUPTED_PATIENCE = 10.0
WAIT = 2.0


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
    engine: ClassVar[str] = "optuna"

    def report(self, epoch: int, score: Score) -> bool:
        """Give the pruner the epoch's score; True when it sees no hope, which it never does of two.

        Where the database stays away, or says that another machine has taken the trial over, it
        is interrupted.
        """
        if self.search.objectives:
            return False
        try:
            if epoch > self.known:
                self.trial.report(score.value, epoch)
            return self.trial.should_prune()
        except (StorageInternalError, UpdateFinishedTrialError):
            signal.raise_signal(signal.SIGTERM)
            return True

    def finish(self, outcome: Outcome) -> None:
        """Close the trial in the study; one cut short is queued again.

        Where the database is away the record has it all, and the next run tells the study.
        """
        if outcome.kind is OutcomeKind.INTERRUPTED:
            storage = self.search.storage
            storage.patience = min(storage.patience, INTERRUPTED_PATIENCE)
        with suppress(StorageInternalError, UpdateFinishedTrialError):
            self.search.close(self.trial, outcome, Record(self.workdir))


@dataclass(frozen=True)
class Search:
    """An Optuna study of a task: who is to be tried next, and what became of them."""

    study: optuna.Study
    storage: PatientStorage
    task: Task
    space: Space
    fixed: Mapping[str, str]
    sampler: str
    pruner: str
    seed: int
    folder: Path
    retries: int
    artifacts: str
    objectives: tuple[Objective, ...] = ()

    def trials(self, total: int, say: Callable[[str], None] = print) -> Iterator[OptunaTrial]:
        """Propose trials until the study has `total`, those it already has included.

        Waits for trials of other machines, to continue one whose machine dies.
        """
        while True:
            with ExitStack() as held:
                if trial := self._next(total, held):
                    yield trial
                    continue
            if not (others := self._elsewhere()):
                return
            say(f"waiting for trials that run on {', '.join(others)}; Ctrl-C leaves them to it")
            time.sleep(WAIT)

    def take_up(self) -> None:
        """Queue the baseline first, and again every trial whose process is gone."""
        with self.storage.alone(self.study.study_name, self.folder):
            self._take_up()

    def baseline_first(self) -> None:
        """Queue the published defaults, where the study is new.

        A grid has only its own points: the baseline is tried where it is one of them.
        """
        if self.sampler != GRID and not self.study.get_trials(deepcopy=False):
            self._recovery.enqueue(self.task.params().model_dump(), {})

    def ended(self) -> Iterator[tuple[int, Outcome]]:
        """The trials that have ended, in this run or in earlier ones, by number."""
        for frozen in self.own(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL):
            if outcome := Record(self.workdir(frozen)).outcome():
                yield number_of(frozen), outcome

    def own(self, *states: TrialState) -> list[FrozenTrial]:
        """Trials in these states, without those that a later one continues."""
        trials = self.study.get_trials(deepcopy=False, states=states or None)
        return [t for t in trials if not t.user_attrs.get("continued")]

    def workdir(self, trial: FrozenTrial) -> Path:
        """Where its record lies."""
        return self.folder / f"{number_of(trial):04d}"

    def close(self, trial: optuna.Trial, outcome: Outcome, record: Record | None) -> None:
        """Tell the study how a trial ended, in the form its sampler learns most from."""
        trial.set_user_attr("outcome", str(outcome.kind))
        trial.set_user_attr("reason", outcome.reason)
        trial.set_user_attr("parts", dict(outcome.score.parts) if outcome.score else {})
        if record:
            upload(self.artifacts, sorted(record.pictures.glob("*.png")), trial)
        if outcome.kind in TOLD:
            constrain(trial, self.sampler, outcome)
        if outcome.kind is OutcomeKind.COMPLETED and outcome.score:
            self.study.tell(trial, self.values(outcome.score))
        elif outcome.kind is OutcomeKind.PRUNED:
            self.study.tell(trial, state=TrialState.PRUNED)
        elif outcome.kind in (OutcomeKind.DIVERGED, OutcomeKind.COLLAPSED):
            self.study.tell(trial, [o.worst for o in self.objectives or (self.task.objective,)])
        else:
            if outcome.kind is OutcomeKind.INTERRUPTED:
                self._recovery.queue_again(trial, outcome)
            self.study.tell(trial, state=TrialState.FAIL)

    def values(self, score: Score) -> list[float]:
        """What the study searches for: the value, or the parts that were named."""
        if not self.objectives:
            return [score.value]
        return [float(score.parts.get(o.name, o.worst)) for o in self.objectives]

    @property
    def _recovery(self) -> Recovery:
        return Recovery(self)

    def _elsewhere(self) -> list[str]:
        """The machines, but this one, that are at work on trials of the study."""
        places = {t.user_attrs.get("runs") for t in self.own(TrialState.RUNNING)}
        return sorted(p.split(":")[0] for p in places if p and p != place(self.folder))

    def _take_up(self) -> list[FrozenTrial]:
        """The trials taken so far, once the baseline is queued and the dead are closed.

        They are read once: with thousands of them that is what asking takes.
        """
        if not (taken := self._taken()):
            self.baseline_first()
        if self._recovery.fail_stale_trials([t for t in taken if t.state is TrialState.RUNNING]):
            taken = self._taken()
        return taken

    def _taken(self) -> list[FrozenTrial]:
        return self.own(*(s for s in TrialState if s is not TrialState.WAITING))

    def _next(self, total: int, held: ExitStack) -> OptunaTrial | None:
        """The next trial, its lock and its heartbeat `held`; None when no share is left."""
        with self.storage.alone(self.study.study_name, self.folder):
            taken = self._take_up()
            if len(taken) >= total:
                return None
            trial = self.ask(taken)
            number = trial.user_attrs.get(NUMBER, len(taken))
            workdir = self.folder / f"{number:04d}"
            held.enter_context(Record(workdir).running())
            held.enter_context(_beating(self.storage, trial._trial_id))
            trial.set_user_attr("runs", place(self.folder))
            trial.set_user_attr(NUMBER, number)
            searched = self.draw(trial)
        try:
            params = validate_params(
                self.task.params, {**self.fixed, **searched}, "the search space"
            )
        except UserError:  # the trial says so itself when it is run, and fails
            params = validate_params(self.task.params, self.fixed).model_copy(update=searched)
        known = Record(workdir).epochs()
        for line in () if self.objectives else known:
            trial.report(line.score.value, line.epoch)
        which = (self.study.study_name, number, workdir)
        return OptunaTrial(params, searched, *which, self, trial, len(known))

    def ask(self, taken: list[FrozenTrial]) -> optuna.Trial:
        """Ask for the trial after those taken: a queued one, or the sampler's; its values later."""
        together = any(t.state is TrialState.RUNNING for t in taken)
        self.study.sampler = self.sampler_for(len(taken), together)
        with warnings.catch_warnings():  # its heartbeats come from `_beating`
            warnings.filterwarnings("ignore", "Heartbeat of storage is supposed", UserWarning)
            return self.study.ask()

    def draw(self, trial: optuna.Trial) -> dict[str, Any]:
        """The values of a trial asked for, flat; the study keeps them with it."""
        kept: dict[str, Any] = trial.user_attrs.get(KEPT, {})
        values = self.space.draw(partial(_draw, trial), kept)
        trial.set_user_attr(VALUES, values)
        return values

    def sampler_for(self, taken: int, together: bool = False) -> BaseSampler:
        """The sampler of a study that has taken so many trials."""
        if self.sampler == GRID:
            return Grid(self.space, self.seed)
        return make_sampler(self.sampler, self.seed, taken, self.space.conditional, together)


@contextmanager
def _beating(storage: PatientStorage, trial_id: int) -> Iterator[None]:
    """Tell the database every `heartbeat` seconds, from now on, that the trial's process lives."""
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


def _draw(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, distribution.low, distribution.high)
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
