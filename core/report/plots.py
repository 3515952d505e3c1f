"""The plots of a study: scores and losses over epochs, and Pareto's front."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from core.record import EpochLine
from core.report.drawing import BASELINE, BEST, MUTED, SERIES, draw, legend
from core.report.rows import Row
from core.report.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDE = 50
CURVES, POINTS = 400, 120  # drawn at most, and epochs of each


def plots(summary: Summary) -> dict[str, str]:
    """SVG of each plot there is something for: curves, losses, Pareto's front."""
    drawn = {}
    if any(row.epochs for row in summary.rows):
        drawn["curves"] = draw("curves", partial(_curves, summary=summary))
    for kind, _, row in summary.pair:
        if any(line.losses for line in row.epochs):
            drawn[kind] = draw(f"losses_{kind}", partial(_losses, epochs=row.epochs))
    if summary.front:
        drawn["front"] = draw("front", partial(_front, summary=summary))
    return drawn


def _curves(axes: Axes, summary: Summary) -> None:
    """Score per epoch: some of the others thin, best and baseline on top."""
    pair = [row for _, _, row in summary.pair]
    others = [row for row in summary.rows if row not in pair and row.epochs]
    others = others[:: -(-len(others) // CURVES) or 1]
    joined = [point for row in others for point in (*_points(row), (math.nan, math.nan))]
    lone = [_points(row)[0] for row in others if len(row.epochs) == 1]
    alpha = 0.45 if len(others) <= 60 else 0.2
    _line(axes, joined, color=MUTED, linewidth=0.7, alpha=alpha)
    _line(axes, lone, color=MUTED, linestyle="", marker="o", alpha=alpha)
    for kind, label, row in reversed(summary.pair):
        look = {"color": BEST} if kind == "best" else {"color": BASELINE, "linestyle": "--"}
        if row.epochs:
            _line(axes, _points(row), linewidth=2, label=label, **look)
    axes.set(xlabel="epoch", ylabel=summary.objective)
    legend(axes)


def _points(row: Row) -> list[tuple[float, float]]:
    return [(line.epoch, line.score.value) for line in thinned(row.epochs)]


def _line(axes: Axes, points: Sequence[tuple[float, float]], **look: Any) -> None:
    """A line; where it is a single point, a mark."""
    marker = "o" if len(points) == 1 else ""
    axes.plot(*zip(*points, strict=True), **{"marker": marker, "markersize": 4, **look})


def thinned(lines: Sequence[EpochLine]) -> Sequence[EpochLine]:
    """At most 120 epochs of them, the last always."""
    stride = -(-len(lines) // POINTS) or 1
    return lines[::-stride][::-1]


def _losses(axes: Axes, epochs: Sequence[EpochLine]) -> None:
    """Every named loss per epoch; a log scale where they differ too much for one."""
    loss_lines(axes, epochs, loss_names(epochs), 1.5)
    if wide(loss_values(epochs)):
        axes.set_yscale("log")
    axes.set(xlabel="epoch", ylabel="loss, mean of the epoch")
    legend(axes, 2 if validated(epochs) else 3)


def loss_names(epochs: Iterable[EpochLine]) -> list[str]:
    """The names of the losses, in the order in which they first come."""
    return list(dict.fromkeys(name for line in epochs for name in line.losses))


def validated(epochs: Iterable[EpochLine]) -> set[str]:
    """The losses that were measured on validation data too: the score has a part of that name."""
    return {name for line in epochs for name in line.losses if name in line.score.parts}


def loss_values(epochs: Sequence[EpochLine]) -> list[float]:
    """All that `loss_lines` draws."""
    values = [value for line in epochs for value in line.losses.values()]
    shared = validated(epochs)
    return values + [v for line in epochs for n, v in line.score.parts.items() if n in shared]


def wide(values: Sequence[float]) -> bool:
    """Whether they differ too much for a linear scale."""
    return bool(values) and min(values) > 0 and max(values) / min(values) > WIDE


def loss_lines(axes: Axes, epochs: Sequence[EpochLine], names: Sequence[str], width: float) -> None:
    """Losses per epoch, in the colours of their places in `names`; on validation data dashed."""
    lines, shared = thinned(epochs), validated(epochs)
    for i, name in enumerate(names):
        look = {"color": SERIES[i % len(SERIES)], "linewidth": width}
        label = name.lstrip("_") or "loss"  # matplotlib hides a label with a leading _
        points = [(line.epoch, line.losses[name]) for line in lines if name in line.losses]
        style, text = "-" if i < len(SERIES) else ":", label + ", training" * (name in shared)
        _line(axes, points, linestyle=style, label=text, **look)
        if name in shared:
            scores = [(line.epoch, line.score.parts) for line in lines]
            points = [(epoch, parts[name]) for epoch, parts in scores if name in parts]
            _line(axes, points, linestyle="--", label=f"{label}, validation", **look)


def _front(axes: Axes, summary: Summary) -> None:
    """The first two objectives: every scored trial, the front joined."""
    x, y = list(summary.objectives)[:2]
    points = {row.label: (row.parts[x], row.parts[y]) for row in summary.rows
              if {x, y} <= row.parts.keys()}  # fmt: skip
    _line(axes, list(points.values()), linestyle="", marker="o", color=MUTED, label="other trials")
    front = [points[row.label] for row in summary.front]
    _line(axes, front, marker="o", color=BEST, label="the front")
    for row, point in zip(summary.front, front, strict=True):
        axes.annotate(row.label, point, textcoords="offset points", xytext=(6, 4), fontsize=8)
    if summary.baseline and summary.baseline.label in points:
        _line(axes, [points[summary.baseline.label]], marker="D", color=BASELINE, markersize=7,
              fillstyle="none", label="baseline")  # fmt: skip
    axes.set(xlabel=x, ylabel=y)
    legend(axes)
