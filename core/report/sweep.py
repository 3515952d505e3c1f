"""A sweep's grid: what each point scored over its seeds, as facts, CSV, maps and plots."""

from __future__ import annotations

import itertools
import json
import math
import statistics
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from core.replicates.stats import Paired
from core.report.drawing import BEST, INK, SERIES, draw, legend
from core.report.format import plain, spaced
from core.report.noise import interval
from core.report.plots import loss_lines, loss_names, loss_values, wide
from core.report.render import sentences
from core.report.rows import Row, mapping
from core.report.summary import Summary
from core.report.table import csv_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SEED = "seed"
SHADES = 9  # of a map's cells
PANELS, COLUMNS, TITLE = 12, 2, 44  # points whose losses are drawn; letters in a line of a title
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

    @property
    def key(self) -> str:
        """What tells it from the other points."""
        return key(self.values)

    @cached_property
    def mean(self) -> float | None:
        """The mean score; None where no trial counts."""
        return statistics.fmean(self.scores.values()) if self.scores else None

    @property
    def spread(self) -> list[float]:
        """The lowest and the highest score, where there are several."""
        scores = self.scores.values()
        return [min(scores), max(scores)] if len(scores) > 1 else []

    @property
    def trouble(self) -> str:
        """How the trials that do not count ended, as `2 diverged`; may be ''."""
        if not self.scores and len(self.others) == 1:
            return self.others[0]
        return ", ".join(f"{n} {outcome}" for outcome, n in Counter(self.others).items())


@dataclass(frozen=True)
class Grid:
    """A sweep's parameters with their values, seeds apart, and its points in grid order.

    `sign` is 1 where a higher score is better, else -1.
    """

    summary: Summary
    axes: dict[str, list[Any]]
    seeds: list[Any]
    points: list[Point]
    sign: int

    def ranked(self, points: Iterable[Point]) -> list[Point]:
        """Those with a mean, the best first; those with trials missing come after the rest."""
        scored = [point for point in points if point.mean is not None]
        return sorted(scored, key=lambda p: (bool(p.others), -self.sign * (p.mean or 0.0)))

    @cached_property
    def order(self) -> list[Point]:
        """The points with a mean, ranked."""
        return self.ranked(self.points)

    @cached_property
    def paired(self) -> Paired:
        """The points without missing trials, or all where there is none, over common seeds."""
        whole = [p for p in self.order if not p.others] or self.order
        return Paired({p.key: {s: self.sign * v for s, v in p.scores.items()} for p in whole})

    @cached_property
    def winners(self) -> list[Point]:
        """The winner set, the best point first."""
        keys = self.paired.winners()
        return [point for point in self.order if point.key in keys]

    def behind(self, point: Point) -> str:
        """By how much the best point is better, with the interval; '' where nothing can be said."""
        if point is self.order[0] or point.key not in self.paired.names:
            return ""
        return interval(self.paired.difference(self.order[0].key, point.key), self.summary.places)

    def shown(self, point: Point) -> str:
        """`0.610 (0.580 to 0.640)`."""
        spread = " to ".join(map(self.summary.shown, point.spread))
        return self.summary.shown(point.mean) + (f" ({spread})" if spread else "")

    @property
    def sentences(self) -> list[str]:
        """What the grid comes to, in words."""
        total = Point.merged(self.points)
        deviation = statistics.stdev(total.scores.values()) if total.spread else None
        return sentences("grid.txt.j2", {"grid": self, "total": total, "deviation": deviation})

    @cached_property
    def maps(self) -> dict[tuple[str, str], list[list[Point]]]:
        """Rows of cells, each over all other parameters, for each pair of parameters: down, across.

        The longer one goes down, as a phone scrolls.
        """
        found = {}
        for pair in itertools.combinations(self.axes, 2):
            down, across = sorted(pair, key=lambda name: -len(self.axes[name]))
            at: dict[str, list[Point]] = {}
            for point in self.points:
                at.setdefault(key([point.values[down], point.values[across]]), []).append(point)
            xs, ys = self.axes[across], self.axes[down]
            found[down, across] = [[Point.merged(at[key([y, x])]) for x in xs] for y in ys]
        return found

    @cached_property
    def scale(self) -> tuple[float, float] | None:
        """The worst and the best mean of all maps' cells, where they differ."""
        cells = [cell for rows in self.maps.values() for row in rows for cell in row]
        means = sorted((c.mean for c in cells if c.mean is not None), key=lambda m: self.sign * m)
        return (means[0], means[-1]) if means and means[0] != means[-1] else None

    def shade(self, cell: Point) -> int | None:
        """From 0, the worst mean of all maps, to 8, the best."""
        if not self.scale or cell.mean is None:
            return None
        worst, best = self.scale
        return round((SHADES - 1) * (cell.mean - worst) / (best - worst))

    @property
    def plots(self) -> dict[str, str]:
        """SVG of the score against the only parameter, and of losses; '' where there are none."""
        scores, single = partial(_scores, grid=self), len(self.axes) == 1 and self.order
        order = [*self.order, *(point for point in self.points if not point.scores)]
        panels = [p for p in order if any(e.losses for row in p.rows for e in row.epochs)][:PANELS]
        losses, size = partial(_losses, grid=self, points=panels), (5.2, 1.2 + 0.8 * len(panels))
        return {
            "scores": draw("grid_scores", scores, counted=False) if single else "",
            "losses": draw("grid_losses", losses, size, counted=False) if panels else "",
        }


def swept(summary: Summary) -> bool:
    """Whether the study is a sweep."""
    return summary.study.about.get("sampler") == "grid"


def sweep_grid(summary: Summary) -> Grid | None:
    """The grid of a sweep; None for any other study, and where its space cannot be read."""
    axes = {name: mapping(spec).get("_value") for name, spec in summary.space.items()}
    values: dict[str, list[Any]] = {n: v for n, v in axes.items() if isinstance(v, list) and v}
    if not swept(summary) or not values or values.keys() != axes.keys():
        return None
    seeds = values.pop(SEED, []) if len(values) > 1 else []
    found = {
        key({name: row.params.get(name) for name in axes}): row
        for row in summary.rows
        if row.task == summary.task and all(name in row.searched for name in axes)
    }
    counted = {row.record.folder for row in summary.candidates}
    points = []
    for chosen in itertools.product(*values.values()):
        point = dict(zip(values, chosen, strict=True))
        runs = [{SEED: seed} for seed in seeds] or [{}]
        rows = {key(run): found.get(key({**point, **run})) for run in runs}
        scores = {run: row.score for run, row in rows.items()
                  if row and row.record.folder in counted and row.score is not None}  # fmt: skip
        others = tuple(_trouble(row) for run, row in rows.items() if run not in scores)
        points.append(Point(point, tuple(filter(None, rows.values())), scores, others))
    return Grid(summary, values, seeds, points, 1 if summary.maximize else -1)


def key(value: Any) -> str:
    """A parameter's value, or several, as JSON, which tells it from others."""
    return json.dumps(value, sort_keys=True)


def _trouble(row: Row | None) -> str:
    if row is None:
        return "not run"
    return "broke a guard" if row.completed else spaced(row.outcome)


def sweep_csv(grid: Grid) -> str:
    """A row a trial: point, outcome, final score and parts (`part.`), last losses (`loss.`).

    A trial that did not complete has no score and no parts. Numbers are exact.
    """
    trials = sorted((r for point in grid.points for r in point.rows), key=lambda row: row.number)
    parts = dict.fromkeys(name for row in trials for name in row.parts)
    losses = loss_names(line for row in trials for line in row.epochs)
    table = []
    for row in trials:
        values = {name: row.params.get(name) for name in grid.summary.space}
        last = {name: loss for line in row.epochs for name, loss in line.losses.items()}
        table.append(
            {"trial": row.label}
            | {n: v if isinstance(v, str) else json.dumps(v) for n, v in values.items()}
            | {"outcome": row.outcome, "score": row.score if row.completed else None}
            | {f"part.{n}": row.parts.get(n) if row.completed else None for n in parts}
            | {f"loss.{name}": last.get(name) for name in losses}
            | {"epochs_trained": len(row.epochs), "seconds": round(row.seconds, 3)}
        )
    return csv_text(table)


def _scores(axes: Axes, grid: Grid) -> None:
    """Every trial, the means and what failed, at equal steps in the grid's order."""
    (name,), points = grid.axes, list(enumerate(grid.points))
    means = [math.nan if point.mean is None else point.mean for _, point in points]
    axes.plot(means, "_-", color=BEST, markersize=12, label="mean")
    dots = [(x, score) for x, point in points for score in point.scores.values()]
    axes.plot(*zip(*dots, strict=True), "o", color=INK, fillstyle="none", label="a trial")
    for x, point in points:
        axes.text(x, 0.02, point.trouble, color=SERIES[1], rotation=90, ha="center",
                  transform=axes.get_xaxis_transform())  # fmt: skip
    texts = [plain(value)[:LETTERS] for value in grid.axes[name]]
    stride = math.ceil(len(texts) / TICKS)
    axes.set_xticks(range(0, len(texts), stride), texts[::stride])
    axes.set(xlabel=name, ylabel=grid.summary.objective, xlim=(-0.5, len(points) - 0.5))
    legend(axes)


def _losses(axes: Axes, grid: Grid, points: Sequence[Point]) -> None:
    """The figure of `axes` as a panel for each point, all on the same scales; a line a seed."""
    figure, panel, labels = axes.figure, None, dict[str, Any]()
    axes.remove()
    lines = [line for point in points for row in point.rows for line in row.epochs]
    names, height = loss_names(lines), math.ceil(len(points) / COLUMNS)
    for i, point in enumerate(points, 1):
        panel = figure.add_subplot(height, COLUMNS, i, sharex=panel, sharey=panel)
        for row in point.rows:
            loss_lines(panel, row.epochs, names, 0.9)
        title = f"{point.label}: {grid.summary.shown(point.mean)} {point.trouble}"
        panel.set_title(textwrap.fill(title, TITLE), loc="left", fontsize="medium")
        panel.grid(True, axis="y", linewidth=0.6)
        panel.locator_params(axis="x", nbins=4, integer=True, min_n_ticks=1)
        handles = panel.get_legend_handles_labels()
        labels |= dict(zip(handles[1], handles[0], strict=True))
    if panel and wide(loss_values(lines)):
        panel.set_yscale("log")
    figure.legend(list(labels.values()), list(labels), loc="outside upper left", ncols=3)
