"""The figures of a comparison: a flat row a task, for programs (CSV and JSON), and SI units."""

from __future__ import annotations

import csv
import io
from typing import Any

from core.report.comparison import BROKE, Comparison, Entrant
from core.report.comparison_verdict import cautions, headline, standing
from core.report.rows import numbers
from core.task import OutcomeKind

UNITS = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
COST = (
    "parameters", "parameters_output", "flops_train_image", "flops_translate_image", "step_ms",
    "items_per_second", "batch", "memory_bytes",
)  # fmt: skip


def figures(entrant: Entrant) -> dict[str, Any]:
    """Every figure of a task, unrounded; None where there is none."""
    best, cost = entrant.best, numbers(entrant.cost)
    scores = entrant.scores
    quartiles = entrant.quartiles or (None, None, None)
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
        "other_seeds_runs": len(entrant.other_scores),
        **{name: cost.get(name) for name in COST},
        "memory_of": entrant.cost.get("memory_of"),
        "cost_failed": entrant.cost.get("failed"),
        "epoch_seconds": entrant.epoch_seconds,
        "trials": len(entrant.rows),
        "trials_completed": entrant.count(OutcomeKind.COMPLETED),
        "trials_pruned": entrant.count(OutcomeKind.PRUNED),
        "trials_failed": entrant.count(*BROKE),
        "quartile_1": quartiles[0],
        "median": quartiles[1],
        "quartile_3": quartiles[2],
        "share_near_best": entrant.near,
        "share_failed_or_broken": entrant.broke,
        "share_pruned": entrant.pruned,
        "guards_broken": " ".join(entrant.broken),
    }
    row |= {f"part_{name}": value for name, value in (best.parts if best else {}).items()}
    demand = {f: (r.score if entrant.usable(r) else None) for f, r in entrant.demand.items()}
    return row | {f"score_at_{fraction}": score for fraction, score in demand.items()}


def as_csv(comparison: Comparison) -> str:
    """A line a task under a line of names; nothing rounded, empty where there is no figure."""
    rows = [figures(entrant) for entrant in comparison.entrants]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison for programs."""
    stand = standing(comparison)

    def told(entrant: Entrant) -> dict[str, Any]:
        best = entrant.best
        scores = [row.score if entrant.usable(row) else None for row in entrant.runs]
        runs = {r.record.folder.name: s for r, s in zip(entrant.runs, scores, strict=True)}
        more = {"seeds": runs, "params": best.params if best else None, "cost": entrant.cost}
        return {**figures(entrant), **more, "importance": entrant.importance.shares}

    return {
        "comparison": comparison.name,
        "objective": comparison.settings.get("objective"),
        "headline": headline(comparison),
        "winner": stand.winner.task if stand.winner else None,
        "cannot_be_told_apart": [e.task for e in stand.tied] if len(stand.tied) > 1 else [],
        "order": [e.task for e in stand.order],
        "cautions": cautions(comparison),
        "tasks": [told(entrant) for entrant in comparison.entrants],
        "settings": comparison.settings,
    }


def si(value: float | None) -> str:
    """`1.23 G`: three digits and a unit's prefix; a dash where there is no number."""
    if value is None:
        return "–"
    for size, prefix in UNITS:
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g}"


def percent(share: float | None) -> str:
    """`25 %`; a dash where there is no number."""
    return "–" if share is None else f"{100 * share:.0f} %"
