"""The best trial's parameters beside the published defaults, each with its place in its range."""

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
    """One parameter. The places in its range go from 0 to 1; None: it has none, or lies outside."""

    name: str
    best: Any
    baseline: Any
    range: str = ""
    best_at: float | None = None
    baseline_at: float | None = None

    @property
    def changed(self) -> bool:
        """Whether best and baseline differ."""
        return bool(self.best != self.baseline)

    @property
    def edge(self) -> str:
        """`lower` or `upper` where the search took the value to that end of its range."""
        if self.best_at is None or not self.changed:
            return ""
        return "lower" if self.best_at <= EDGE else "upper" if self.best_at >= 1 - EDGE else ""


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
    searched = []
    for name in summary.searched:
        values = best.params.get(name), best.defaults.get(name)
        dimension = space.get(name)
        places = [_place(dimension, value) for value in values]
        searched.append(Parameter(name, *values, _range(dimension), *places))
    names = [name for name in best.params if name not in summary.searched]
    return searched, [Parameter(n, best.params[n], best.defaults.get(n)) for n in names]


def _range(dimension: Dimension | None) -> str:
    """`0.1 to 10, log`, `a, b or c`; '' where the space declares nothing."""
    if dimension is None:
        return ""
    kind, args = dimension.kind, [plain(arg) for arg in dimension.args]
    if kind == "choice":
        return listed(args, "or")
    if kind in NORMAL:
        return f"{kind}, around {args[0]} by {args[1]}"
    if kind == "randint":
        return f"{args[0]} to {dimension.args[1] - 1}, whole"
    step = f", in steps of {args[2]}" if dimension.step else ""
    return f"{args[0]} to {args[1]}" + (", log" if "log" in kind else "") + step


def _place(dimension: Dimension | None, value: Any) -> float | None:
    if dimension is None or dimension.kind in ("choice", *NORMAL) or not dimension.holds(value):
        return None
    low, high = dimension.args[0], dimension.args[1] - (dimension.kind == "randint")
    if "log" in dimension.kind:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return float((value - low) / (high - low)) if high > low else None
