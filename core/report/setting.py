"""The best trial's parameters next to the baseline's, each with its place in the search range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.report.rows import Row, mapping
from core.report.summary import Summary
from core.report.wording import plain

EDGE = 0.02


@dataclass(frozen=True)
class Setting:
    """One parameter. `at` and `usual` are places in the range, 0 to 1, where they lie in it."""

    name: str
    best: Any
    baseline: Any
    range: str = ""
    at: float | None = None
    usual: float | None = None

    @property
    def changed(self) -> bool:
        """Whether best and baseline differ."""
        return bool(self.best != self.baseline)

    @property
    def edge(self) -> str:
        """`lower` or `upper` when the search took the value to that end of its range."""
        if self.at is None or not self.changed:
            return ""
        return "lower" if self.at <= EDGE else "upper" if self.at >= 1 - EDGE else ""


def searched_settings(summary: Summary, row: Row) -> list[Setting]:
    """The parameters that were searched, in the order of the search space."""
    settings = []
    for name in summary.searched:
        best, usual = row.params.get(name), row.defaults.get(name)
        spec = mapping(summary.space.get(name))
        places = (_place(spec, best), _place(spec, usual))
        settings.append(Setting(name, best, usual, _range(spec), *places))
    return settings


def other_settings(summary: Summary, row: Row) -> list[Setting]:
    """All the others."""
    names = [name for name in row.params if name not in summary.searched]
    return [Setting(name, row.params[name], row.defaults.get(name)) for name in names]


def _range(spec: Mapping[str, Any]) -> str:
    """`0.1 to 10, log`, `a, b or c`; '' where the space declares nothing."""
    kind, args = str(spec.get("_type", "")), spec.get("_value")
    if not isinstance(args, list) or not args:
        return ""
    shown = [plain(mapping(a).get("_name", a)) for a in args]  # a nested choice is its names
    if kind == "choice" or len(args) < 2:
        return " or ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
    if "normal" in kind:
        return f"{kind}, around {shown[0]} by {shown[1]}"
    if kind == "randint" and isinstance(args[1], int):
        return f"{shown[0]} to {args[1] - 1}, whole"
    step = f", in steps of {shown[2]}" if kind.startswith("q") and len(args) > 2 else ""
    return f"{shown[0]} to {shown[1]}" + (", log" if "log" in kind else "") + step


def _place(spec: Mapping[str, Any], value: Any) -> float | None:
    """Where in its range a number lies, from 0 to 1; None outside it or where there is none."""
    kind = str(spec.get("_type", ""))
    if not kind.endswith(("uniform", "randint")):
        return None
    try:
        low, high = (float(a) for a in spec["_value"][:2])
        high -= kind == "randint"
        x = float(value)
        if "log" in kind:
            low, high, x = math.log(low), math.log(high), math.log(x)
        place = (x - low) / (high - low)
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return place if 0 <= place <= 1 else None
