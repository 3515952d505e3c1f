"""The plots of a study: scores, losses, and how the search went."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from core.record import EpochLine
from core.report.drawing import BASELINE, BEST, INK, MUTED, SERIES, draw, legend, thinned
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
CURVES = 400


def plots(summary: Summary) -> dict[str, str]:
    """SVG of each plot there is something for: curves, history, losses of best and baseline."""
    drawn = {}
    if any(row.epochs for row in summary.rows):
        drawn["curves"] = draw("curves", partial(_curves, summary=summary))
        drawn["history"] = draw("history", partial(_history, summary=summary))
    rows: dict[str, Row | None] = {"losses_best": summary.best, "losses_baseline": summary.baseline}
    if summary.baseline == summary.best:
        del rows["losses_baseline"]
    for name, row in rows.items():
        epochs = row.epochs if row else ()
        if any(line.losses for line in epochs):
            drawn[name] = draw(name, partial(_losses, epochs=epochs))
    return drawn


def curves_caption(summary: Summary) -> str:
    """What the plot of the curves shows."""
    drawn, there = _others(summary)
    if len(drawn) == there:
        return "Score after each epoch, every trial; thin grey lines are the others."
    grey = f"{len(drawn)} of the {there} others, evenly chosen"
    return f"Score after each epoch; thin grey lines are {grey}."


def _others(summary: Summary) -> tuple[list[Row], int]:
    """Trials to show beside best and baseline, too many being a blot; and how many there are."""
    others = [row for row in summary.rows if row not in (summary.best, summary.baseline)]
    return others[:: max(1, -(-len(others) // CURVES))], len(others)


def _curves(axes: Axes, summary: Summary) -> None:
    """Score per epoch: the others thin, best and baseline on top."""
    others, _ = _others(summary)
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


def _losses(axes: Axes, epochs: Sequence[EpochLine]) -> None:
    """Every named loss per epoch; a log scale where they differ too much for one."""
    loss_lines(axes, epochs, loss_names(epochs), 1.5)
    if wide(loss_values(epochs)):
        axes.set_yscale("log")
    axes.set(xlabel="epoch", ylabel="loss, mean of the epoch")
    legend(axes, 2 if validated(epochs) else 3)


def loss_names(epochs: Iterable[EpochLine]) -> list[str]:
    """The names of the losses, as they first come."""
    return list(dict.fromkeys(name for line in epochs for name in line.losses))


def validated(epochs: Iterable[EpochLine]) -> set[str]:
    """The losses that were measured on validation data too: there is a part of that name."""
    return {name for line in epochs for name in line.losses if name in line.score.parts}


def loss_values(epochs: Iterable[EpochLine]) -> list[float]:
    """All that `loss_lines` draws."""
    lines = list(epochs)
    shared = validated(lines)
    seen = [value for line in lines for value in line.losses.values()]
    return seen + [
        line.score.parts[name] for line in lines for name in shared if name in line.score.parts
    ]


def wide(values: Sequence[float]) -> bool:
    """Whether they differ too much for a linear scale."""
    return bool(values) and min(values) > 0 and max(values) / min(values) > WIDE


def loss_lines(axes: Axes, epochs: Sequence[EpochLine], names: Sequence[str], width: float) -> None:
    """Losses per epoch, in the colours of their places in `names`; on validation data dashed."""
    lines, shared = thinned(epochs), validated(epochs)
    for i, name in enumerate(names):
        colour = SERIES[i % len(SERIES)]
        known = name.lstrip("_") or "loss"
        for kind, style in (("losses", "-" if i < len(SERIES) else ":"), ("parts", "--")):
            found = [(n.epoch, n.losses if kind == "losses" else n.score.parts) for n in lines]
            there = [(epoch, values[name]) for epoch, values in found if name in values]
            if not there or (kind == "parts" and name not in shared):
                continue
            data = {"losses": ", training", "parts": ", validation"}[kind] if name in shared else ""
            xs, ys = zip(*there, strict=True)
            axes.plot(xs, ys, style, color=colour, marker="o" if len(xs) == 1 else "",
                      markersize=4, linewidth=width, label=known + data)  # fmt: skip


def _history(axes: Axes, summary: Summary) -> None:
    """The last score of every trial by its outcome, and the best completed one so far."""
    for outcome in summary.outcomes:
        colour, marker = LOOKS.get(outcome, (SERIES[7], "d"))
        scored = [(i, r.score) for i, r in enumerate(summary.rows) if r.outcome == outcome]
        there = [(i, score) for i, score in scored if score is not None]
        if there:
            xs, ys = zip(*there, strict=True)
            face = "none" if marker in HOLLOW else colour
            axes.scatter(xs, ys, 22, marker=marker, facecolors=face, edgecolors=colour,
                         linewidths=1.1, label=outcome.replace("_", " "))  # fmt: skip
    steps: list[tuple[int, float]] = []
    counted = {id(row) for row in summary.candidates}
    for i, row in enumerate(summary.rows):
        if id(row) in counted and row.score is not None:
            pick = max if summary.maximize else min
            steps.append((i, pick(row.score, steps[-1][1]) if steps else row.score))
    if steps:
        steps.append((len(summary.rows) - 1, steps[-1][1]))
        xs, ys = zip(*steps, strict=True)
        axes.step(xs, ys, where="post", color=BEST, linewidth=1.6, label="best so far", zorder=1)
    plainly = all(row.label == str(i) for i, row in enumerate(summary.rows))
    axes.set(xlabel="trial" if plainly else "trials, in order", ylabel=summary.objective)
    axes.margins(x=0.04)
    legend(axes)
