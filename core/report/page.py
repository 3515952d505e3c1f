"""Writes report.html, report.md and best.json from one summary of the records."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from core.files import now, write_bytes, write_json
from core.record import Study
from core.report.audit import read_audit
from core.report.cautions import cautions
from core.report.evaluator import read_exam
from core.report.format import decimals
from core.report.optuna_plots import importances, optuna_plots
from core.report.parameters import best_parameters
from core.report.pictures import picture_rows
from core.report.plots import CURVES, plots, validated
from core.report.provenance import cost, origin, train_again, train_baseline
from core.report.render import render
from core.report.rows import Row, mapping, numbers
from core.report.rungs import rungs_reached
from core.report.summary import Summary, summarize
from core.report.sweep import sweep_csv, sweep_grid

REASONS = 3
FACTS = ("outcome", "score", "parts", "violations", "params")
PROVENANCE = ("started", "command", "git", "versions", "machine", "hardware", "engine", "evaluator")


def write_report(study: Study) -> Path:
    """Write the report into the study's folder; the path of the page.

    Raises UserError where the study's folder cannot be read.
    """
    summary = summarize(study)
    context = _context(summary)
    write_json(study.folder / "best.json", best_json(summary))
    if grid := context["grid"]:
        _write(study.folder / "sweep.csv", sweep_csv(grid))
    _write(study.folder / "report.md", render("report.md.j2", context))
    return _write(study.folder / "report.html", render("page.html.j2", context))


def best_json(summary: Summary) -> dict[str, Any]:
    """The verdict for programs. `gain` is above 0 where the best beats the baseline."""

    def facts(row: Row | None) -> dict[str, Any] | None:
        if row is None:
            return None
        known = {"trial": row.number, "folder": row.record.folder.name}
        searched = {name: row.params[name] for name in summary.searched if name in row.params}
        return {**known, **{name: getattr(row, name) for name in FACTS}, "searched": searched}

    exam = read_exam(summary.evaluator)
    about = summary.best.about if summary.best else summary.study.about
    direction = "maximize" if summary.maximize else "minimize"
    return {
        "task": summary.task,
        "study": summary.study.name,
        "objective": {"name": summary.objective, "direction": direction},
        "verdict": summary.verdict,
        "best": facts(summary.best),
        "baseline": facts(summary.baseline),
        "gain": summary.gain,
        "noise_floor": summary.noise.floor if summary.noise else None,
        "winners": summary.confirmation.winning_trials if summary.confirmation else None,
        "front": [facts(row) for row in summary.front] or None,
        "exam_passed": exam.passed if exam else None,
        "trials": summary.outcomes,
        "provenance": {name: about[name] for name in PROVENANCE if name in about},
    }


def _context(summary: Summary) -> dict[str, Any]:
    """The facts that the templates word."""
    audit, shares, evaluator = read_audit(summary), importances(summary), summary.evaluator
    parts = dict.fromkeys(name for row in summary.rows for name in row.parts)
    drawn, failed, ends = *optuna_plots(summary, shares), evaluator.get("interval")
    return {
        "s": summary,
        "cautions": cautions(summary, audit),
        "confirmed": summary.confirmation,
        "grid": sweep_grid(summary),
        "audit": audit,
        "exam": read_exam(evaluator),
        "backbone": evaluator.get("weights"),
        "accuracy": numbers(evaluator).get("accuracy"),
        "interval": [v for v in ends if isinstance(v, float)] if isinstance(ends, list) else [],
        "rungs": rungs_reached(summary),
        "kept": summary.kept(summary.best) if summary.best else None,
        "kinds": len(mapping(evaluator.get("confusion"))),
        "parts": {p: decimals(row.parts.get(p) for row in summary.rows) for p in parts},
        "parameters": best_parameters(summary),
        "pictures": picture_rows([(kind, kind, label, row) for kind, label, row in summary.pair]),
        "importances": shares,
        "reasons": {outcome: _reasons(summary, outcome) for outcome in summary.outcomes},
        "plots": plots(summary),
        "curves": CURVES,
        "validated": lambda row: bool(validated(row.epochs)),
        "optuna_plots": drawn,
        "not_drawn": failed,
        "cost": cost(summary),
        "origin": origin(summary.rows, summary.study.about),
        "again": train_again(summary, summary.best) if summary.best else "",
        "add_baseline": train_baseline(summary),
        "written": now(),
    }


def _reasons(summary: Summary, outcome: str) -> tuple[list[tuple[str, str, int]], int]:
    """The commonest reasons, each with its first trial and how many; how many reasons are left."""
    rows = [row for row in summary.rows if row.outcome == outcome and row.reason]
    first = {row.reason: row.label for row in reversed(rows)}
    times = Counter(row.reason for row in rows).most_common()
    return [(first[r], r, n) for r, n in times[:REASONS]], max(0, len(times) - REASONS)


def _write(path: Path, text: str) -> Path:
    write_bytes(path, text.encode("utf-8", "replace"))
    return path
