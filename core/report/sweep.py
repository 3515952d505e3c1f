"""A sweep's grid: what each point scored over its seeds, as facts, CSV, maps and plots."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from core.replicates.stats import Paired
from core.report.drawing import BEST, INK, SERIES, draw, legend
from core.report.format import plain, spaced
from core.report.noise import interval
from core.report.plots import loss_lines, loss_names, loss_values, validated, wide
from core.report.render import sentences
from core.report.rows import Row, mapping
from core.report.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SEED = "seed"
SHADES = 9  # of a map's cells
PANELS, PANEL_SIZE = 24, (2.2, 1.6)
TICKS, LETTERS = 10, 14


@dataclass(frozen=True)
class Point:
    """A point of the grid, or several as one: the scores that count, and how other trials ended."""

    values: dict[str, Any]
    rows: tuple[Row, ...]
    scores: dict[Any, float]
    others: tuple[str, ...]

    @classmethod
    def merged(cls, points: Sequence[Point]) -> Point:
        """All their trials as one point's."""
        scores = {(i, s): score for i, p in enumerate(points) for s, score in p.scores.items()}
        return cls({}, (), scores, tuple(other for p in points for other in p.others))

    @property
    def label(self) -> str:
        """`lr_g 0.0001, batch_size 8`."""
        return ", ".join(f"{name} {plain(value)}" for name, value in self.values.items())

    @cached_property
    def mean(self) -> float | None:
        """The mean score; None where no trial counts."""
        return statistics.fmean(self.scores.values()) if self.scores else None

    @property
    def spread(self) -> tuple[float, float] | None:
        """The lowest and the highest score, where there are several."""
        scores = self.scores.values()
        return (min(scores), max(scores)) if len(scores) > 1 else None

    @property
    def trouble(self) -> str:
        """How the trials that do not count ended, as `2 diverged`; may be ''."""
        if not self.scores and len(self.others) == 1:
            return self.others[0]
        return ", ".join(f"{n} {outcome}" for outcome, n in Counter(self.others).items())


@dataclass(frozen=True)
class Cell:
    """One cell of a map. `shade` is from 0, the worst mean, to 8, the best of all maps."""

    point: Point
    shade: int | None
    best: bool


@dataclass(frozen=True)
class HeatMap:
    """Two parameters against each other: the mean over all others."""

    down: str
    across: str
    rows: list[tuple[Any, list[Cell]]]


@dataclass(frozen=True)
class Panels:
    """The losses of points, drawn alike: a point and its SVG each, and the losses' names.

    `shared` says whether some are measured on validation data too.
    """

    panels: list[tuple[Point, str]]
    names: list[str]
    shared: bool
    log: bool
    left_out: int


@dataclass(frozen=True)
class Grid:
    """A sweep's parameters with their values, seeds apart, and its points in grid order."""

    summary: Summary
    axes: dict[str, list[Any]]
    seeds: list[Any]
    points: list[Point]

    @cached_property
    def ranked(self) -> list[Point]:
        """The points with a mean, the best first; those with trials missing come after the rest."""
        sign = -1 if self.summary.maximize else 1
        scored = [point for point in self.points if point.scores]
        return sorted(scored, key=lambda p: (bool(p.others), sign * (p.mean or 0.0)))

    @property
    def best(self) -> Point | None:
        """The point with the best mean."""
        return self.ranked[0] if self.ranked else None

    @cached_property
    def paired(self) -> Paired:
        """The points without missing trials, or all where there is none, over common seeds."""
        sign = 1 if self.summary.maximize else -1
        whole = [p for p in self.ranked if not p.others] or self.ranked
        return Paired({p.label: {s: sign * v for s, v in p.scores.items()} for p in whole})

    @cached_property
    def winners(self) -> list[str]:
        """The labels of the winner set."""
        return self.paired.winners()

    def behind(self, point: Point) -> str:
        """By how much the best point is better, with the interval; '' where nothing can be said."""
        if not self.best or point is self.best or point.label not in self.paired.names:
            return ""
        difference = self.paired.difference(self.best.label, point.label)
        return interval(difference, self.summary.places)

    def shown(self, point: Point) -> str:
        """`0.610 (0.580 to 0.640)`."""
        shown, spread = self.summary.shown, point.spread
        return shown(point.mean) + (
            f" ({shown(spread[0])} to {shown(spread[1])})" if spread else ""
        )

    @property
    def sentences(self) -> list[str]:
        """What the grid comes to, in words."""
        total = Point.merged(self.points)
        deviation = statistics.stdev(total.scores.values()) if total.spread else None
        context = {"grid": self, "s": self.summary, "total": total, "deviation": deviation}
        return sentences("grid.txt.j2", context)

    @cached_property
    def pairs(self) -> dict[tuple[str, str], dict[tuple[str, str], Point]]:
        """For each pair of parameters the trials by their values, over all other parameters."""
        found = {}
        for pair in itertools.combinations(self.axes, 2):
            cells: dict[tuple[str, str], list[Point]] = {}
            for point in self.points:
                at = (key(point.values[pair[0]]), key(point.values[pair[1]]))
                cells.setdefault(at, []).append(point)
            found[pair] = {at: Point.merged(points) for at, points in cells.items()}
        return found

    @cached_property
    def scale(self) -> tuple[float, float] | None:
        """The worst and the best mean of all maps' cells, where they differ."""
        cells = [point for cells in self.pairs.values() for point in cells.values()]
        means = [point.mean for point in cells if point.mean is not None]
        low, high = min(means, default=0.0), max(means, default=0.0)
        return None if low == high else (low, high) if self.summary.maximize else (high, low)

    @cached_property
    def maps(self) -> list[HeatMap]:
        """A map for each pair of parameters; the longer one goes down, as a phone scrolls."""
        return [_map(self, *sorted(pair, key=lambda n: -len(self.axes[n]))) for pair in self.pairs]

    @cached_property
    def panels(self) -> Panels | None:
        """The losses of each point that has trained, the best-scored where there are too many."""
        trained = [p for p in self.points if any(line.losses for r in p.rows for line in r.epochs)]
        return _panels(self, trained) if trained else None

    @property
    def plot(self) -> str:
        """SVG of score against the only parameter; '' where there are several, or no score."""
        if len(self.axes) != 1 or not self.ranked:
            return ""
        return draw("grid_scores", partial(_scores, grid=self), counted=False)


def swept(summary: Summary) -> bool:
    """Whether the study is a sweep."""
    return summary.study.about.get("sampler") == "grid"


def sweep_grid(summary: Summary) -> Grid | None:
    """The grid of a sweep; None for any other study, and where its space cannot be read."""
    if not swept(summary):
        return None
    axes = {name: mapping(spec).get("_value") for name, spec in summary.space.items()}
    values: dict[str, list[Any]] = {n: v for n, v in axes.items() if isinstance(v, list) and v}
    if not values or values.keys() != axes.keys():
        return None
    seeds = values.pop(SEED, []) if len(values) > 1 else []
    found: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in summary.rows:
        if row.task == summary.task and all(name in row.searched for name in axes):
            at = tuple(key(row.params.get(name)) for name in values)
            found.setdefault(at, {})[key(row.params.get(SEED) if seeds else None)] = row
    counted = {row.record.folder for row in summary.candidates}

    def point(*chosen: Any) -> Point:
        known = found.get(tuple(map(key, chosen)), {})
        rows = {key(seed): known.get(key(seed)) for seed in seeds or [None]}
        scores = {seed: row.score for seed, row in rows.items()
                  if row and row.record.folder in counted and row.score is not None}  # fmt: skip
        others = tuple(_trouble(row) for seed, row in rows.items() if seed not in scores)
        trials = tuple(row for row in rows.values() if row)
        return Point(dict(zip(values, chosen, strict=True)), trials, scores, others)

    return Grid(summary, values, seeds, [point(*p) for p in itertools.product(*values.values())])


def key(value: Any) -> str:
    """A parameter's value as JSON, which tells it from others."""
    return json.dumps(value, sort_keys=True)


def _trouble(row: Row | None) -> str:
    if row is None:
        return "not run"
    return "broke a guard" if row.completed else spaced(row.outcome)


def sweep_csv(grid: Grid) -> str:
    """A row a trial: point, outcome, final score and parts (`part.`), last losses (`loss.`).

    A trial that did not complete has no score and no parts. Numbers are exact.
    """
    trials = []
    for row in sorted((r for p in grid.points for r in p.rows), key=lambda row: row.number):
        values = {name: row.params.get(name) for name in grid.summary.space}
        groups: list[dict[str, Any]] = [
            {"trial": row.label},
            {n: v if isinstance(v, str) else json.dumps(v) for n, v in values.items()},
            {"outcome": row.outcome, "score": row.score if row.completed else None},
            {f"part.{n}": v if row.completed else None for n, v in row.parts.items()},
            {f"loss.{n}": v for e in row.epochs for n, v in e.losses.items()},
            {"epochs_trained": len(row.epochs), "seconds": round(row.seconds, 3)},
        ]
        trials.append(groups)
    names = [name for group in zip(*trials, strict=True) for part in group for name in part]
    out = io.StringIO()
    table = csv.DictWriter(out, list(dict.fromkeys(names)), lineterminator="\n")
    table.writeheader()
    table.writerows({n: v for group in groups for n, v in group.items()} for groups in trials)
    return out.getvalue()


def _map(grid: Grid, down: str, across: str) -> HeatMap:
    turned = (down, across) not in grid.pairs
    points = grid.pairs[(across, down) if turned else (down, across)]
    scored = [point for point in points.values() if point.scores]
    whole = [point for point in scored if not point.others] or scored
    pick = max if grid.summary.maximize else min
    best = pick((point.mean or 0.0 for point in whole), default=None)

    def cell(y: Any, x: Any) -> Cell:
        point, shade = points[(key(x), key(y)) if turned else (key(y), key(x))], None
        if grid.scale and point.mean is not None:
            worst, top = grid.scale
            shade = round((SHADES - 1) * (point.mean - worst) / (top - worst))
        return Cell(point, shade, point in whole and point.mean == best)

    rows = [(y, [cell(y, x) for x in grid.axes[across]]) for y in grid.axes[down]]
    return HeatMap(down, across, rows)


def _scores(axes: Axes, grid: Grid) -> None:
    """Every trial, the means, the range over the seeds; equal steps in the grid's order."""
    (name,) = grid.axes
    places, points = list(range(len(grid.points))), grid.points
    means = [math.nan if point.mean is None else point.mean for point in points]
    if any(point.spread for point in points):
        ends = [point.spread or (mean, mean) for point, mean in zip(points, means, strict=True)]
        axes.fill_between(places, [low for low, _ in ends], [high for _, high in ends], color=BEST,
                          alpha=0.15, linewidth=0, label="lowest to highest")  # fmt: skip
        axes.plot(places, means, "_-", color=BEST, linewidth=1.8, markersize=12, label="mean")
    else:
        axes.plot(places, means, color=BEST, linewidth=1.8)
    dots = [(x, score) for x, point in enumerate(points) for score in point.scores.values()]
    axes.scatter([x for x, _ in dots], [y for _, y in dots], 20, facecolors="none", edgecolors=INK,
                 linewidths=1, label="a trial")  # fmt: skip
    outcomes = dict.fromkeys(o for point in points for o in point.others if o != "not run")
    for i, (outcome, marker) in enumerate(zip(outcomes, itertools.cycle("x+1234"), strict=False)):
        at = [x for x, point in enumerate(points) if outcome in point.others]
        axes.scatter(at, [0.03 + 0.06 * i] * len(at), 30, color=SERIES[1], marker=marker,
                     transform=axes.get_xaxis_transform(), label=f"{outcome}: no score",
                     clip_on=False)  # fmt: skip
    stride = -(-len(places) // TICKS)
    texts = [plain(value)[:LETTERS] for value in grid.axes[name]]
    axes.set_xticks(places[::stride], texts[::stride])
    air = 0.08 * max(1, len(places) - 1)
    axes.set(xlabel=name, ylabel=grid.summary.objective, xlim=(-air, len(places) - 1 + air))
    legend(axes)


def _panels(grid: Grid, trained: Sequence[Point]) -> Panels:
    order = {id(point): i for i, point in enumerate(grid.ranked)}
    chosen = sorted(trained, key=lambda p: order.get(id(p), len(order)))[:PANELS]
    shown = [point for point in trained if any(point is other for other in chosen)]
    lines = [line for point in shown for row in point.rows for line in row.epochs]
    names, values = loss_names(lines), loss_values(lines)
    log, last = wide(values), max(line.epoch for line in lines)

    def plot(axes: Axes, point: Point) -> None:
        for row in point.rows:
            loss_lines(axes, row.epochs, names, 0.9)
        if log:
            axes.set_yscale("log")
        axes.update_datalim([(1, min(values)), (last, max(values))])
        axes.autoscale_view()

    panels = [(p, draw(f"grid_losses_{i}", partial(plot, point=p), PANEL_SIZE))
              for i, p in enumerate(shown)]  # fmt: skip
    shared, left_out = bool(validated(lines)), len(trained) - len(shown)
    return Panels(panels, [name.lstrip("_") or "loss" for name in names], shared, log, left_out)
