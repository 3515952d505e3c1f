"""The plots of a study: scores and losses over epochs, and Pareto's front."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from core.record import EpochLine
from core.report.drawing import BASELINE, BEST, MUTED, SERIES, draw, legend
from core.report.rows import Row
from core.report.summary import Front, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDE = 50
CURVES, POINTS = 400, 120  # drawn at most, and epochs of each


def plots(summary: Summary) -> dict[str, str]:
    """SVG of each plot there is something for: curves, losses, Pareto's front."""
    best, baseline, drawn = summary.best, summary.baseline, {}
    if any(row.epochs for row in summary.rows):
        drawn["curves"] = draw("curves", partial(_curves, summary=summary))
    rows = {"losses_best": best, "losses_baseline": baseline if baseline != best else None}
    for name, row in rows.items():
        if row and any(line.losses for line in row.epochs):
            drawn[name] = draw(name, partial(_losses, epochs=row.epochs))
    if summary.front and summary.front.rows:
        drawn["front"] = draw("front", partial(_front, summary=summary, front=summary.front))
    return drawn


def _curves(axes: Axes, summary: Summary) -> None:
    """Score per epoch: some of the others thin, best and baseline on top."""
    best, baseline = summary.best, summary.baseline
    others = [row for row in summary.rows if row not in (best, baseline) and row.epochs]
    others = others[:: -(-len(others) // CURVES) or 1]
    joined = [point for row in others for point in (*_points(row), (math.nan, math.nan))]
    lone = [_points(row)[0] for row in others if len(row.epochs) == 1]
    for points, style in ((joined, "-"), (lone, "o")):
        if points:
            axes.plot(*zip(*points, strict=True), style, color=MUTED, linewidth=0.7, markersize=4,
                      alpha=0.45 if len(others) <= 60 else 0.2)  # fmt: skip
    same = best == baseline
    for label, row, colour, style in (
        ("baseline", None if same else baseline, BASELINE, "--"),
        ("best, the baseline itself" if same else "best", best, BEST, "-"),
    ):
        if row and row.epochs:
            _line(axes, _points(row), color=colour, linewidth=2, linestyle=style,
                  label=f"{label}: trial {row.label}")  # fmt: skip
    axes.set(xlabel="epoch", ylabel=summary.objective)
    legend(axes)


def _points(row: Row) -> list[tuple[float, float]]:
    return [(line.epoch, line.score.value) for line in thinned(row.epochs)]


def _line(axes: Axes, points: Sequence[tuple[float, float]], **look: Any) -> None:
    """A line; where it is a single point, a mark."""
    marker = "o" if len(points) == 1 else ""
    axes.plot(*zip(*points, strict=True), marker=marker, markersize=4, **look)


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


def _front(axes: Axes, summary: Summary, front: Front) -> None:
    """The first two objectives: every scored trial, the front joined."""
    x, y = list(front.maximize)[:2]
    points = {row.label: (row.parts[x], row.parts[y]) for row in summary.rows
              if {x, y} <= row.parts.keys()}  # fmt: skip
    axes.plot(*zip(*points.values(), strict=True), "o", color=MUTED, markersize=4, zorder=1,
              label="other trials")  # fmt: skip
    leading = [points[row.label] for row in front.rows]
    axes.plot(*zip(*leading, strict=True), "o-", color=BEST, markersize=6, label="the front")
    for row in front.rows:
        axes.annotate(row.label, points[row.label], textcoords="offset points", xytext=(6, 4),
                      fontsize=8)  # fmt: skip
    if summary.baseline and summary.baseline.label in points:
        axes.plot(*points[summary.baseline.label], "D", color=BASELINE, markersize=7,
                  fillstyle="none", label="baseline")  # fmt: skip
    axes.set(xlabel=x, ylabel=y)
    legend(axes)
