"""Plots as inline SVG. Their colours are the page's, so that they follow its dark scheme."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from core.record import EpochLine
from core.report.rows import Row
from core.report.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, BEST, BASELINE, MUTED = "#010203", "#010204", "#010205", "#010206"
SERIES = [f"#01021{i}" for i in range(8)]
COLOURS = {INK: "ink", BEST: "best", BASELINE: "baseline", MUTED: "muted"}
COLOURS |= {stand_in: f"series-{i}" for i, stand_in in enumerate(SERIES)}
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
POINTS, WIDE = 120, 50
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gantune",
    "text.parse_math": False,
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": MUTED,
    "grid.alpha": 0.2,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


def plots(summary: Summary) -> dict[str, str]:
    """SVG of each plot there is something for: curves, history, losses of best and baseline."""
    drawn = {}
    if any(row.epochs for row in summary.rows):
        drawn["curves"] = _draw("curves", partial(_curves, summary=summary))
        drawn["history"] = _draw("history", partial(_history, summary=summary))
    rows: dict[str, Row | None] = {"losses_best": summary.best, "losses_baseline": summary.baseline}
    if summary.baseline == summary.best:
        del rows["losses_baseline"]
    for name, row in rows.items():
        epochs = row.epochs if row else ()
        if any(line.losses for line in epochs):
            drawn[name] = _draw(name, partial(_losses, epochs=epochs))
    return drawn


def _draw(name: str, plot: Callable[[Axes], None]) -> str:
    """One small figure: what it says stays legible when a phone shows it at its own size."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure = Figure(figsize=(5.2, 3.1), layout="constrained")
        axes = figure.subplots()
        axes.grid(True, axis="y", linewidth=0.6)
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)
        plot(axes)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True)
    return _inline(buffer.getvalue(), name)


def _inline(svg: str, name: str) -> str:
    """The bare element: page fonts and colours, ids of its own, a tenth of a point exact."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(
        r'<svg[^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', svg
    )
    svg = re.sub(r"font-family: [^;]*?sans-serif; ?", "", svg)
    svg = re.sub(r'(\bid="|url\(#|xlink:href="#)', rf"\g<1>{name}-", svg).replace(
        "xlink:href", "href"
    )
    svg = re.sub(r'\b(?:d|x|y|transform)="[^"]*"', _coarse, svg)
    for stand_in, variable in COLOURS.items():
        svg = svg.replace(stand_in, f"var(--{variable})")
    return re.sub(r"\s*\n\s*", " ", svg)


def _coarse(attribute: re.Match[str]) -> str:
    return re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.1f}", attribute[0])


def _curves(axes: Axes, summary: Summary) -> None:
    """Score per epoch: every trial thin, best and baseline on top."""
    others = [row for row in summary.rows if row not in (summary.best, summary.baseline)]
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
    _legend(axes)


def _curve(axes: Axes, row: Row, **look: Any) -> None:
    lines = _thinned(row.epochs)
    marker = "o" if len(lines) == 1 else ""
    values = [line.value for line in lines]
    axes.plot([line.epoch for line in lines], values, marker=marker, markersize=4, **look)


def _thinned(lines: Sequence[EpochLine]) -> list[EpochLine]:
    """At most about 120 epochs of them, the last always."""
    stride = -(-len(lines) // POINTS) or 1
    return [line for i, line in enumerate(lines) if (len(lines) - 1 - i) % stride == 0]


def _losses(axes: Axes, epochs: Sequence[EpochLine]) -> None:
    """Every named loss per epoch; a log scale where they differ too much for one."""
    lines = _thinned(epochs)
    names = dict.fromkeys(name for line in lines for name in line.losses)
    for i, name in enumerate(names):
        there = [(line.epoch, line.losses[name]) for line in lines if name in line.losses]
        xs, ys = zip(*there, strict=True)
        style = "-" if i < len(SERIES) else ":"
        marker = "o" if len(xs) == 1 else ""
        colour = SERIES[i % len(SERIES)]
        axes.plot(xs, ys, style, color=colour, marker=marker, markersize=4, linewidth=1.5,
                  label=name.lstrip("_") or "loss")  # fmt: skip
    values = [line.losses[name] for line in lines for name in line.losses]
    if min(values) > 0 and max(values) / min(values) > WIDE:
        axes.set_yscale("log")
    axes.set(xlabel="epoch", ylabel="loss, mean of the epoch")
    _legend(axes)


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
    for i, row in enumerate(summary.rows):
        if row in summary.candidates and row.score is not None:
            pick = max if summary.maximize else min
            steps.append((i, pick(row.score, steps[-1][1]) if steps else row.score))
    if steps:
        steps.append((len(summary.rows) - 1, steps[-1][1]))
        xs, ys = zip(*steps, strict=True)
        axes.step(xs, ys, where="post", color=BEST, linewidth=1.6, label="best so far", zorder=1)
    plainly = all(row.label == str(i) for i, row in enumerate(summary.rows))
    axes.set(xlabel="trial" if plainly else "trials, in order", ylabel=summary.objective)
    axes.margins(x=0.04)
    _legend(axes)


def _legend(axes: Axes) -> None:
    """A legend above the plot, where it covers nothing."""
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, handlelength=1.4,
                    columnspacing=1.2, borderpad=0.2)  # fmt: skip
