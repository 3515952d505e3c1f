"""Plots of a comparison as inline SVG, a colour a task in all of them."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from core.report.comparison import Comparison, Entrant
from core.report.drawing import MUTED, POINTS, SERIES, draw, legend
from core.report.rows import Row
from core.task import OutcomeKind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLES = ("-", "--", ":")
WIDTH, ROW = 5.2, 0.62
BOXED = 4


def colour(place: int) -> str:
    """The colour of the task at this place of the comparison."""
    return SERIES[place % len(SERIES)]


def plots(comparison: Comparison) -> dict[str, str]:
    """SVG of each plot there is something for: epochs, seconds, sensitivity, demand."""
    drawn = {}
    if any(row.epochs for e in comparison.entrants for row in e.good):
        drawn["epochs"] = draw("epochs", partial(_curves, comparison=comparison, timed=False))
        timed = partial(_curves, comparison=comparison, timed=True)
        drawn["seconds"] = draw("seconds", timed, counted=False)
    if any(row.score is not None for e in comparison.entrants for row in e.rows):
        size = (WIDTH, 0.9 + ROW * len(comparison.entrants))
        plot = partial(_sensitivity, comparison=comparison)
        drawn["sensitivity"] = draw("sensitivity", plot, size, counted=False)
    if any(e.usable(row) for e in comparison.entrants for row in e.demand.values()):
        drawn["demand"] = draw("demand", partial(_demand, comparison=comparison), counted=False)
    return drawn


def _curves(axes: Axes, comparison: Comparison, timed: bool) -> None:
    """Mean score over the seeds' runs and their range, by epoch or by seconds so far."""
    for place, entrant in enumerate(comparison.entrants):
        curve = learning_curve(entrant.good)
        if curve:
            epochs, seconds, means, lows, highs = zip(*_thin(curve), strict=True)
            xs = seconds if timed else epochs
            look = _look(place, 4 if len(xs) == 1 else 0)
            axes.plot(xs, means, linewidth=1.8, label=entrant.task, **look)
            if len(entrant.good) > 1:
                axes.fill_between(xs, lows, highs, color=look["color"], alpha=0.16, linewidth=0)
    xlabel = "training and scoring, seconds" if timed else "epoch"
    axes.set(xlabel=xlabel, ylabel=comparison.objective)
    legend(axes)


def learning_curve(runs: Sequence[Row]) -> list[tuple[int, float, float, float, float]]:
    """(epoch, seconds so far, mean, lowest, highest score), as far as every run goes."""
    curve = []
    clocks = [list(accumulate(line.seconds for line in row.epochs)) for row in runs]
    for i, lines in enumerate(zip(*(row.epochs for row in runs), strict=False)):
        values = [line.value for line in lines]
        seconds = statistics.fmean(clock[i] for clock in clocks)
        mean = statistics.fmean(values)
        curve.append((lines[0].epoch, seconds, mean, min(values), max(values)))
    return curve


def _thin(curve: list[tuple[int, float, float, float, float]]) -> list[tuple[float, ...]]:
    """At most about 120 points of it, the last always."""
    stride = -(-len(curve) // POINTS) or 1
    return [point for i, point in enumerate(curve) if (len(curve) - 1 - i) % stride == 0]


def _look(place: int, size: float) -> dict[str, Any]:
    style = STYLES[place // len(SERIES) % len(STYLES)]
    return {"color": colour(place), "linestyle": style, "marker": "o", "markersize": size}


def _sensitivity(axes: Axes, comparison: Comparison) -> None:
    """A row a task: quartiles of the final scores as a box, and a mark a trial."""
    names = [entrant.task for entrant in comparison.entrants]
    for place, entrant in enumerate(comparison.entrants):
        shade = colour(place)
        if entrant.quartiles and len(entrant.finals) >= BOXED:
            low, middle, high = entrant.quartiles
            axes.fill_betweenx([place - 0.3, place + 0.3], low, high, color=shade, alpha=0.16,
                               linewidth=0)  # fmt: skip
            axes.plot([middle] * 2, [place - 0.3, place + 0.3], color=shade, linewidth=2)
        for kind, marker, face, edge in (
            ("completed", "o", shade, shade), ("pruned", "v", "none", MUTED),
            ("failed", "x", MUTED, MUTED),
        ):  # fmt: skip
            there = [row.score for row in entrant.rows if _kind(entrant, row) == kind]
            xs = [score for score in there if score is not None]
            jitter = random.Random(f"{entrant.task} {kind}")
            ys = [place + jitter.uniform(-0.22, 0.22) for _ in xs]
            axes.scatter(xs, ys, 20, marker=marker, facecolors=face, edgecolors=edge,
                         linewidths=1.1)  # fmt: skip
    for kind, marker, face in (("completed", "o", MUTED), ("pruned", "v", "none"),
                               ("failed or broke a guard", "x", MUTED)):  # fmt: skip
        axes.scatter([], [], 20, marker=marker, facecolors=face, edgecolors=MUTED, label=kind)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.grid(False)
    axes.grid(True, axis="x", linewidth=0.6)
    _zoom(axes, comparison)
    axes.set(xlabel=f"last score of each trial ({comparison.objective})")
    legend(axes)


def _zoom(axes: Axes, comparison: Comparison) -> None:
    """Leave a few hopeless scores outside where they would squeeze all others together."""
    finals = [score for e in comparison.entrants for score in e.finals]
    if len(finals) < 2 or min(finals) == max(finals):
        return
    low, high = min(finals), max(finals)
    margin = 0.25 * (high - low)
    left, right = axes.get_xlim()
    axes.set_xlim(max(left, low - margin), min(right, high + margin))


def _kind(entrant: Entrant, row: Row) -> str:
    """How the plot marks a trial; '' for one that has no score or has not ended."""
    if row.score is None or row.outcome in (
        "running",
        "killed",
        "damaged",
        OutcomeKind.INTERRUPTED,
    ):
        return ""
    if not set(row.broken) <= set(entrant.broken):
        return "failed"
    kinds = {OutcomeKind.COMPLETED: "completed", OutcomeKind.PRUNED: "pruned"}
    return next((kind for outcome, kind in kinds.items() if row.outcome == outcome), "failed")


def _demand(axes: Axes, comparison: Comparison) -> None:
    """Score against the share of the training data, on a log scale."""
    from matplotlib.ticker import FixedLocator, NullLocator

    fractions = sorted({f for e in comparison.entrants for f in e.demand})
    for place, entrant in enumerate(comparison.entrants):
        there = [(f, row.score) for f, row in entrant.demand.items() if entrant.usable(row)]
        points = [(f, score) for f, score in there if score is not None]
        if points:
            xs, ys = zip(*points, strict=True)
            axes.plot(xs, ys, linewidth=1.8, label=entrant.task, **_look(place, 5))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(fractions))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.set(xlabel="share of the training data", ylabel=comparison.objective)
    legend(axes)


def missing_scores(entrant: Entrant) -> list[float]:
    """The fractions at which the task came to no score."""
    return [fraction for fraction, row in entrant.demand.items() if not entrant.usable(row)]
