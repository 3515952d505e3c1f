"""The tasks: do they load, does each fit its search space and evaluator, do experiments fit them.

Imports PyTorch through the tasks: run it in `core.doctor.probe`'s child.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.doctor.finding import Finding, error, first_line, warning
from core.params import cli_overrides, flag, load_task, task_summaries, validate_params
from core.search.space import Space
from core.task import Params, Task, UserError


def load() -> tuple[dict[str, Task], list[Finding]]:
    """The tasks that load, and what is wrong with any, or with its search space or evaluator."""
    tasks: dict[str, Task] = {}
    wrong = []
    for name in task_summaries():
        where = f"trials/{name}.py"
        try:
            task = load_task(name)
            task.params()
        except (Exception, SystemExit) as problem:
            what = f"cannot be loaded ({first_line(problem)})"
            wrong.append(error(where, what, f"python -m trials.{name} shows all of it"))
            continue
        tasks[name] = task
        wrong += [*_space(task), *_judge(task, where)]
    return tasks, wrong + _orphans(tasks)


def _space(task: Task) -> list[Finding]:
    file = task.search_space
    if not file.is_file():
        what = f"task {task.name} has no search space"
        return [warning(file, what, "write one there, or tune it with --space FILE")]
    try:
        space = Space.load(file, task.params)
    except UserError as mistake:
        return [error("search space", str(mistake))]
    baseline = task.params().model_dump(mode="json")
    wrong = []
    for d, under in space.everywhere:
        searched = all(baseline.get(name) == choice for name, choice in under.items())
        if searched and not d.holds(baseline[d.name]):
            what = f"the published {baseline[d.name]!r} is outside {d.kind} {list(d.args)}: the "
            what += "search learns nothing from its first trial"
            wrong.append(warning(f"{file}: {d.key!r}", what, "widen _value to hold it"))
    return wrong


def _judge(task: Task, where: str) -> list[Finding]:
    try:
        judged = task.evaluator(task.params()).objectives[0]
    except Exception as problem:
        return [error(where, f"its evaluator cannot be made ({first_line(problem)})")]
    if judged.direction == task.objective.direction:
        return []
    what = f"the search would {task.objective.direction} what its evaluator wants to "
    what += f"{judged.direction} ({judged.name})"
    return [error(where, what, "give TASK its evaluator's objective")]


def _orphans(tasks: Mapping[str, Task]) -> list[Finding]:
    folder = Path(__file__).parent.parent.parent / "search_spaces"
    known = {task.search_space.stem for task in tasks.values()} | set(task_summaries())
    return [
        warning(path, "a search space of no task", f"remove it, or write trials/{path.stem}.py")
        for path in sorted(folder.glob("*.json"))
        if path.stem not in known
    ]


def check_experiment(experiment: Mapping[str, Any], tasks: Mapping[str, Task]) -> list[Finding]:
    """Check an NNI experiment of one of our tasks against that task.

    `where`: its file; `task` and `words`: what trialCommand runs, with which flags; `directory`:
    where it runs; `concurrency`: trials at once on this machine, 0 on others; `space` and
    `space_where`: the search space, None where it could not be read.
    """
    where = f"{experiment['where']}: trialCommand"
    name = experiment["task"]
    if name not in tasks:
        if name in task_summaries():
            return []  # said already: it cannot be loaded
        there = ", ".join(task_summaries())
        return [error(where, f"there is no task {name!r}", f"there are {there}")]
    task = tasks[name]
    try:
        flags = _flags(task, experiment["words"])
        params = validate_params(task.params, flags)
    except UserError as mistake:
        return [error(where, str(mistake)), *_searched(experiment, task.params, {})]
    wrong = [*_data(experiment, flags, params), *_threads(experiment, params)]
    return wrong + _searched(experiment, task.params, flags)


def _flags(task: Task, words: list[str]) -> dict[str, str]:
    """The parameters given by flag; UserError, in argparse's words, for one a trial refuses."""
    from core.search.nni_trial import trial_parser

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            arguments: argparse.Namespace = trial_parser(task).parse_args(words)
    except SystemExit:
        told = said.getvalue().strip().split("error: ")[-1].split("\n")[0]
        raise UserError(f"{told}; see python -m trials.{task.name} --help") from None
    return cli_overrides(arguments)


def _data(experiment: Mapping[str, Any], flags: Mapping[str, str], params: Params) -> list[Finding]:
    """A data folder that is not there; on other machines nobody can tell from here."""
    data, known = flags.get("data"), type(params).model_fields.get("data")
    if data is None or known is None or data == known.default or not experiment["concurrency"]:
        return []
    folder = Path(experiment["directory"]) / Path(data).expanduser()
    if folder.is_dir():
        return []
    what = f"--data {data}: there is no folder {folder}"
    remedy = "name one that is there, seen from trialCodeDirectory"
    return [error(f"{experiment['where']}: trialCommand", what, remedy)]


def _threads(experiment: Mapping[str, Any], params: Params) -> list[Finding]:
    """Trials that share the cores badly: two with all threads each take longer than one by one."""
    from core.device import cores, pick_device

    here, many = cores(), experiment["concurrency"]
    each = params.threads or here
    try:
        on_cpu = pick_device(params.device).type == "cpu"
    except UserError as mistake:
        return [error(f"{experiment['where']}: trialCommand", str(mistake))] if many else []
    if many * each <= here or not on_cpu:
        return []
    said = f"--threads {each}" if params.threads else f"all {here} threads"
    what = f"{many} at once with {said} each, on {here} CPU cores: slower than one after another"
    remedy = f"--threads {max(1, here // many)} in trialCommand"
    remedy += f", or trialConcurrency {here // each}" if each <= here else ""
    return [warning(f"{experiment['where']}: trialConcurrency", what, remedy)]


def _searched(
    experiment: Mapping[str, Any], params: type[Params], flags: Mapping[str, str]
) -> list[Finding]:
    if experiment["space"] is None:
        return []
    at = f"{experiment['where']}: trialCommand"
    try:
        space = Space.parse(experiment["space"], params, experiment["space_where"])
        validate_params(params, {**flags, **space.point()}, f"{at} with a point of the space")
    except UserError as mistake:
        return [error("search space", str(mistake))]
    what, remedy = "is searched, too, and NNI's value goes before", "drop the flag or the key"
    both = [name for name in space.fields if name in flags]
    return [warning(at, f"{flag(name)} {flags[name]} {what}", remedy) for name in both]
