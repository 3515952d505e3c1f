"""Optuna proposes: a study that survives Ctrl-C and kills, and can be taken up again.

Trial 0 is the published baseline. The sampler's seed is derived from the study's seed and the
number of trials so far, so that an interrupted search proposes what an uninterrupted one would.
A trial cut short is closed in Optuna and queued again with the same values and the same folder,
where its checkpoint waits. A grid's trials are its points, each once, in the seed's order.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import optuna
from filelock import FileLock
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import OptunaError
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from core.engines.grid import GRID, Grid
from core.flags import make
from core.record import Record, without_passwords
from core.space import Space
from core.task import SURROUNDINGS, Ending, Outcome, Params, Score, Task, UserError

SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(n_startup_trials=STARTUP, seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
}
PRUNERS: dict[str, Callable[[int], optuna.pruners.BasePruner]] = {
    "median": lambda epochs: optuna.pruners.MedianPruner(STARTUP, n_warmup_steps=epochs // 4),
    "hyperband": lambda epochs: optuna.pruners.HyperbandPruner(1, epochs),
    "none": lambda epochs: optuna.pruners.NopPruner(),
}
STARTUP = 4


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
        """Give the pruner the epoch's score; True when it sees no hope."""
        if epoch > self.known:
            self.trial.report(score.value, epoch)
        return self.trial.should_prune()

    def finish(self, ending: Ending) -> None:
        """Close the trial in the study; one cut short is queued again."""
        self.search.close(self.trial, ending, Record(self.workdir))


@dataclass(frozen=True)
class Search:
    """An Optuna study of a task: who is to be tried next, and what became of them."""

    study: optuna.Study
    task: Task
    space: Space
    fixed: Mapping[str, str]
    sampler: str
    seed: int
    folder: Path

    def trials(self, total: int) -> Iterator[OptunaTrial]:
        """Propose trials until the study has `total`, those it already has included."""
        self._take_up()
        while (trial := self._next(total)) is not None:
            yield trial

    def ended(self) -> Iterator[tuple[int, Ending]]:
        """The trials that ended in earlier runs."""
        for frozen in self._own(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL):
            if ending := Record(self._workdir(frozen)).ending():
                yield _number(frozen), ending

    def _own(self, *states: TrialState) -> list[FrozenTrial]:
        """Trials in these states, without those that a later one continues."""
        trials = self.study.get_trials(deepcopy=False, states=states or None)
        return [t for t in trials if not t.user_attrs.get("continued")]

    def _workdir(self, trial: FrozenTrial) -> Path:
        return self.folder / f"{_number(trial):04d}"

    def _next(self, total: int) -> OptunaTrial | None:
        with FileLock(self.folder / ".ask.lock"):
            taken = self._own(*(s for s in TrialState if s is not TrialState.WAITING))
            if len(taken) >= total:
                return None
            self.study.sampler = self._sampler(len(taken))
            trial = self.study.ask()
            searched = self._suggest(trial)
        trial.set_user_attr("values", searched)
        trial.set_user_attr("runs", self._place())
        try:
            params = make(self.task.params, {**self.fixed, **searched}, "the search space")
        except UserError:
            self.study.tell(trial, state=TrialState.FAIL)
            raise
        number = _number(trial)
        workdir = self.folder / f"{number:04d}"
        known = Record(workdir).epochs()
        for line in known:
            trial.report(line.value, line.epoch)
        place = (self.study.study_name, number, workdir)
        return OptunaTrial(params, searched, *place, self, trial, len(known))

    def _sampler(self, taken: int) -> BaseSampler:
        if self.sampler == GRID:
            return Grid(self.space, self.seed)
        seed = int(np.random.SeedSequence([self.seed, taken]).generate_state(1)[0])
        return SAMPLERS[self.sampler](seed)

    def _place(self) -> str:
        """Where this process keeps records: only there can it tell that a trial is dead."""
        return f"{socket.gethostname()}:{self.folder.resolve()}"

    def _suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        outside: dict[str, Any] = trial.user_attrs.get("outside", {})
        values = {}
        for d in self.space.dimensions:
            if d.name in outside:
                values[d.name] = outside[d.name]
            else:
                values[d.name] = d.value(_draw(trial, d.name, d.distribution))
        return values

    def _take_up(self) -> None:
        """Queue the baseline first, and again every trial of this place whose process is gone.

        A grid has only its own points: the baseline is tried where it is one of them.
        """
        with FileLock(self.folder / ".ask.lock"):
            if self.sampler != GRID and not self.study.get_trials(deepcopy=False):
                self._enqueue(self.task.params().model_dump(), {})
            for frozen in self._own(TrialState.RUNNING):
                record = Record(self._workdir(frozen))
                here = frozen.user_attrs.get("runs", self._place()) == self._place()
                if here and not record.is_alive():
                    gone = Ending(Outcome.INTERRUPTED, "its process was killed")
                    trial = optuna.Trial(self.study, frozen._trial_id)
                    self.close(trial, record.ending() or gone, record)

    def close(self, trial: optuna.Trial, ending: Ending, record: Record) -> None:
        """Tell the study how a trial ended, in the form its sampler learns most from."""
        trial.set_user_attr("outcome", str(ending.outcome))
        trial.set_user_attr("reason", ending.reason)
        trial.set_user_attr("parts", dict(ending.score.parts) if ending.score else {})
        self._upload(trial, record)
        if ending.outcome is Outcome.COMPLETED and ending.score:
            self.study.tell(trial, ending.score.value)
        elif ending.outcome is Outcome.PRUNED:
            self.study.tell(trial, state=TrialState.PRUNED)
        elif ending.outcome in (Outcome.DIVERGED, Outcome.COLLAPSED):
            self.study.tell(trial, self.task.objective.worst)
        else:
            if ending.outcome is Outcome.INTERRUPTED:
                self._queue_again(trial)
            self.study.tell(trial, state=TrialState.FAIL)

    def _queue_again(self, trial: optuna.Trial) -> None:
        number = _number(trial)
        waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        values = trial.user_attrs.get("values") or self._known(trial)
        nowhere = self.sampler == GRID and not values  # the grid gives its point to another trial
        if not nowhere and all(_number(w) != number for w in waiting):
            self._enqueue(values, {"continues": number})
        trial.set_user_attr("continued", True)

    def _known(self, trial: optuna.Trial) -> dict[str, Any]:
        """The values of a trial killed before it could keep them, as far as the study has them."""
        frozen = self.study._storage.get_trial(trial._trial_id)
        latents = {**frozen.system_attrs.get("fixed_params", {}), **frozen.params}
        if "grid_id" in frozen.system_attrs:
            grid = self._sampler(0)
            for d in self.space.dimensions:
                latents[d.name] = grid.sample_independent(
                    self.study, frozen, d.name, d.distribution
                )
        values = {d.name: d.value(latents[d.name]) for d in self.space.dimensions
                  if d.name in latents}  # fmt: skip
        return {**values, **frozen.user_attrs.get("outside", {})}

    def _enqueue(self, values: Mapping[str, Any], attributes: dict[str, Any]) -> None:
        """Queue values; those outside the space are kept as they are, unknown to the sampler."""
        latents: dict[str, Any] = {}
        outside: dict[str, Any] = {}
        for dimension in self.space.dimensions:
            if dimension.name in values:
                try:
                    latents[dimension.name] = dimension.latent(values[dimension.name])
                except ValueError:
                    outside[dimension.name] = values[dimension.name]
        self.study.enqueue_trial(latents, {**attributes, "outside": outside})

    def _upload(self, trial: optuna.Trial, record: Record) -> None:
        store = FileSystemArtifactStore(artifact_folder(self.folder.parent))
        for picture in sorted(record.samples.glob("*.png")):
            upload_artifact(artifact_store=store, file_path=str(picture), study_or_trial=trial)


def open_search(
    runs: Path,
    name: str,
    storage: str,
    task: Task,
    space: Space,
    fixed: Mapping[str, str],
    sampler: str,
    pruner: str,
    seed: int,
) -> Search:
    """Create a study, or take it up; UserError when it was set up otherwise, or out of reach."""
    epochs = make(task.params, fixed).epochs
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            storage=RDBStorage(storage, engine_kwargs=_engine_options(storage)),
            study_name=name,
            direction=task.objective.direction,
            pruner=PRUNERS[pruner](epochs),
            load_if_exists=True,
        )
    except (SQLAlchemyError, OptunaError, ImportError, ValueError, OSError, RuntimeError) as error:
        reason = without_passwords(f"{storage}: cannot open it ({str(error).splitlines()[0]})")
        raise UserError(f"--storage {reason}") from None
    params = make(task.params, fixed).model_dump(mode="json")
    same = {k: params[k] for k in fixed if k not in SURROUNDINGS}
    setup = {"task": task.name, "space": space.source, "fixed": same, "seed": seed}
    setup |= {"sampler": sampler, "pruner": pruner}
    before = study.user_attrs.get("setup") or setup
    if changed := [k for k in setup if before.get(k) != setup[k]]:
        told = "; ".join(f"{k} was {before.get(k)}, is now {setup[k]}" for k in changed)
        raise UserError(f"study {name!r} was set up otherwise ({told}); name a new one by --study")
    study.set_user_attr("setup", setup)
    folder = runs / name
    folder.mkdir(parents=True, exist_ok=True)
    return Search(study, task, space, fixed, sampler, seed, folder)


def _engine_options(storage: str) -> dict[str, Any]:
    return {"connect_args": {"timeout": 60}} if storage.startswith("sqlite") else {}


def _draw(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, distribution.low, distribution.high)
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)


def _number(trial: FrozenTrial | optuna.Trial) -> int:
    """The number of the trial it continues, or its own."""
    return int(trial.user_attrs.get("continues", trial.number))


def artifact_folder(runs: Path) -> Path:
    """Where Optuna's artifact store keeps the pictures."""
    folder = runs / "artifacts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def default_storage(runs: Path) -> str:
    """The URL of the SQLite file under `runs`."""
    runs.mkdir(parents=True, exist_ok=True)
    path = str((runs / "gantune.db").resolve())
    return URL.create("sqlite", database=path).render_as_string(hide_password=False)
