"""gantune compare: search several tasks under one budget, and say which is best, and how surely."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from core.commands.tune import (
    SAMPLERS,
    add_exam_flag,
    add_pruner_flag,
    add_worker_flags,
    positive,
    search,
)
from core.files import read_json, write_json
from core.params import load_task, task_summaries
from core.record import Study, valid_name
from core.report.comparison import seeds_of, study_name
from core.report.summary import summarize
from core.task import RUNTIME_FIELDS, Params, Task, UserError
from core.training.provenance import provenance

if TYPE_CHECKING:
    from core.report.rows import Row
    from core.search.space import Space

SUMMARY = "compare tasks that share an objective under one budget, on one page"
GROWS = ("tasks", "seeds", "data_fractions")


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """The comparison's flags, and the parameters of the tasks that the command line names."""
    parser.add_argument("tasks", nargs="+", metavar="TASK", help="what to compare, two or more")
    parser.add_argument("--name", default="compare", help="the comparison's name (compare)")
    parser.add_argument("--trials", type=positive, default=20, help="trials of each search (20)")
    parser.add_argument("--seeds", type=positive, default=3, help="seeds of each best trial (3)")
    parser.add_argument("--data-fractions", type=fractions, default=[], metavar="F,F",
                        help="shares of the training data to try too: .1,.3,1")  # fmt: skip
    parser.add_argument("--sampler", choices=SAMPLERS, default="tpe", help="who proposes (tpe)")
    add_pruner_flag(parser, "median")
    add_worker_flags(parser)
    add_exam_flag(parser)
    parser.epilog = f"`{parser.prog} TASK TASK --help` shows the tasks' own parameters too."
    words = argv[1:] if parser.prog.split()[-1:] == argv[:1] else []
    flags = [i for i, word in enumerate(words) if word.startswith("-")]
    leading, rest = words[: flags[0]] if flags else words, words[flags[0] :] if flags else []
    named = [*leading, *(word for word in rest if word in task_summaries())]
    if named:
        from core.params import add_param_flags

        add_param_flags(parser, union([load_task(name).params for name in dict.fromkeys(named)]))


def fractions(text: str) -> list[float]:
    """`.1,.3,1` -> [0.1, 0.3, 1.0]: shares above 0, of at most 1, as argparse wants them."""
    shares = sorted({float(share) for share in text.split(",")})
    if not all(0 < share <= 1 for share in shares):
        raise ValueError
    return shares


fractions.__name__ = "list of shares, each above 0 and at most 1,"


def union(models: Sequence[type[Params]]) -> type[Params]:
    """A model with the fields of all of these; of fields with one name the first one's."""
    from pydantic import create_model

    fields: dict[str, Any] = {}
    for model in reversed(models):
        fields |= {name: (info.annotation, info) for name, info in model.model_fields.items()}
    ordered = dict.fromkeys(name for model in models for name in model.model_fields)
    made: type[Params] = create_model(
        " and ".join(model.__name__ for model in models),
        __base__=Params,
        **{name: fields[name] for name in ordered},
    )
    return made


def run(arguments: argparse.Namespace) -> int:
    """Search, repeat, measure and write the page; what is complete is not run again."""
    from core.report.comparison import read_comparison
    from core.report.comparison_page import write_comparison
    from core.report.comparison_verdict import headline

    tasks = _tasks(arguments)
    spaces = {task.name: _checked(task, arguments) for task in tasks}
    folder = arguments.runs / valid_name(arguments.name)
    with _alone(folder):
        _settle(folder / "settings.json", _settings(tasks, spaces, arguments))
        for task in tasks:
            _search(task, spaces[task.name], arguments)
        for task in tasks:
            if best := _best(task, arguments):
                _repeat(task, best, arguments)
        page = write_comparison(arguments.runs, arguments.name)
    comparison = read_comparison(arguments.runs, arguments.name)
    print(headline(comparison))
    print(f"comparison: {page}")
    return 0 if any(row.completed for e in comparison.entrants for row in e.rows) else 1


def _tasks(arguments: argparse.Namespace) -> list[Task]:
    """The tasks, two or more that were searched for the same thing."""
    tasks = [load_task(name) for name in arguments.tasks]
    if len({task.name for task in tasks}) < max(2, len(tasks)):
        raise UserError("compare two tasks or more, each named once")
    first, *others = tasks
    for task in others:
        if _objective(task) != _objective(first):
            told = [f"{t.name}: {t.objective.direction} {t.objective.name}" for t in (first, task)]
            raise UserError(
                f"tasks with different objectives cannot be compared ({'; '.join(told)})"
            )
    return tasks


def _objective(task: Task) -> dict[str, str]:
    return {"name": task.objective.name, "direction": task.objective.direction}


def _own(task: Task, arguments: argparse.Namespace) -> dict[str, str]:
    """The flags that were given and that the task has."""
    from core.params import cli_overrides

    return {k: v for k, v in cli_overrides(arguments).items() if k in task.params.model_fields}


def _checked(task: Task, arguments: argparse.Namespace) -> Space:
    """The task's search space, once all that can be known to go wrong has been tried."""
    from core.device import configure_torch
    from core.params import cli_overrides, flag, validate_params
    from core.replicates.runs import DATA, with_less
    from core.search.space import Space

    fields, fixed = task.params.model_fields, _own(task, arguments)
    every = {name for other in arguments.tasks for name in load_task(other).params.model_fields}
    if unknown := [name for name in cli_overrides(arguments) if name not in every]:
        raise UserError(f"{flag(unknown[0])}: none of {', '.join(arguments.tasks)} has it")
    valid_name(study_name(arguments.name, task.name, "seeds"))
    if arguments.data_fractions and DATA not in fields:
        raise UserError(f"--data-fractions: {task.name} has no parameter {DATA}")
    params = validate_params(task.params, fixed, task.name)
    space = Space.load(task.search_space, task.params)
    searched = set(space.fields)
    if both := sorted(searched & fixed.keys()):
        raise UserError(f"{flag(both[0])}: {task.search_space} searches it; drop the flag")
    if arguments.data_fractions:
        if DATA in searched | fixed.keys():
            raise UserError(f"--data-fractions sets {flag(DATA)} of {task.name}; drop the flag")
        for fraction in arguments.data_fractions:
            validate_params(
                task.params, {**fixed, **with_less(params, fraction)}, "--data-fractions"
            )
    configure_torch(params)
    task.load(params)
    return space


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the comparison; UserError while another process does. The dead let it go."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=1)
    except Timeout:
        raise UserError(f"{folder}: another process works on this comparison") from None
    try:
        yield
    finally:
        lock.release()


def _settings(
    tasks: Sequence[Task], spaces: Mapping[str, Space], arguments: argparse.Namespace
) -> dict[str, Any]:
    """All that the comparison's figures depend on."""
    from core.params import validate_params

    fixed = {}
    for task in tasks:
        given = _own(task, arguments)
        params = validate_params(task.params, given).model_dump(mode="json")
        fixed[task.name] = {k: params[k] for k in given if k not in RUNTIME_FIELDS}
    return {
        "tasks": [task.name for task in tasks],
        "objective": _objective(tasks[0]),
        "trials": arguments.trials,
        "seeds": arguments.seeds,
        "data_fractions": arguments.data_fractions,
        "sampler": arguments.sampler,
        "pruner": arguments.pruner,
        "fixed": fixed,
        "space": {name: space.source for name, space in spaces.items()},
    }


def _settle(path: Path, settings: Mapping[str, Any]) -> None:
    """Keep the settings. Tasks, seeds and fractions may be added; UserError for other changes."""
    before = read_json(path)
    told = []
    for name, now in settings.items():
        was = before.get(name, now)
        if isinstance(was, dict) and isinstance(now, dict) and name in ("fixed", "space"):
            changed = [task for task in was if task in now and was[task] != now[task]]
            told += [f"{name} of {t} was {was[t]}, is now {now[t]}" for t in changed]
        elif was != now and not (name in GROWS and _holds(now, was)):
            told.append(f"{name} was {was}, is now {now}")
    if told:
        raise UserError(
            f"comparison {path.parent.name!r} was set up otherwise ({'; '.join(told)}); "
            "name a new one by --name"
        )
    write_json(path, {**settings, **provenance()})


def _holds(now: Any, was: Any) -> bool:
    """Whether a setting only grew."""
    return set(now) >= set(was) if isinstance(now, list) else bool(now >= was)


def _search(task: Task, space: Space, arguments: argparse.Namespace) -> None:
    """Search as `gantune tune` does, or go on with it."""
    name = study_name(arguments.name, task.name)
    own = {f"param_{k}": v for k, v in _own(task, arguments).items()}
    kept = ("trials", "runs", "workers", "retries", "heartbeat", "ignore_exam")
    told = {key: getattr(arguments, key) for key in kept}
    told |= {"study": name, "storage": None, "artifacts": None}
    how = (str(task.search_space), arguments.sampler, arguments.pruner)
    search(task, argparse.Namespace(**told, **own), lambda: space, *how)


def _best(task: Task, arguments: argparse.Namespace) -> Row | None:
    return summarize(Study.open(arguments.runs, study_name(arguments.name, task.name))).best


def _repeat(task: Task, best: Row, arguments: argparse.Namespace) -> None:
    """The best trial with other seeds, with less data, and measured; where and how as asked now."""
    from core.replicates.runs import Runs, as_recorded, changed, keep_cost, make_runs, with_less

    here = {k: v for k, v in _own(task, arguments).items() if k in RUNTIME_FIELDS}
    params = as_recorded(task, best.params, str(best.record.folder), **here)
    seeds = seeds_of(params.seed, arguments.seeds)[1:]
    again = {f"seed-{seed}": {"seed": seed} for seed in seeds}
    shares = [f for f in arguments.data_fractions if f < 1]
    less = {f"fraction-{f}": with_less(params, f) for f in shares}
    for step, changes in (("seeds", again), ("data", less)):
        study = study_name(arguments.name, task.name, step)
        wanted = changed(task, params, changes, best.searched)
        make_runs(Runs(task.name, arguments.runs, study, wanted), arguments.workers)
    keep_cost(task, params, arguments.runs / arguments.name / f"cost-{task.name}.json")
