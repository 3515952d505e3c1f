"""The pictures of a grid: score against one parameter, and the losses of each point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from core.record import EpochLine
from core.report.drawing import BEST, INK, SERIES, draw, legend
from core.report.plots import loss_lines, loss_names, loss_values, validated, wide
from core.report.sweep import Grid, Point
from core.report.wording import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = 24
SMALL = (2.2, 1.6)
LABELS, LETTERS = 10, 14


def score_plot(grid: Grid) -> str:
    """Score against the values of the only parameter; '' where there are several, or no score."""
    if len(grid.axes) != 1 or not grid.ranked:
        return ""
    return draw("grid_scores", partial(_scores, grid=grid), counted=False)


def _scores(axes: Axes, grid: Grid) -> None:
    """Every trial, the mean, the range between the seeds; equal steps in the grid's order."""
    (name,) = grid.axes
    tallies = [point.tally for point in grid.points]
    means = [math.nan if t.mean is None else t.mean for t in tallies]
    places = range(len(tallies))
    if any(tally.spread for tally in tallies):
        ends = [tally.spread or (m, m) for tally, m in zip(tallies, means, strict=True)]
        lows, highs = zip(*ends, strict=True)
        label = "lowest to highest"
        axes.fill_between(places, lows, highs, color=BEST, alpha=0.15, linewidth=0, label=label)
        axes.plot(places, means, color=BEST, linewidth=1.8, marker="_", markersize=12, label="mean")
    else:
        axes.plot(places, means, color=BEST, linewidth=1.8)
    dots = [(x, score) for x, tally in zip(places, tallies, strict=True) for score in tally.scores]
    xs, ys = zip(*dots, strict=True)
    axes.scatter(xs, ys, 20, facecolors="none", edgecolors=INK, linewidths=1, label="a trial")
    for i, (outcome, marker) in enumerate(zip(_outcomes(grid), "x+1234" * 9, strict=False)):
        at = [x for x, tally in zip(places, tallies, strict=True) if outcome in tally.others]
        floor = axes.get_xaxis_transform()
        axes.scatter(at, [0.03 + 0.06 * i] * len(at), 30, color=SERIES[1], marker=marker,
                     transform=floor, label=f"{outcome}: no score", clip_on=False)  # fmt: skip
    stride = -(-len(places) // LABELS)
    texts = [plain(value)[:LETTERS] for value in grid.axes[name]]
    axes.set_xticks(list(places)[::stride], texts[::stride])
    axes.set(xlabel=name, ylabel=grid.summary.objective)
    air = 0.08 * max(1, len(places) - 1)
    axes.set_xlim(-air, len(places) - 1 + air)
    legend(axes)


def _outcomes(grid: Grid) -> list[str]:
    return list(dict.fromkeys(o for p in grid.points for o in p.tally.others if o != "not run"))


@dataclass(frozen=True)
class Panel:
    """The losses of one point."""

    label: str
    told: str
    best: bool
    svg: str


@dataclass(frozen=True)
class Panels:
    """The losses of the points, drawn alike. `names` are the losses, with their colours' numbers.

    `shared` are those measured on validation data too, `left_out` counts points without a panel.
    """

    panels: list[Panel]
    names: list[tuple[str, int]]
    shared: bool
    log: bool
    left_out: int


def loss_panels(grid: Grid) -> Panels | None:
    """A panel for each point that has trained, the best-scored ones where there are too many."""
    trained = [p for p in grid.points if any(line.losses for r in p.rows for line in r.epochs)]
    if not trained:
        return None
    order = {id(point): place for place, point in enumerate(grid.ranked)}
    chosen = sorted(trained, key=lambda p: order.get(id(p), len(order)))[:PANELS]
    shown = [point for point in trained if point in chosen]
    lines = [line for point in shown for row in point.rows for line in row.epochs]
    names, values = loss_names(lines), loss_values(lines)
    log = wide(values)
    limits, last = _limits(values, log), max(line.epoch for line in lines)

    def panel(number: int, point: Point) -> Panel:
        plot = partial(_panel, point=point, names=names, limits=limits, last=last, log=log)
        trouble = ", ".join(filter(None, [_told(grid, point), point.tally.trouble]))
        best = point is grid.best
        return Panel(point.label, trouble, best, draw(f"grid_losses_{number}", plot, SMALL))

    return Panels(
        [panel(number, point) for number, point in enumerate(shown)],
        [(name.lstrip("_") or "loss", i % len(SERIES)) for i, name in enumerate(names)],
        bool(validated(lines)),
        log,
        len(trained) - len(shown),
    )


def _told(grid: Grid, point: Point) -> str:
    return f"score {grid.summary.shown(point.tally.mean)}" if point.tally.scores else ""


def _limits(values: Sequence[float], log: bool) -> tuple[float, float]:
    """The same range for all panels, with some air."""
    low, high = min(values), max(values)
    if log:
        return low / 1.2, high * 1.2
    air = 0.05 * (high - low) or 0.5
    return low - air, high + air


def _panel(
    axes: Axes, point: Point, names: Sequence[str], limits: tuple[float, float], last: int,
    log: bool,
) -> None:  # fmt: skip
    for row in point.rows:
        lines: tuple[EpochLine, ...] = row.epochs
        loss_lines(axes, lines, names, 0.9)
    if log:
        axes.set_yscale("log")
    axes.set_ylim(*limits)
    axes.set_xlim(1 - 0.03 * max(last - 1, 1), last + 0.03 * max(last - 1, 1))
