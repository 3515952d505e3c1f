"""Opens an Optuna study as a search: a new one, or one that was set up in the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import optuna

from core.params import validate_params
from core.search.artifacts import default_artifacts, open_artifacts
from core.search.pruners import parse_pruner
from core.search.samplers import make_pruner
from core.search.space import Space
from core.search.storage import HEARTBEAT, open_storage
from core.search.study import Search
from core.task import RUNTIME_FIELDS, Objective, Task, UserError

RETRIES = 3


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
    retries: int = RETRIES,
    heartbeat: int = HEARTBEAT,
    patience: float = 0.0,
    artifacts: str = "",
    objectives: Sequence[Objective] = (),
) -> Search:
    """Create a study, or take it up; UserError when it was set up otherwise, or out of reach.

    A trial whose process was killed is continued `retries` times. `heartbeat`: seconds between the
    collapse_reasons of life of a trial; `patience`: seconds that the storage may be away; `artifacts`: where
    pictures go, the folder under `runs` by default; `objectives`: parts of the score to search for
    together, instead of its value alone.
    """
    params = validate_params(task.params, fixed)
    first = parse_pruner(pruner)[1] or 0
    if first >= params.epochs and "epochs" not in space.fields:
        raise UserError(
            f"--pruner {pruner}: a trial has {params.epochs} epochs (--epochs) and is not stopped "
            "after its last one, so none would be; name an earlier epoch"
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    artifacts = artifacts or default_artifacts(runs)
    open_artifacts(artifacts)
    database = open_storage(storage, heartbeat, patience)
    study = optuna.create_study(
        storage=database,
        study_name=name,
        directions=[o.direction for o in objectives or (task.objective,)],
        pruner=make_pruner(pruner, params.epochs),
        load_if_exists=True,
    )
    given = params.model_dump(mode="json")
    same = {k: given[k] for k in fixed if k not in RUNTIME_FIELDS}
    setup = {"task": task.name, "space": space.source, "fixed": same, "seed": seed}
    setup |= {"sampler": sampler, "pruner": pruner}
    setup |= {"objectives": [o.name for o in objectives]}
    before = {"objectives": [], **(study.user_attrs.get("setup") or setup)}
    if changed := [k for k in setup if before.get(k) != setup[k]]:
        told = "; ".join(f"{k} was {before.get(k)}, is now {setup[k]}" for k in changed)
        raise UserError(f"study {name!r} was set up otherwise ({told}); name a new one by --study")
    study.set_user_attr("setup", setup)
    folder = runs / name
    folder.mkdir(parents=True, exist_ok=True)
    how = (sampler, pruner, seed, folder, retries, artifacts, tuple(objectives))
    return Search(study, database, task, space, fixed, *how)
