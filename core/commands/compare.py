"""gantune compare: search several tasks under one budget; which is best, and how surely?"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.commands.flags import (
    add_sampler_flags,
    add_search_flags,
    fractions,
    named_tasks,
    positive,
)
from core.commands.tune import search, search_config
from core.files import exclusive, read_json, write_json
from core.params import add_param_flags, cli_overrides, flag, load_task, validate_params
from core.record import Study, valid_name
from core.report.comparison import headline, read_comparison, study_name
from core.report.comparison_page import write_comparison
from core.report.summary import summarize
from core.search.config import SearchConfig, refuse_changes
from core.search.space import Space
from core.task import Params, Task, UserError
from core.training.provenance import provenance

SETTINGS = ("trials", "seeds", "data_fractions", "sampler", "pruner")
MAY_GROW = ("tasks", "seeds", "data_fractions", "fixed", "space")


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """The comparison's flags, and the parameters of the tasks that the command line names."""
    add = parser.add_argument
    add("tasks", nargs="+", metavar="TASK", help="what to compare, two or more")
    add("--name", default="compare", help="name of the comparison (default: compare)")
    message = "trials of each search (default: %(default)s)"
    add("--trials", type=positive, default=20, metavar="N", help=message)
    message = "seeds of each best trial (default: %(default)s)"
    add("--seeds", type=positive, default=3, metavar="N", help=message)
    message = "shares of the training data to try too: .1,.3,1"
    add("--data-fractions", type=fractions, default=[], metavar="F,F", help=message)
    add_sampler_flags(parser, "median")
    add_search_flags(parser)
    parser.epilog = f"`{parser.prog} TASK TASK --help` shows the tasks' own parameters too."
    if names := named_tasks(parser, argv):
        add_param_flags(parser, union([load_task(name).params for name in names]))


def union(models: Sequence[type[Params]]) -> type[Params]:
    """A model with the fields of all of these; of fields with one name the first one's."""
    from pydantic import create_model

    fields: dict[str, Any] = {}
    for model in models:
        for name, info in model.model_fields.items():
            fields.setdefault(name, (info.annotation, info))
    title = " and ".join(model.__name__ for model in models)
    found: type[Params] = create_model(title, __base__=Params, **fields)
    return found


def run(arguments: argparse.Namespace) -> int:
    """Search, repeat, measure and write the page; what is complete is not run again."""
    tasks = _tasks(arguments.tasks)
    folder = arguments.runs / valid_name(arguments.name)
    configs = {task.name: _config(task, arguments) for task in tasks}
    message = f"{folder}: another process works on this comparison"
    with exclusive(folder / ".lock", message):
        _keep_setup(tasks, configs, arguments)
        for task in tasks:
            search(configs[task.name], task, arguments.ignore_exam)
        for task in tasks:
            _repeat(task, configs[task.name], arguments)
        page = write_comparison(arguments.runs, arguments.name)
    comparison = read_comparison(arguments.runs, arguments.name)
    print(headline(comparison))
    print(f"comparison: {page}")
    return 0 if any(row.completed for e in comparison.entrants for row in e.rows) else 1


def _tasks(names: Sequence[str]) -> list[Task]:
    """The tasks, two or more that are searched for the same objective."""
    tasks = [load_task(name) for name in names]
    if len({task.name for task in tasks}) < max(2, len(tasks)):
        raise UserError("compare two tasks or more, each named once")
    objectives = {t.name: f"{t.objective.direction} {t.objective.name}" for t in tasks}
    if len(set(objectives.values())) > 1:
        listed = "; ".join(map(": ".join, objectives.items()))
        raise UserError(f"tasks with different objectives cannot be compared ({listed})")
    return tasks


def _config(task: Task, arguments: argparse.Namespace) -> SearchConfig:
    """The task's search, once all that can be known to go wrong has been tried."""
    from core.device import configure_torch

    overrides = cli_overrides(arguments)
    known = {name for other in arguments.tasks for name in load_task(other).params.model_fields}
    if unknown := [name for name in overrides if name not in known]:
        raise UserError(f"{flag(unknown[0])}: none of {', '.join(arguments.tasks)} has it")
    fixed = {k: v for k, v in overrides.items() if k in task.params.model_fields}
    params = validate_params(task.params, fixed, task.name)
    space = Space.load(task.search_space, task.params)
    _check_fractions(task, space, fixed, params, arguments.data_fractions)
    valid_name(study_name(arguments.name, task.name, "seeds"))
    source, study = str(task.search_space), study_name(arguments.name, task.name)
    config = search_config(task, space, source, fixed, arguments, study=study)
    configure_torch(params)
    task.load(params)
    return config


def _check_fractions(
    task: Task, space: Space, fixed: Mapping[str, str], params: Params, shares: Sequence[float]
) -> None:
    """UserError where the task cannot be trained on these shares of its data."""
    from core.replicates.runs import DATA, with_less_data

    if not shares:
        return
    if DATA not in task.params.model_fields:
        raise UserError(f"--data-fractions: {task.name} has no parameter {DATA}")
    if DATA in {*space.fields, *fixed}:
        raise UserError(f"--data-fractions sets {flag(DATA)} of {task.name}; drop the flag")
    for share in shares:
        changed = {**fixed, **with_less_data(params, share)}
        validate_params(task.params, changed, "--data-fractions")


def _keep_setup(
    tasks: Sequence[Task], configs: Mapping[str, SearchConfig], arguments: argparse.Namespace
) -> None:
    """Keep all that the figures depend on. Tasks, seeds and fractions may be added."""
    identities = {task.name: configs[task.name].identity(task) for task in tasks}
    objective = tasks[0].objective
    setup = {
        "tasks": list(identities),
        "objective": {"name": objective.name, "direction": objective.direction},
        **{name: getattr(arguments, name) for name in SETTINGS},
        **{key: {n: i[key] for n, i in identities.items()} for key in ("fixed", "space")},
    }
    path = arguments.runs / arguments.name / "settings.json"
    what, remedy = f"comparison {arguments.name!r}", "name a new one by --name"
    before = read_json(path)
    searches = (study_name(arguments.name, name) for name in before.get("tasks", ()))
    if any(any((arguments.runs / name).glob("*/trial.json")) for name in searches):
        refuse_changes(what, before, setup, remedy, MAY_GROW)
    write_json(path, {**setup, **provenance()})


def _repeat(task: Task, config: SearchConfig, arguments: argparse.Namespace) -> None:
    """Train the best trial with other seeds and with less data, and measure its cost."""
    from core.replicates import runs
    from core.replicates.cost import keep_cost
    from core.replicates.stats import other_seeds

    best = summarize(Study.open(arguments.runs, config.study)).best
    if best is None:
        return
    params = runs.recorded_params(task, best.params, str(best.record.folder))
    shares = [share for share in arguments.data_fractions if share < 1]
    changes = {
        "seeds": other_seeds(params.seed, arguments.seeds),
        "data": {f"fraction-{share}": runs.with_less_data(params, share) for share in shares},
    }
    queue = config.queue("")
    for step, changed in changes.items():
        study = study_name(arguments.name, task.name, step)
        wanted = runs.variants(task, params, changed, best.searched)
        runs.run_replicates(replace(queue, study=study), wanted)
    here = validate_params(task.params, {**params.model_dump(), **queue.fixed})
    keep_cost(task, here, arguments.runs / arguments.name / f"cost-{task.name}.json")
