"""How a study was set up, which is final with its first trial; what its data and evaluator are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from core.files import read_json
from core.params import validate_params
from core.search.config import QUEUE, SearchConfig, differences, refuse_changes
from core.search.samplers import make_pruner
from core.search.space import Space
from core.search.storage import Storage
from core.task import Params, Task, UserError

REMEDY = "name a new one by --study"


def open_study(config: SearchConfig, task: Task, storage: Storage) -> optuna.Study:
    """Create or resume the study; UserError where its trials were set up otherwise.

    A study without a trial begins anew. Data that is compared by its content may lie elsewhere.
    """
    how: dict[str, Any] = {"storage": storage, "study_name": config.study}
    how["directions"] = [o.direction for o in config.objectives or (task.objective,)]
    how["pruner"] = make_pruner(config.pruner, config.params(task).epochs)
    study = optuna.create_study(**how, load_if_exists=True)
    before, setup = study.user_attrs.get("setup") or {}, config.identity(task)
    before = {"objectives": [], **before} if before else {}  # the first studies had no such key
    now = dict(setup)
    if "data_fingerprint" in before and "data" in before["fixed"]:
        now["fixed"] = {**setup["fixed"], "data": before["fixed"]["data"]}
    if differences(before, now):
        with storage.alone(config.study, config.folder):
            trials = study.get_trials(deepcopy=False)
            if all(trial.state is TrialState.WAITING for trial in trials):
                optuna.delete_study(study_name=config.study, storage=storage)
                study, before = optuna.create_study(**how), {}
    refuse_changes(f"study {config.study!r}", before, now, REMEDY)
    if config.sampler != QUEUE:
        _refuse_renamed(config, study, storage)
    study.set_user_attr("setup", {**before, **setup})
    return study


def _refuse_renamed(config: SearchConfig, study: optuna.Study, storage: Storage) -> None:
    """UserError where the study's records lie under another name, or those here are another's."""
    records = (read_json(path) for path in config.folder.glob("*/trial.json"))
    here = any(record.get("engine") == "optuna" for record in records)
    earlier = sorted(_folders(study) - {config.study})
    earlier = [name for name in earlier if any((config.runs / name).glob("*/trial.json"))]
    if earlier and not here:
        raise UserError(
            f"study {config.study!r} was called {earlier[0]!r} when its records were written; "
            f"rename it back in the dashboard, or {config.runs / earlier[0]} to {config.study}"
        )
    trials = study.get_trials(deepcopy=False)
    if here and all(trial.state is TrialState.WAITING for trial in trials):
        optuna.delete_study(study_name=config.study, storage=storage)  # the name is free again
        for name in optuna.get_all_study_names(storage):
            if config.study in _folders(optuna.load_study(study_name=name, storage=storage)):
                raise UserError(
                    f"{config.folder}: holds the records of the study that is called {name!r} now; "
                    f"rename it back in the dashboard, or the folder to {name}, for --study {name}"
                )
        raise UserError(
            f"{config.folder}: holds trials that no study of the storage knows; name a new one by "
            "--study, or remove the folder"
        )


def _folders(study: optuna.Study) -> set[str]:
    """The names of the folders that the study's trials wrote their records into."""
    places = (trial.user_attrs.get("runs") for trial in study.get_trials(deepcopy=False))
    return {Path(place.partition(":")[2]).name for place in places if place}


def point_of(config: SearchConfig, task: Task) -> Params:
    """A point of the space, with the fixed values: what a trial's data and evaluator are like."""
    point = Space.parse(config.space, task.params, "the search space").point()
    return validate_params(task.params, {**point, **config.fixed})


def refuse_other_data(config: SearchConfig, task: Task) -> None:
    """UserError where the data is no longer what the search was prepared with."""
    if config.prepared and config.sampler != QUEUE:
        found = {"data_fingerprint": task.load(point_of(config, task)).fingerprint}
        refuse_changes(f"study {config.study!r}", config.prepared, found, REMEDY)
