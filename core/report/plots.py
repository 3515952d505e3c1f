"""The plots of a study: scores and losses over epochs, and how the search went."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from core.record import EpochLine
from core.report.drawing import BASELINE, BEST, INK, MUTED, SERIES, draw, legend
from core.report.rows import Row
from core.report.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOOKS = {
    "completed": (INK, "o"),
    "pruned": (SERIES[4], "v"),
    "diverged": (SERIES[1], "x"),
    "collapsed": (SERIES[1], "+"),
    "interrupted": (SERIES[6], "D"),
    "killed": (SERIES[6], "x"),
    "running": (SERIES[2], "s"),
}
HOLLOW = "vDsd"
WIDE = 50
CURVES, POINTS = 400, 120


def plots(summary: Summary) -> dict[str, str]:
    """SVG of each plot there is something for: curves, history, losses, Pareto's front."""
    best, baseline, drawn = summary.best, summary.baseline, {}
    if any(row.epochs for row in summary.rows):
        drawn["curves"] = draw("curves", partial(_curves, summary=summary))
        drawn["history"] = draw("history", partial(_history, summary=summary))
    rows = {"losses_best": best, "losses_baseline": baseline if baseline != best else None}
    for name, row in rows.items():
        if row and any(line.losses for line in row.epochs):
            drawn[name] = draw(name, partial(_losses, epochs=row.epochs))
    if summary.front and summary.front.rows:
        drawn["front"] = draw("front", partial(_front, summary=summary))
    return drawn


def other_curves(summary: Summary) -> tuple[list[Row], list[Row]]:
    """The trials beside best and baseline that are drawn, evenly chosen of too many; and all."""
    others = [row for row in summary.rows if row not in (summary.best, summary.baseline)]
    return others[:: max(1, -(-len(others) // CURVES))], others


def _curves(axes: Axes, summary: Summary) -> None:
    """Score per epoch: the others thin, best and baseline on top."""
    others, _ = other_curves(summary)
    alpha = 0.45 if len(others) <= 60 else 0.2
    for other in others:
        _curve(axes, other, color=MUTED, linewidth=0.7, alpha=alpha)
    same = summary.best == summary.baseline
    baseline = ("baseline", None if same else summary.baseline, BASELINE, "--")
    best = ("best, the baseline itself" if same else "best", summary.best, BEST, "-")
    for label, row, colour, style in (baseline, best):
        if row and row.epochs:
            text = f"{label}: trial {row.label}"
            _curve(axes, row, color=colour, linewidth=2, linestyle=style, label=text)
    axes.set(xlabel="epoch", ylabel=summary.objective)
    legend(axes)


def _curve(axes: Axes, row: Row, **look: Any) -> None:
    lines = thinned(row.epochs)
    marker = "o" if len(lines) == 1 else ""
    values = [line.score.value for line in lines]
    axes.plot([line.epoch for line in lines], values, marker=marker, markersize=4, **look)


def thinned(lines: Sequence[EpochLine]) -> list[EpochLine]:
    """At most about 120 epochs of them, the last always."""
    stride = -(-len(lines) // POINTS) or 1
    return [line for i, line in enumerate(lines) if (len(lines) - 1 - i) % stride == 0]


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
    training = [(line.epoch, dict(line.losses)) for line in lines]
    validation = [(line.epoch, dict(line.score.parts)) for line in lines]
    for i, name in enumerate(names):
        curves = [(training, "-" if i < len(SERIES) else ":", ", training" * (name in shared))]
        curves += [(validation, "--", ", validation")] if name in shared else []
        for values, style, data in curves:
            points = [(epoch, values_at[name]) for epoch, values_at in values if name in values_at]
            marker = "o" if len(points) == 1 else ""
            label = (name.lstrip("_") or "loss") + data  # matplotlib hides a label with a leading _
            axes.plot(*zip(*points, strict=True), style, color=SERIES[i % len(SERIES)],
                      marker=marker, markersize=4, linewidth=width, label=label)  # fmt: skip


def _history(axes: Axes, summary: Summary) -> None:
    """The last score of every trial by its outcome, and the best completed one so far."""
    for outcome in summary.outcomes:
        colour, marker = LOOKS.get(outcome, (SERIES[7], "d"))
        rows = [(i, r.score) for i, r in enumerate(summary.rows) if r.outcome == outcome]
        points = [(i, score) for i, score in rows if score is not None]
        if points:
            face = "none" if marker in HOLLOW else colour
            xs, ys = zip(*points, strict=True)
            axes.scatter(xs, ys, 22, marker=marker, facecolors=face, edgecolors=colour,
                         linewidths=1.1, label=outcome.replace("_", " "))  # fmt: skip
    steps: list[tuple[int, float]] = []
    pick, counted = max if summary.maximize else min, {id(row) for row in summary.candidates}
    for i, row in enumerate(summary.rows):
        if id(row) in counted and row.score is not None:
            steps.append((i, pick(row.score, steps[-1][1]) if steps else row.score))
    if steps:
        steps.append((len(summary.rows) - 1, steps[-1][1]))
        axes.step(*zip(*steps, strict=True), where="post", color=BEST, linewidth=1.6,
                  label="best so far", zorder=1)  # fmt: skip
    numbered = all(row.label == str(i) for i, row in enumerate(summary.rows))
    axes.set(xlabel="trial" if numbered else "trials, in order", ylabel=summary.objective)
    axes.margins(x=0.04)
    legend(axes)


def _front(axes: Axes, summary: Summary) -> None:
    """The first two objectives: every scored trial, the front joined."""
    assert summary.front is not None
    x, y = list(summary.front.maximize)[:2]
    front, baseline = summary.front.rows, summary.baseline
    scored = [row for row in summary.rows if {x, y} <= row.parts.keys()]
    others = [(r.parts[x], r.parts[y]) for r in scored if r not in front]
    if others:
        axes.plot(*zip(*others, strict=True), "o", color=MUTED, markersize=4, label="other trials")
    points = [(row.parts[x], row.parts[y]) for row in front]
    axes.plot(*zip(*points, strict=True), "o-", color=BEST, markersize=6, label="the front")
    for row, at in zip(front, points, strict=True):
        axes.annotate(row.label, at, textcoords="offset points", xytext=(6, 4), fontsize=8)
    if baseline in scored and baseline:
        axes.plot(baseline.parts[x], baseline.parts[y], "D", color=BASELINE, markersize=7,
                  fillstyle="none", label="baseline")  # fmt: skip
    axes.set(xlabel=x, ylabel=y)
    legend(axes)
