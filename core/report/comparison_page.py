"""Writes compare.html, compare.csv and compare.json of a comparison from its records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from core.files import now, write_bytes, write_json
from core.record import Study
from core.report.comparison import BROKE, Comparison, Entrant, read_comparison
from core.report.comparison_figures import as_csv, as_json, percent, si
from core.report.comparison_plots import missing_scores, plots
from core.report.comparison_verdict import cautions, headline, standing
from core.report.drawing import SERIES
from core.report.origin import Origin, origin, train_again
from core.report.pictures import Strip, aligned, content
from core.report.rows import Row, numbers
from core.report.wording import count, decimals, duration, fixed, plain
from core.task import OutcomeKind

HERE = Path(__file__).parent
FILTERS = {"plain": plain, "fixed": fixed, "duration": duration, "si": si, "percent": percent}
MEMORIES = {
    "GPU memory": "what PyTorch allocated on the GPU",
    "process memory": "the process's resident memory above what it was without the model",
}


def write_comparison(runs: Path, name: str) -> Path:
    """Write what `runs/name` compares, into that folder; the path of the page.

    Raises UserError where there is no comparison of that name.
    """
    comparison = read_comparison(runs, name)
    page = comparison.folder / "compare.html"
    write_bytes(comparison.folder / "compare.csv", as_csv(comparison).encode())
    write_json(comparison.folder / "compare.json", as_json(comparison))
    write_bytes(page, _render(_context(comparison)).encode("utf-8", "replace"))
    return page


def _context(comparison: Comparison) -> dict[str, Any]:
    from markupsafe import Markup

    bests = [(e, e.best) for e in comparison.entrants if e.best]
    kinds = [e.cost.get("memory_of") for e in comparison.entrants]
    parts = dict.fromkeys(name for _, best in bests for name in best.parts)
    return {
        "c": comparison,
        "stand": standing(comparison),
        "headline": headline(comparison),
        "cautions": cautions(comparison),
        "colours": {e.task: _colour(i) for i, e in enumerate(comparison.entrants)},
        "parts": {p: decimals(best.parts.get(p) for _, best in bests) for p in parts},
        "ends": {e.task: _ends(e) for e in comparison.entrants},
        "unfinished": any(_ends(e)["unfinished"] for e in comparison.entrants),
        "missing_scores": missing_scores,
        "costs": {e.task: numbers(e.cost) for e in comparison.entrants},
        "memories": [MEMORIES[m] for m in dict.fromkeys(kinds) if m in MEMORIES],
        "again": {e.task: train_again(e.summary, b) for e, b in bests if e.summary},
        "blocks": picture_blocks(comparison),
        "origin": _origin(comparison),
        "style": Markup((HERE / "style.css").read_text()),
        "plots": {name: Markup(svg) for name, svg in plots(comparison).items()},
        "written": now(),
    }


def _colour(place: int) -> str:
    """The name of the page's colour for the task at this place."""
    return f"series-{place % len(SERIES)}"


def _ends(entrant: Entrant) -> dict[str, int]:
    """How many trials of the search completed, were pruned, failed, or did not end."""
    done = entrant.count(OutcomeKind.COMPLETED)
    pruned, failed = entrant.count(OutcomeKind.PRUNED), entrant.count(*BROKE)
    left = len(entrant.rows) - done - pruned - failed
    return {"completed": done, "pruned": pruned, "failed": failed, "unfinished": left}


def picture_blocks(comparison: Comparison) -> list[list[Strip]]:
    """Inputs and targets once where all tasks share them, and the output of each best trial."""
    wanted: list[tuple[str, str, Row, str]] = []
    shown: dict[str, bytes] = {}
    bests = [(i, e, e.best) for i, e in enumerate(comparison.entrants) if e.best]
    shared = len({content(best, "source") for _, _, best in bests}) == 1
    for i, entrant, best in bests:
        for label, name in (("input", "source"), ("target", "target")):
            there = content(best, name)
            if there and there != shown.get(name):
                wanted.append(
                    (label if shared else f"{entrant.task}: {label}", "input", best, name)
                )
                shown[name] = there
        score = comparison.shown(best.score)
        wanted.append((f"{entrant.task}, {score}", _colour(i), best, "output"))
    return aligned(wanted)


def _origin(comparison: Comparison) -> Origin | None:
    """Where every run of every task comes from."""
    every = ((*e.rows, *e.again, *e.demand.values()) for e in comparison.entrants)
    rows = {row.record.folder: row for some in every for row in some}
    summary = next((e.summary for e in comparison.entrants if e.summary), None)
    if summary is None:
        return None
    study = Study(comparison.folder, comparison.settings)
    return origin(replace(summary, study=study, rows=list(rows.values())))


def _render(context: dict[str, Any]) -> str:
    """Fill the template; everything that is not marked as markup is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    environment.globals["count"] = count
    return environment.get_template("comparison.html.j2").render(context)
