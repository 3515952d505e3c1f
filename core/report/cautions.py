"""What to know before believing a study's verdict, the gravest first."""

from __future__ import annotations

from typing import Any

from core.report.audit import Audit
from core.report.audit_verdict import caution
from core.report.confirmation import candidate
from core.report.confirmation_verdict import unfinished
from core.report.evaluator import read_exam
from core.report.render import sentences
from core.report.rows import DAMAGED, RUNNING, mapping
from core.report.summary import Summary
from core.report.sweep import swept

ENOUGH_INPUTS = 100


def cautions(summary: Summary, audit: Audit | None = None) -> list[str]:
    """A sentence or two for each."""
    best, confirmed = summary.best, summary.confirmation
    row = best or next(iter(summary.rows), None)
    notes = row.about.get("notes") if row else None
    exam, later = read_exam(summary.evaluator), confirmed.exam if confirmed else None
    context = {
        "s": summary,
        "seeds": _seeds(summary),
        "unfinished": unfinished(confirmed, summary.study.name) if confirmed else "",
        "unconfirmed": _unconfirmed(summary),
        "audit": caution(audit) if audit else "",
        "exam": exam,
        "later_exam": later if later != exam else None,
        "few_inputs": _few_inputs(summary),
        "many_evaluators": _many_evaluators(summary),
        "notes": [" ".join(str(n).split()) for n in notes] if isinstance(notes, list) else [],
        "others": sorted({row.task for row in summary.rows if row.task} - {summary.task}),
        "running": summary.outcomes.get(RUNNING, 0),
        "damaged": summary.outcomes.get(DAMAGED, 0),
    }
    return sentences("cautions.txt.j2", context)


def _seeds(summary: Summary) -> int:
    """How many seeds a sweep tried each point with; 0 where it was one, or no sweep."""
    seeds = mapping(summary.space.get("seed")).get("_value")
    return len(seeds) if swept(summary) and isinstance(seeds, list) and len(seeds) > 1 else 0


def _unconfirmed(summary: Summary) -> bool:
    """Whether something was confirmed, and the best trial has come up since."""
    best, confirmed = summary.best, summary.confirmation
    if not best or not confirmed or best == summary.baseline:
        return False
    return candidate(best) not in {*confirmed.candidates, *confirmed.same}


def _few_inputs(summary: Summary) -> float | None:
    """How many validation inputs the best score rests on, where they are few."""
    inputs = summary.best.parts.get("inputs") if summary.best else None
    return inputs if inputs is not None and inputs < ENOUGH_INPUTS else None


def _many_evaluators(summary: Summary) -> bool:
    """Whether the compared trials were scored by evaluators that differ in what they are."""

    def facts(evaluator: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in evaluator.items() if k not in ("seconds", "exam")}

    evaluators = [facts(row.evaluator) for row in summary.candidates]
    return any(evaluator != evaluators[0] for evaluator in evaluators)
