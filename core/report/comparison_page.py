"""Writes compare.html, compare.csv and compare.json of a comparison from its records."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.files import now, write_bytes, write_json
from core.report.comparison import Comparison, cautions, headline, read_comparison
from core.report.drawing import SERIES, draw, legend
from core.report.format import decimals
from core.report.pictures import picture_rows
from core.report.provenance import origin, train_again
from core.report.render import render
from core.report.rows import Row
from core.report.table import csv_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def write_comparison(runs: Path, name: str) -> Path:
    """Write what `runs/name` compares, into that folder; the path of the page.

    Raises UserError where there is no comparison of that name.
    """
    comparison = read_comparison(runs, name)
    folder, page = comparison.folder, render("comparison.html.j2", _context(comparison))
    figures = csv_text([entrant.figures for entrant in comparison.entrants])
    write_bytes(folder / "compare.csv", figures.encode())
    write_json(folder / "compare.json", _json(comparison))
    write_bytes(folder / "compare.html", page.encode("utf-8", "replace"))
    return folder / "compare.html"


def _json(comparison: Comparison) -> dict[str, Any]:
    return {
        "comparison": comparison.folder.name,
        "objective": comparison.config["objective"],
        "headline": headline(comparison),
        "winner": comparison.winner,
        "cannot_be_told_apart": comparison.winners if len(comparison.winners) > 1 else [],
        "order": [entrant.task for entrant in comparison.scored],
        "cautions": cautions(comparison),
        "tasks": [
            e.figures
            | {"seeds": {r.record.folder.name: r.score if e.usable(r) else None for r in e.runs}}
            | {"params": e.best.params if e.best else None, "cost": e.cost}
            | {"importance": e.importances}
            for e in comparison.entrants
        ],
        "settings": comparison.config,
    }


def _context(comparison: Comparison) -> dict[str, Any]:
    entrants = comparison.entrants
    bests = {e.task: e.best for e in entrants if e.best}
    colours = {e.task: f"series-{i % len(SERIES)}" for i, e in enumerate(entrants)}
    parts = dict.fromkeys(name for best in bests.values() for name in best.parts)
    rows = [row for e in entrants for row in (*e.rows, *e.runs, *e.demand.values())]
    pictures = [(colours[task], task, f"{task}, {comparison.shown(best.score)}", best)
                for task, best in bests.items()]  # fmt: skip
    return {
        "c": comparison,
        "headline": headline(comparison),
        "cautions": cautions(comparison),
        "colours": colours,
        "parts": {p: decimals(best.parts.get(p) for best in bests.values()) for p in parts},
        "memories": dict.fromkeys(m for e in entrants if (m := e.cost.get("memory_of"))),
        "again": {e.task: train_again(e.summary, e.best) for e in entrants if e.best},
        "pictures": picture_rows(pictures),
        "origin": origin(rows, comparison.config),
        "plots": plots(comparison) if comparison.scored else {},
        "written": now(),
    }


def plots(comparison: Comparison) -> dict[str, str]:
    """SVG of scores against epochs, seconds and, where those were run, shares of the data."""
    curves, demand = (partial(plot, comparison=comparison) for plot in (_curves, _demand))
    fractions = comparison.config["data_fractions"]
    return {
        "epochs": draw("epochs", partial(curves, timed=False)),
        "seconds": draw("seconds", partial(curves, timed=True), counted=False),
        "demand": draw("demand", demand, counted=False) if fractions else "",
    }


def _curves(axes: Axes, comparison: Comparison, timed: bool) -> None:
    """Mean score over the seeds' runs and their range, by epoch or by seconds so far."""
    for entrant, colour in zip(comparison.entrants, cycle(SERIES), strict=False):
        if curve := learning_curve([row for row in entrant.runs if entrant.usable(row)]):
            epochs, seconds, means, lows, highs = zip(*curve, strict=True)
            xs, marker = seconds if timed else epochs, "o" if len(epochs) == 1 else ""
            axes.plot(xs, means, color=colour, label=entrant.task, marker=marker, linewidth=1.8)
            axes.fill_between(xs, lows, highs, color=colour, alpha=0.16, linewidth=0)
    xlabel = "training and scoring, seconds" if timed else "epoch"
    axes.set(xlabel=xlabel, ylabel=comparison.objective)
    legend(axes)


def learning_curve(runs: Sequence[Row]) -> list[tuple[int, float, float, float, float]]:
    """(epoch, seconds so far, mean, lowest, highest score), as far as every run goes."""
    curve, seconds = [], 0.0
    for lines in zip(*(row.epochs for row in runs), strict=False):
        scores = [line.score.value for line in lines]
        seconds += statistics.fmean(line.seconds for line in lines)
        curve.append((lines[0].epoch, seconds, statistics.fmean(scores), min(scores), max(scores)))
    return curve


def _demand(axes: Axes, comparison: Comparison) -> None:
    """Score against the share of the training data, on a log scale."""
    for entrant, colour in zip(comparison.entrants, cycle(SERIES), strict=False):
        points = [(f, row.score) for f, row in entrant.demand.items() if entrant.usable(row)]
        if points:
            axes.plot(*zip(*points, strict=True), "o-", color=colour, label=entrant.task)
    shares = sorted({share for e in comparison.entrants for share in e.demand})
    axes.set(
        xlabel="share of the training data",
        ylabel=comparison.objective,
        xscale="log",
    )
    axes.set_xticks(shares, [f"{share:g}" for share in shares])
    axes.minorticks_off()
    legend(axes)
