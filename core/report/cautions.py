"""What to know before believing a study's verdict, the gravest first."""

from __future__ import annotations

import json

from core.report.audit import Audit
from core.report.confirmation import candidate
from core.report.evaluator import read_exam
from core.report.render import sentences
from core.report.rows import Row, mapping
from core.report.summary import Summary
from core.report.sweep import swept

ENOUGH_INPUTS = 100


def cautions(summary: Summary, audit: Audit | None = None) -> list[str]:
    """A sentence or two for each."""
    best, baseline, confirmed = summary.best, summary.baseline, summary.confirmation
    row = best or next(iter(summary.rows), None)
    notes = row.about.get("notes") if row else None
    seeds = mapping(summary.space.get("seed")).get("_value") if swept(summary) else None
    exam, later = read_exam(summary.evaluator), confirmed.exam if confirmed else None
    tried = {*confirmed.race.runs, *confirmed.same} if confirmed else set()
    context = {
        "s": summary,
        "unlike": summary.unlike(baseline) if best and baseline else [],
        "seeds": len(seeds) if isinstance(seeds, list) and len(seeds) > 1 else 0,
        "unconfirmed": confirmed and best and best != baseline and candidate(best) not in tried,
        "audit": audit.sentences[0] if audit else "",
        "exam": exam,
        "later_exam": later if later != exam else None,
        "inputs": best.parts.get("inputs") if best else None,
        "enough": ENOUGH_INPUTS,
        "many_evaluators": len(set(map(_evaluator, summary.candidates))) > 1,
        "notes": [" ".join(str(n).split()) for n in notes] if isinstance(notes, list) else [],
        "others": sorted({row.task for row in summary.rows if row.task} - {summary.task}),
    }
    return sentences("cautions.txt.j2", context)


def _evaluator(row: Row) -> str:
    """What tells one evaluator and its data from others: all but how long it took, and its exam."""
    known = {**row.evaluator, **row.scored_by, "seconds": None, "exam": None}
    return json.dumps(known, sort_keys=True)
