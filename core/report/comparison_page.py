"""Writes compare.html, compare.csv and compare.json of a comparison from its records."""

from __future__ import annotations

import csv
import io
import random
import statistics
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.files import now, write_bytes, write_json
from core.report.comparison import (
    ENDED,
    FAILED,
    Comparison,
    Entrant,
    cautions,
    headline,
    read_comparison,
)
from core.report.drawing import MUTED, SERIES, draw, legend
from core.report.format import decimals
from core.report.pictures import picture_rows
from core.report.plots import POINTS
from core.report.provenance import origin, train_again
from core.report.render import render
from core.report.rows import Row, numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COST = (
    "parameters", "parameters_output", "flops_train_image", "flops_translate_image", "step_ms",
    "items_per_second", "batch", "memory_bytes",
)  # fmt: skip
STYLES, MARKS = ("-", "--", ":"), {"completed": "o", "pruned": "v", "failed or broke a guard": "x"}
BOXED = 4  # scores that a box takes


def write_comparison(runs: Path, name: str) -> Path:
    """Write what `runs/name` compares, into that folder; the path of the page.

    Raises UserError where there is no comparison of that name.
    """
    comparison = read_comparison(runs, name)
    page = comparison.folder / "compare.html"
    rows = [figures(entrant) for entrant in comparison.entrants]
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_bytes(comparison.folder / "compare.csv", text.getvalue().encode())
    write_json(comparison.folder / "compare.json", _json(comparison))
    html = render("comparison.html.j2", _context(comparison))
    write_bytes(page, html.encode("utf-8", "replace"))
    return page


def figures(entrant: Entrant) -> dict[str, Any]:
    """Every figure of a task, unrounded; None where there is none."""
    best, cost, scores = entrant.best, numbers(entrant.cost), entrant.scores(entrant.runs)
    row: dict[str, Any] = {
        "task": entrant.task,
        "best_score": best.score if best else None,
        "best_trial": best.record.folder.name if best else None,
        "seeds_mean": entrant.mean,
        "seeds_sd": entrant.deviation,
        "seeds_min": min(scores, default=None),
        "seeds_max": max(scores, default=None),
        "seeds_runs": len(scores),
        "seeds_failed": len(entrant.failed_runs),
        "other_seeds_mean": entrant.other_mean,
        "other_seeds_runs": len(entrant.scores(entrant.repeats)),
        **{name: cost.get(name) for name in COST},
        "memory_of": entrant.cost.get("memory_of"),
        "cost_failed": entrant.cost.get("failed"),
        "epoch_seconds": entrant.epoch_seconds,
        "trials": len(entrant.rows),
        **{f"trials_{name}": n for name, n in entrant.ends.items() if name != "unfinished"},
    }
    quartiles = entrant.quartiles or (None, None, None)
    row |= zip(("quartile_1", "median", "quartile_3"), quartiles, strict=True)
    row |= {f"share_{name}": share for name, share in entrant.shares.items()}
    row |= {"guards_broken": " ".join(entrant.broken)}
    row |= {f"part_{name}": value for name, value in (best.parts if best else {}).items()}
    demand = {f: (r.score if entrant.usable(r) else None) for f, r in entrant.demand.items()}
    return row | {f"score_at_{fraction}": score for fraction, score in demand.items()}


def _json(comparison: Comparison) -> dict[str, Any]:
    def task(e: Entrant) -> dict[str, Any]:
        seeds = {r.record.folder.name: r.score if e.usable(r) else None for r in e.runs}
        more = {"params": e.best.params if e.best else None, "cost": e.cost}
        return {**figures(e), "seeds": seeds, **more, "importance": e.importances}

    winners = comparison.winners
    return {
        "comparison": comparison.name,
        "objective": comparison.config.get("objective"),
        "headline": headline(comparison),
        "winner": comparison.winner,
        "cannot_be_told_apart": winners if len(winners) > 1 else [],
        "order": [entrant.task for entrant in comparison.scored],
        "cautions": cautions(comparison),
        "tasks": [task(entrant) for entrant in comparison.entrants],
        "settings": comparison.config,
    }


def _context(comparison: Comparison) -> dict[str, Any]:
    entrants = comparison.entrants
    bests = {e.task: e.best for e in entrants if e.best}
    colours = {e.task: f"series-{i % len(SERIES)}" for i, e in enumerate(entrants)}
    parts = dict.fromkeys(name for best in bests.values() for name in best.parts)
    rows = [row for e in entrants for row in (*e.rows, *e.repeats, *e.demand.values())]
    unique = list({row.record.folder: row for row in rows}.values())
    pictures = [(colours[task], task, f"{task}, {comparison.shown(best.score)}", best)
                for task, best in bests.items()]  # fmt: skip
    return {
        "c": comparison,
        "headline": headline(comparison),
        "cautions": cautions(comparison),
        "colours": colours,
        "parts": {p: decimals(best.parts.get(p) for best in bests.values()) for p in parts},
        "costs": {e.task: numbers(e.cost) for e in entrants},
        "memories": list(dict.fromkeys(m for e in entrants if (m := e.cost.get("memory_of")))),
        "again": {e.task: train_again(e.summary, e.best) for e in entrants if e.summary and e.best},
        "pictures": picture_rows(pictures),
        "origin": origin(unique, comparison.config),
        "plots": plots(comparison),
        "written": now(),
    }


def plots(comparison: Comparison) -> dict[str, str]:
    """SVG of each plot there is something for: epochs, seconds, sensitivity, demand."""
    entrants, found = comparison.entrants, {}
    if any(row.epochs for e in entrants for row in _good(e)):
        found["epochs"] = draw("epochs", partial(_curves, comparison=comparison, timed=False))
        timed = partial(_curves, comparison=comparison, timed=True)
        found["seconds"] = draw("seconds", timed, counted=False)
    if any(row.score is not None for e in entrants for row in e.rows):
        size = (5.2, 0.9 + 0.62 * len(entrants))
        plot = partial(_sensitivity, comparison=comparison)
        found["sensitivity"] = draw("sensitivity", plot, size, counted=False)
    if any(e.scores(list(e.demand.values())) for e in entrants):
        found["demand"] = draw("demand", partial(_demand, comparison=comparison), counted=False)
    return found


def _good(entrant: Entrant) -> list[Row]:
    return [row for row in entrant.runs if entrant.usable(row)]


def _looks(comparison: Comparison) -> Iterator[tuple[Entrant, dict[str, Any]]]:
    """Each task with its colour, and a line style of its own where colours come again."""
    for i, entrant in enumerate(comparison.entrants):
        style = STYLES[i // len(SERIES) % len(STYLES)]
        yield entrant, {"color": SERIES[i % len(SERIES)], "linestyle": style, "linewidth": 1.8}


def _curves(axes: Axes, comparison: Comparison, timed: bool) -> None:
    """Mean score over the seeds' runs and their range, by epoch or by seconds so far."""
    for entrant, look in _looks(comparison):
        if curve := learning_curve(_good(entrant)):
            stride = -(-len(curve) // POINTS)
            epochs, seconds, means, lows, highs = zip(*curve[::-stride][::-1], strict=True)
            xs, marker = seconds if timed else epochs, "o" if len(epochs) == 1 else ""
            axes.plot(xs, means, label=entrant.task, marker=marker, **look)
            axes.fill_between(xs, lows, highs, color=look["color"], alpha=0.16, linewidth=0)
    xlabel = "training and scoring, seconds" if timed else "epoch"
    axes.set(xlabel=xlabel, ylabel=comparison.objective)
    legend(axes)


def learning_curve(runs: Sequence[Row]) -> list[tuple[int, float, float, float, float]]:
    """(epoch, seconds so far, mean, lowest, highest score), as far as every run goes."""
    curve = []
    clocks = [list(accumulate(line.seconds for line in row.epochs)) for row in runs]
    for i, lines in enumerate(zip(*(row.epochs for row in runs), strict=False)):
        values = [line.score.value for line in lines]
        seconds = statistics.fmean(clock[i] for clock in clocks)
        curve.append((lines[0].epoch, seconds, statistics.fmean(values), min(values), max(values)))
    return curve


def _sensitivity(axes: Axes, comparison: Comparison) -> None:
    """A row a task: quartiles of the final scores as a box, and a mark a trial."""
    for place, (entrant, look) in enumerate(_looks(comparison)):
        colour, finals = look["color"], entrant.scores(entrant.rows)
        if len(finals) >= BOXED:
            axes.boxplot(finals, orientation="horizontal", positions=[place], widths=0.6,
                         showcaps=False, showfliers=False, whis=0, patch_artist=True,
                         boxprops={"facecolor": colour, "alpha": 0.16, "linewidth": 0},
                         medianprops={"color": colour, "linewidth": 2},
                         whiskerprops={"linewidth": 0})  # fmt: skip
        for kind, marker in MARKS.items():
            xs = [row.score for row in entrant.rows
                  if row.score is not None and _kind(entrant, row) == kind]  # fmt: skip
            jitter = random.Random(f"{entrant.task} {kind}")
            edge = colour if kind == "completed" else MUTED
            axes.scatter(xs, [place + jitter.uniform(-0.22, 0.22) for _ in xs], 20, marker=marker,
                         facecolors="none" if marker == "v" else edge, edgecolors=edge)  # fmt: skip
    for kind, marker in MARKS.items():
        face = "none" if marker == "v" else MUTED
        axes.scatter([], [], 20, marker=marker, facecolors=face, edgecolors=MUTED, label=kind)
    names = [entrant.task for entrant in comparison.entrants]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.grid(False)
    axes.grid(True, axis="x", linewidth=0.6)
    scores = [score for e in comparison.entrants for score in e.scores(e.rows)]
    if len(set(scores)) > 1:  # a few bad scores must not squeeze all others together
        margin, (left, right) = 0.25 * (max(scores) - min(scores)), axes.get_xlim()
        axes.set_xlim(max(left, min(scores) - margin), min(right, max(scores) + margin))
    axes.set(xlabel=f"last score of each trial ({comparison.objective})")
    legend(axes)


def _kind(entrant: Entrant, row: Row) -> str:
    """How the plot marks a trial; '' for one that has not ended."""
    if row.outcome not in ENDED:
        return ""
    kept = set(row.broken) <= set(entrant.broken) and row.outcome not in FAILED
    return row.outcome if kept else "failed or broke a guard"


def _demand(axes: Axes, comparison: Comparison) -> None:
    """Score against the share of the training data, on a log scale."""
    for entrant, look in _looks(comparison):
        points = [(f, row.score) for f, row in entrant.demand.items() if entrant.usable(row)]
        if points:
            axes.plot(*zip(*points, strict=True), label=entrant.task, marker="o", **look)
    shares = sorted({share for e in comparison.entrants for share in e.demand})
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(shares, [f"{share:g}" for share in shares])
    axes.set(xlabel="share of the training data", ylabel=comparison.objective)
    legend(axes)
