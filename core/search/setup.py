"""How a study was set up, which is final with its first trial; what its data and evaluator are."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.trial import TrialState

from core.params import validate_params
from core.search.config import QUEUE, SearchConfig, differences, refuse_changes
from core.search.samplers import make_pruner
from core.search.space import Space
from core.search.storage import Storage
from core.task import Params, Task

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
    study.set_user_attr("setup", {**before, **setup})
    return study


def point_of(config: SearchConfig, task: Task) -> Params:
    """A point of the space, with the fixed values: what a trial's data and evaluator are like."""
    point = Space.parse(config.space, task.params, "the search space").point()
    return validate_params(task.params, {**point, **config.fixed})


def refuse_other_data(config: SearchConfig, task: Task) -> None:
    """UserError where the data is no longer what the search was prepared with."""
    if config.prepared and config.sampler != QUEUE:
        found = {"data_fingerprint": task.load(point_of(config, task)).fingerprint}
        refuse_changes(f"study {config.study!r}", config.prepared, found, REMEDY)
