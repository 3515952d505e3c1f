"""Maps of a sweep: two parameters against each other, better cells in a stronger colour."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.report.sweep import Grid, Tally, key, total
from core.report.wording import plain

SHADES = 9
Tallies = Mapping[tuple[str, str], Tally]


@dataclass(frozen=True)
class Cell:
    """One cell of a map. `shade` is from 0, the worst mean, to 8, the best of all maps."""

    tally: Tally
    shade: int | None
    best: bool


@dataclass(frozen=True)
class HeatMap:
    """Two parameters against each other: the mean over all else."""

    down: str
    across: str
    heads: list[str]
    rows: list[tuple[str, list[Cell]]]
    caption: str


@dataclass(frozen=True)
class Maps:
    """A map for each pair; `scale` is the worst and the best mean of all, where they differ."""

    maps: list[HeatMap]
    scale: tuple[float, float] | None


def heat_maps(grid: Grid) -> Maps:
    """The maps of all pairs, all with one colour scale."""
    pairs = list(itertools.combinations(grid.axes, 2))
    tallies = {pair: _tallies(grid, *pair) for pair in pairs}
    low, high = _range(t.mean for part in tallies.values() for t in part.values())
    maps = [_map(grid, pair, tallies[pair], (low, high)) for pair in pairs]
    ends = (low, high) if grid.summary.maximize else (high, low)
    return Maps(maps, ends if low < high else None)


def _tallies(grid: Grid, down: str, across: str) -> Tallies:
    gathered: dict[tuple[str, str], list[Tally]] = {}
    for point in grid.points:
        at = (key(point.values[down]), key(point.values[across]))
        gathered.setdefault(at, []).append(point.tally)
    return {at: total(tallies) for at, tallies in gathered.items()}


def _range(means: Iterable[float | None]) -> tuple[float, float]:
    there = [mean for mean in means if mean is not None]
    return min(there, default=0.0), max(there, default=0.0)


def _map(
    grid: Grid, pair: tuple[str, str], tallies: Tallies, scale: tuple[float, float]
) -> HeatMap:
    """The map of a pair: the longer parameter goes down, as a phone scrolls."""
    maximize = grid.summary.maximize
    first, second = pair
    turned = len(grid.axes[second]) > len(grid.axes[first])
    down, across = (second, first) if turned else (first, second)

    def tally(y: Any, x: Any) -> Tally:
        return tallies[(key(x), key(y)) if turned else (key(y), key(x))]

    whole = [t for t in tallies.values() if t.scores and not t.others]
    eligible = whole or [t for t in tallies.values() if t.scores]
    best = (max if maximize else min)((t.mean or 0.0 for t in eligible), default=None)

    def cell(y: Any, x: Any) -> Cell:
        one = tally(y, x)
        marked = one in eligible and one.mean == best
        return Cell(one, _shade(one.mean, scale, maximize), marked)

    rows = [(plain(y), [cell(y, x) for x in grid.axes[across]]) for y in grid.axes[down]]
    heads = [plain(x) for x in grid.axes[across]]
    return HeatMap(down, across, heads, rows, _caption(grid, pair))


def _shade(mean: float | None, scale: tuple[float, float], maximize: bool) -> int | None:
    low, high = scale
    if mean is None or low == high:
        return None
    place = (mean - low) / (high - low)
    return round((SHADES - 1) * (place if maximize else 1 - place))


def _caption(grid: Grid, pair: tuple[str, str]) -> str:
    rest = [f"{len(v)} values of {name}" for name, v in grid.axes.items() if name not in pair]
    several = math.prod(len(v) for n, v in grid.axes.items() if n not in pair) * len(grid.seeds)
    over = " and ".join([", ".join(rest), grid.over] if rest else [grid.over])
    below = "; under it the lowest and the highest" if several > 1 or rest else ""
    return f"{grid.summary.objective}, the mean over {over}{below}."
