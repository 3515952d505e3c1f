"""Writes report.html, report.md and best.json from one summary of the records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.files import now, write_bytes, write_json
from core.record import Study
from core.report.audit import Audit, read_audit
from core.report.audit_plots import CAPTION, agreement_plot
from core.report.audit_verdict import interval, told
from core.report.exam import read_exam
from core.report.format import code as code
from core.report.format import decimals, markdown
from core.report.front import Front, front_plot, read_front
from core.report.heat import heat_maps
from core.report.importance import importance
from core.report.origin import cost, origin, provenance, train_again, train_baseline
from core.report.outcomes import outcomes, shown
from core.report.pictures import picture_blocks
from core.report.plots import curves_caption, plots, validated
from core.report.render import environment, render
from core.report.rows import Row
from core.report.setting import other_settings, searched_settings
from core.report.summary import Summary, summarize
from core.report.sweep import Grid, sweep_csv, sweep_grid
from core.report.sweep_plots import loss_panels, score_plot
from core.report.verdict import accuracy, cautions, confusion, verdict

environment().filters |= {"md": markdown, "outcome": shown, "interval": interval}


def write_report(study: Study) -> Path:
    """Write the report into the study's folder; the path of the page.

    Raises UserError where the study's folder cannot be read.
    """
    summary = summarize(study)
    grid, audit, front = sweep_grid(summary), read_audit(summary), read_front(summary)
    context = {**_context(summary, audit), "grid": grid, "front": front}
    page = study.folder / "report.html"
    write_json(study.folder / "best.json", best_json(summary))
    if grid:
        _write(study.folder / "sweep.csv", sweep_csv(grid))
    _write(study.folder / "report.md", render("report.md.j2", context))
    _write(page, render("page.html.j2", {**context, **_page_only(summary, grid, audit, front)}))
    return page


def best_json(summary: Summary) -> dict[str, Any]:
    """The verdict for programs. `gain` is above 0 where the best beats the baseline."""

    def told(row: Row | None) -> dict[str, Any] | None:
        if row is None:
            return None
        known = {"trial": row.number, "folder": row.record.folder.name, "outcome": row.outcome}
        scored = {"score": row.score, "parts": row.parts, "violations": row.violations}
        return {**known, **scored, "params": row.params, "searched": row.set(summary.searched)}

    direction = "maximize" if summary.maximize else "minimize"
    return {
        "task": summary.task,
        "study": summary.study.name,
        "objective": {"name": summary.objective, "direction": direction},
        "verdict": verdict(summary),
        "best": told(summary.best),
        "baseline": told(summary.baseline),
        "gain": summary.gain,
        "noise_floor": summary.noise.floor if summary.noise else None,
        "winners": summary.confirmation.winning_trials if summary.confirmation else None,
        "front": [told(row) for row in front.rows] if (front := read_front(summary)) else None,
        "exam_passed": exam.passed if (exam := read_exam(summary.evaluator)) else None,
        "trials": summary.outcomes,
        "provenance": provenance(summary),
    }


def _context(summary: Summary, audit: Audit | None) -> dict[str, Any]:
    """What page and Markdown both show."""
    best = summary.best
    parts = dict.fromkeys(name for row in summary.rows for name in row.parts)
    return {
        "s": summary,
        "confirmed": summary.confirmation,
        "verdict": verdict(summary),
        "cautions": cautions(summary, audit),
        "audit": told(audit) if audit else None,
        "parts": {p: decimals(row.parts.get(p) for row in summary.rows) for p in parts},
        "searched": searched_settings(summary, best) if best else [],
        "others": other_settings(summary, best) if best else [],
        "exam": read_exam(summary.evaluator),
        "accuracy": accuracy(summary.evaluator),
        "confusion": confusion(summary.evaluator),
        "importance": importance(summary),
        "outcomes": outcomes(summary),
        "cost": cost(summary),
        "origin": origin(summary),
        "again": train_again(summary, best) if best else "",
        "add_baseline": train_baseline(summary),
        "written": now(),
    }


def _page_only(
    summary: Summary, grid: Grid | None, audit: Audit | None, front: Front | None
) -> dict[str, Any]:
    from markupsafe import Markup

    drawn = plots(summary) | ({"grid_scores": score_plot(grid)} if grid else {})
    drawn |= {"audit": agreement_plot(audit)} if audit else {}
    drawn |= {"front": front_plot(summary, front)} if front and front.rows else {}
    return {
        "plots": {name: Markup(svg) for name, svg in drawn.items()},
        "curves_caption": curves_caption(summary),
        "audit_caption": CAPTION,
        "heat": heat_maps(grid) if grid else None,
        "panels": loss_panels(grid) if grid else None,
        "validated": {
            name: bool(row and validated(row.epochs))
            for name, row in (("best", summary.best), ("baseline", summary.baseline))
        },
        "blocks": picture_blocks(summary),
    }


def _write(path: Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8", "replace"))
