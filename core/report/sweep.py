"""A sweep's grid: what each point scored over its seeds, as facts, CSV, maps and plots."""

from __future__ import annotations

import csv
import io
import itertools
import json
import statistics
from collections import Counter
from collections.abc import Iterable
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
class Tally:
    """Some trials as one number: the scores of those that count, and how the others ended."""

    scores: tuple[float, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def mean(self) -> float | None:
        """The mean score; None where no trial counts."""
        return statistics.fmean(self.scores) if self.scores else None

    @property
    def spread(self) -> tuple[float, float] | None:
        """The lowest and the highest score, where there are several."""
        return (min(self.scores), max(self.scores)) if len(self.scores) > 1 else None

    @property
    def trouble(self) -> str:
        """How the trials that do not count ended, as `2 diverged`; may be ''."""
        if not self.scores and len(self.others) == 1:
            return self.others[0]
        return ", ".join(f"{n} {outcome}" for outcome, n in Counter(self.others).items())


@dataclass(frozen=True)
class Point:
    """One point of the grid with its trials; `scores` are by seed, of the trials that count."""

    values: dict[str, Any]
    rows: tuple[Row, ...]
    scores: dict[str, float]
    tally: Tally

    @property
    def label(self) -> str:
        """`lr_g 0.0001, batch_size 8`."""
        return ", ".join(f"{name} {plain(value)}" for name, value in self.values.items())


@dataclass(frozen=True)
class Cell:
    """One cell of a map. `shade` is from 0, the worst mean, to 8, the best of all maps."""

    tally: Tally
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
    """The losses of points, drawn alike: a point and its SVG each.

    `names` are the losses, with their colours' numbers. `shared` says whether some are measured on
    validation data too, `left_out` counts points without a panel.
    """

    panels: list[tuple[Point, str]]
    names: list[tuple[str, int]]
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
        scored = [point for point in self.points if point.tally.scores]
        return sorted(scored, key=lambda p: (bool(p.tally.others), sign * (p.tally.mean or 0.0)))

    @property
    def best(self) -> Point | None:
        """The point with the best mean."""
        return self.ranked[0] if self.ranked else None

    @cached_property
    def paired(self) -> Paired:
        """The points without missing trials, or all where there is none, over common seeds."""
        sign = 1 if self.summary.maximize else -1
        whole = [p for p in self.ranked if not p.tally.others] or self.ranked
        return Paired({p.label: {s: sign * v for s, v in p.scores.items()} for p in whole})

    @cached_property
    def winners(self) -> list[str]:
        """The labels of the winner set."""
        return self.paired.winners()

    def behind(self, point: Point) -> str:
        """By how much the best point is better, with the interval; '' where nothing can be said."""
        compared = self.best and point is not self.best and point.label in self.paired.names
        if not compared or not self.best:
            return ""
        difference = self.paired.difference(self.best.label, point.label)
        return interval(difference, self.summary.places)

    def shown(self, tally: Tally) -> str:
        """`0.610 (0.580 to 0.640)`."""
        shown, spread = self.summary.shown, tally.spread
        return shown(tally.mean) + (
            f" ({shown(spread[0])} to {shown(spread[1])})" if spread else ""
        )

    @property
    def sentences(self) -> list[str]:
        """What the grid comes to, in words."""
        total = _total(point.tally for point in self.points)
        deviation = statistics.stdev(total.scores) if len(total.scores) > 1 else None
        context = {"grid": self, "s": self.summary, "total": total, "deviation": deviation}
        return sentences("grid.txt.j2", context)

    @cached_property
    def maps(self) -> list[HeatMap]:
        """A map for each pair of parameters, all with one colour scale."""
        return [_map(self, pair) for pair in self.pairs]

    @cached_property
    def pairs(self) -> dict[tuple[str, str], dict[tuple[str, str], Tally]]:
        """For each pair of parameters the trials by their values, over all other parameters."""
        found: dict[tuple[str, str], dict[tuple[str, str], list[Tally]]] = {}
        for pair in itertools.combinations(self.axes, 2):
            cells = found.setdefault(pair, {})
            for point in self.points:
                a, b = (key(point.values[name]) for name in pair)
                cells.setdefault((a, b), []).append(point.tally)
        return {pair: {at: _total(t) for at, t in cells.items()} for pair, cells in found.items()}

    @cached_property
    def scale(self) -> tuple[float, float] | None:
        """The worst and the best mean of all maps' cells, where they differ."""
        means = [t.mean for cells in self.pairs.values() for t in cells.values() if t.scores]
        low, high = min(means, default=0.0), max(means, default=0.0)  # type: ignore[type-var]
        return None if low == high else (low, high) if self.summary.maximize else (high, low)

    @cached_property
    def panels(self) -> Panels | None:
        """The losses of each point that has trained, the best-scored where there are too many."""
        return _panels(self)

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
        at = found.get(tuple(map(key, chosen)), {})
        rows = {key(seed): at.get(key(seed)) for seed in seeds or [None]}
        scores = {seed: row.score for seed, row in rows.items()
                  if row and row.record.folder in counted and row.score is not None}  # fmt: skip
        others = tuple(_trouble(row) for seed, row in rows.items() if seed not in scores)
        tally = Tally(tuple(scores.values()), others)
        known = tuple(row for row in rows.values() if row)
        return Point(dict(zip(values, chosen, strict=True)), known, scores, tally)

    return Grid(summary, values, seeds, [point(*p) for p in itertools.product(*values.values())])


def key(value: Any) -> str:
    """A parameter's value as JSON, which tells it from others."""
    return json.dumps(value, sort_keys=True)


def _trouble(row: Row | None) -> str:
    if row is None:
        return "not run"
    return "broke a guard" if row.completed else spaced(row.outcome)


def _total(tallies: Iterable[Tally]) -> Tally:
    """All their trials as one."""
    known = list(tallies)
    scores, others = (tuple(itertools.chain.from_iterable(parts)) for parts in (
        (t.scores for t in known), (t.others for t in known)))  # fmt: skip
    return Tally(scores, others)


def sweep_csv(grid: Grid) -> str:
    """A row a trial: point, outcome, final score and parts (`part.`), last losses (`loss.`).

    A trial that did not complete has no score and no parts. Numbers are exact.
    """
    lines = []
    for row in sorted((r for p in grid.points for r in p.rows), key=lambda row: row.number):
        values = {name: row.params.get(name) for name in grid.summary.space}
        line: dict[str, Any] = {"trial": row.label}
        line |= {n: v if isinstance(v, str) else json.dumps(v) for n, v in values.items()}
        line |= {"outcome": row.outcome, "score": row.score if row.completed else None}
        parts = {f"part.{n}": v if row.completed else None for n, v in row.parts.items()}
        losses = {f"loss.{n}": v for e in row.epochs for n, v in e.losses.items()}
        last = {"epochs_trained": len(row.epochs), "seconds": round(row.seconds, 3)}
        lines.append((line, parts, losses, last))
    names = dict.fromkeys(n for group in zip(*lines, strict=True) for part in group for n in part)
    out = io.StringIO()
    table = csv.DictWriter(out, list(names), lineterminator="\n")
    table.writeheader()
    table.writerows(a | b | c | d for a, b, c, d in lines)
    return out.getvalue()


def _map(grid: Grid, pair: tuple[str, str]) -> HeatMap:
    """The map of a pair: the longer parameter goes down, as a phone scrolls."""
    tallies = grid.pairs[pair]
    scored = [tally for tally in tallies.values() if tally.scores]
    whole = [tally for tally in scored if not tally.others] or scored
    pick = max if grid.summary.maximize else min
    best = pick((tally.mean or 0.0 for tally in whole), default=None)
    turned = len(grid.axes[pair[1]]) > len(grid.axes[pair[0]])
    down, across = pair[::-1] if turned else pair

    def cell(y: Any, x: Any) -> Cell:
        tally, shade = tallies[(key(x), key(y)) if turned else (key(y), key(x))], None
        if grid.scale and tally.mean is not None:
            worst, top = grid.scale
            shade = round((SHADES - 1) * (tally.mean - worst) / (top - worst))
        return Cell(tally, shade, tally in whole and tally.mean == best)

    rows = [(y, [cell(y, x) for x in grid.axes[across]]) for y in grid.axes[down]]
    return HeatMap(down, across, rows)


def _scores(axes: Axes, grid: Grid) -> None:
    """Every trial, the means, the range over the seeds; equal steps in the grid's order."""
    (name,) = grid.axes
    tallies = [point.tally for point in grid.points]
    means = [float("nan") if t.mean is None else t.mean for t in tallies]
    places = range(len(tallies))
    several = any(tally.spread for tally in tallies)
    axes.plot(places, means, "_-" if several else "-", color=BEST, linewidth=1.8, markersize=12,
              label="mean" if several else None)  # fmt: skip
    if several:
        ends = [tally.spread or (mean, mean) for tally, mean in zip(tallies, means, strict=True)]
        axes.fill_between(places, *zip(*ends, strict=True), color=BEST, alpha=0.15, linewidth=0,
                          label="lowest to highest")  # fmt: skip
    dots = [(x, score) for x, tally in zip(places, tallies, strict=True) for score in tally.scores]
    axes.scatter(*zip(*dots, strict=True), 20, facecolors="none", edgecolors=INK, linewidths=1,
                 label="a trial")  # fmt: skip
    outcomes = dict.fromkeys(o for tally in tallies for o in tally.others if o != "not run")
    for i, (outcome, marker) in enumerate(zip(outcomes, itertools.cycle("x+1234"), strict=False)):
        at = [x for x, tally in zip(places, tallies, strict=True) if outcome in tally.others]
        axes.scatter(at, [0.03 + 0.06 * i] * len(at), 30, color=SERIES[1], marker=marker,
                     transform=axes.get_xaxis_transform(), label=f"{outcome}: no score",
                     clip_on=False)  # fmt: skip
    stride = -(-len(places) // TICKS)
    texts = [plain(value)[:LETTERS] for value in grid.axes[name]]
    axes.set_xticks(places[::stride], texts[::stride])
    axes.set(xlabel=name, ylabel=grid.summary.objective)
    air = 0.08 * max(1, len(places) - 1)
    axes.set_xlim(-air, len(places) - 1 + air)
    legend(axes)


def _panels(grid: Grid) -> Panels | None:
    trained = [p for p in grid.points if any(line.losses for r in p.rows for line in r.epochs)]
    if not trained:
        return None
    order = [id(point) for point in grid.ranked]
    place = {id(p): order.index(id(p)) if id(p) in order else len(order) for p in trained}
    limit = sorted(place.values())[:PANELS][-1]
    shown = [point for point in trained if place[id(point)] <= limit][:PANELS]
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
    colours = [(name.lstrip("_") or "loss", i % len(SERIES)) for i, name in enumerate(names)]
    return Panels(panels, colours, bool(validated(lines)), log, len(trained) - len(shown))
