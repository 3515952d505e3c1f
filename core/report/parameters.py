"""The best trial's parameters beside the published defaults, with the ranges searched."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from core.report.format import listed, plain
from core.report.summary import Summary
from core.search.distributions import NORMAL, Dimension
from core.search.space_file import every, read
from core.task import UserError

EDGE = 0.02


@dataclass(frozen=True)
class Parameter:
    """One parameter; `edge`: the end of its range the search went to, `lower` or `upper`, or ""."""

    name: str
    best: Any
    baseline: Any
    range: str = ""
    edge: str = ""


def dimensions(space: dict[str, Any]) -> dict[str, Dimension]:
    """The dimensions of a search space by field; those that cannot be read are left out.

    A field that is searched under several choices has the first of its dimensions.
    """
    found: dict[str, Dimension] = {}
    for key, spec in space.items():
        try:
            for dimension, _ in every(read({key: spec}, "study.json")):
                found.setdefault(dimension.name, dimension)
        except UserError:
            continue
    return found


def best_parameters(summary: Summary) -> tuple[list[Parameter], list[Parameter]]:
    """The best trial's searched parameters, in the order of the search space; and its others."""
    best, space = summary.best, dimensions(summary.space)
    if best is None:
        return [], []

    def parameter(name: str) -> Parameter:
        value, published, dimension = (
            best.params.get(name),
            best.defaults.get(name),
            space.get(name),
        )
        if dimension is None:
            return Parameter(name, value, published)
        edge = _edge(dimension, value) if value != published else ""
        return Parameter(name, value, published, _range(dimension), edge)

    others = [name for name in best.params if name not in summary.searched]
    return list(map(parameter, summary.searched)), list(map(parameter, others))


def _range(dimension: Dimension) -> str:
    """`0.1 to 10, log`, `a, b or c`."""
    kind, args = dimension.kind, [plain(arg) for arg in dimension.args]
    if kind == "choice":
        return listed(args, "or")
    if kind in NORMAL:
        return f"{kind}, around {args[0]} by {args[1]}"
    if kind == "randint":
        return f"{args[0]} to {dimension.args[1] - 1}, whole"
    step = f", in steps of {args[2]}" if dimension.step else ""
    return f"{args[0]} to {args[1]}" + (", log" if "log" in kind else "") + step


def _edge(dimension: Dimension, value: Any) -> str:
    if dimension.kind in ("choice", *NORMAL) or not dimension.holds(value):
        return ""
    ends = dimension.args[0], dimension.args[1] - (dimension.kind == "randint")
    low, high, at = map(math.log, (*ends, value)) if "log" in dimension.kind else (*ends, value)
    margin = EDGE * (high - low)
    return "lower" if at <= low + margin else "upper" if at >= high - margin else ""
