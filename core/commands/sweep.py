"""gantune sweep: every point of a grid, to change one thing at a time and see what it does."""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from core.commands.flags import add_search_flags, add_study_flags, add_task_flags
from core.commands.tune import search, search_config
from core.params import cli_overrides, flag, load_task, validate_params
from core.search.config import GRID
from core.search.space import Space
from core.task import Params, UserError

EXAMPLE = "--grid lr_g=1e-5,1e-4 seed=0,1,2"
LARGEST = 10_000


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """The grid, the study, and the task's flags once a task is named."""
    add = parser.add_argument
    add("task", help="what to train; `gantune tasks` lists them")
    message = "the values of each parameter; seed=0,1,2 repeats every point with these seeds"
    add("--grid", nargs="*", action="extend", default=[], metavar="NAME=VALUE,VALUE", help=message)
    add_study_flags(parser, "TASK-sweep")
    add_search_flags(parser)
    add_task_flags(parser, argv)


def run(arguments: argparse.Namespace) -> int:
    """Train the grid; a second call on the same study goes on with it."""
    task = load_task(arguments.task)
    fixed = cli_overrides(arguments)
    space = grid_space(arguments.grid, task.params, fixed)
    points = math.prod(len(d.args) for d in space.dimensions)
    how = {"sampler": GRID, "trials": points, "study": arguments.study or f"{task.name}-sweep"}
    config = search_config(task, space, "--grid", fixed, arguments, **how)
    return search(config, task, arguments.ignore_exam)


def grid_space(words: Sequence[str], params: type[Params], fixed: Mapping[str, str]) -> Space:
    """The space that `NAME=VALUE,VALUE` words declare; UserError for a point that Params refuse."""
    validate_params(params, fixed)
    axes = _axes(words, params)
    if both := next((name for name in axes if name in fixed), None):
        raise UserError(
            f"{flag(both)} {fixed[both]}: --grid sweeps it; drop the flag or {both} from the grid"
        )
    size = math.prod(map(len, axes.values()))
    if size > LARGEST:
        factors = " x ".join(f"{len(values)} {name}" for name, values in axes.items())
        raise UserError(f"--grid: {factors} are {size} points, above {LARGEST}; leave values out")
    typed: dict[str, dict[str, Any]] = {name: {} for name in axes}
    for point in itertools.product(*axes.values()):
        chosen = dict(zip(axes, point, strict=True))
        values = validate_params(params, {**fixed, **chosen}, "--grid").model_dump(mode="json")
        for name, text in chosen.items():
            typed[name][text] = values[name]
    for name, texts in axes.items():
        _refuse_twice(name, texts, typed[name])
    source = {n: {"_type": "choice", "_value": list(typed[n].values())} for n in axes}
    return Space.parse(source, params, "--grid")


def _axes(words: Sequence[str], params: type[Params]) -> dict[str, list[str]]:
    """Each parameter's values as they were written."""
    if not words:
        raise UserError(f"--grid: names no parameter; say which and what values: {EXAMPLE}")
    axes: dict[str, list[str]] = {}
    for word in words:
        left, equals, right = word.partition("=")
        name, values = left.strip().replace("-", "_"), [v.strip() for v in right.split(",")]
        if not equals or not name:
            raise UserError(f"--grid {word}: must be NAME=VALUE,VALUE as in {EXAMPLE}")
        if name not in params.model_fields:
            known = ", ".join(sorted(params.model_fields))
            raise UserError(f"--grid {word}: no such parameter as {name!r}; there are {known}")
        if name in axes:
            raise UserError(f"--grid {word}: {name} is in the grid twice; list its values once")
        if "" in values:
            raise UserError(f"--grid {word}: a value of {name} is empty; write {name}=VALUE,VALUE")
        axes[name] = values
    return axes


def _refuse_twice(name: str, texts: Sequence[str], typed: Mapping[str, Any]) -> None:
    """UserError where two texts mean the same value."""
    seen: dict[str, str] = {}
    for text in texts:
        value = json.dumps(typed[text])
        if value in seen:
            pair = text if text == seen[value] else f"{seen[value]} = {text}"
            raise UserError(f"--grid {name}: {pair} is in the grid twice; list each value once")
        seen[value] = text
