"""Which configurations of a study an audit trains for longer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from core.report.rows import Row
from core.report.standing import of_trial
from core.report.summary import Summary
from core.task import RUNTIME_FIELDS, OutcomeKind

SHORT = (OutcomeKind.COMPLETED, OutcomeKind.PRUNED)


def short_epochs(summary: Summary) -> int | None:
    """How many epochs the study's trials train: the best one's, or what most of them do."""
    if summary.best and summary.best.planned:
        return summary.best.planned
    there = Counter(row.planned for row in summary.rows if row.planned)
    return there.most_common(1)[0][0] if there else None


def scored(summary: Summary) -> list[Row]:
    """The trials that completed or were pruned, have a score and train as long as the others.

    The best one first: a pruned one stands below those that completed, one that breaks guards
    below those that break fewer; ties by number.
    """
    epochs = short_epochs(summary)
    rows = [
        row
        for row in summary.rows
        if row.task == summary.task
        and row.outcome in SHORT
        and row.score is not None
        and row.planned == epochs
    ]
    return sorted(rows, key=lambda row: (of_trial(row, summary.maximize), row.number, row.label))


def eligible(summary: Summary, kept: Sequence[Row] = ()) -> list[Row]:
    """The same, each configuration once: of equal ones the one that was kept, or the best."""
    mine = {_point(row): row for row in kept}
    points: dict[str, Row] = {}
    for row in scored(summary):
        point = _point(row)
        points.setdefault(point, mine.get(point, row))
    return list(points.values())


def choose(summary: Summary, count: int, kept: Sequence[Row] = ()) -> list[Row]:
    """At most `count` of the eligible trials, spread evenly over their ranks, by number.

    Those `kept` from before stay; then come the best trial and the baseline where there is room.
    """
    rows = eligible(summary, kept)
    places = {_point(row): i for i, row in enumerate(rows)}
    count = max(len(kept), min(count, len(rows)))
    chosen = [places[_point(row)] for row in kept]
    for row in (summary.best, summary.baseline):
        place = places.get(_point(row)) if row else None
        if place is not None and place not in chosen and len(chosen) < count:
            chosen.append(place)
    targets = [i * (len(rows) - 1) / max(1, count - 1) for i in range(count)]
    for place in chosen:
        targets.remove(min(targets, key=lambda target: abs(target - place)))
    for target in targets:
        free = [i for i in range(len(rows)) if i not in chosen]
        chosen.append(min(free, key=lambda place: abs(place - target)))
    return sorted((rows[i] for i in chosen), key=lambda row: (row.number, row.label))


def _point(row: Row) -> str:
    """What a trial trains, whatever where and how."""
    params = {k: v for k, v in row.params.items() if k not in RUNTIME_FIELDS}
    return json.dumps(params, sort_keys=True, default=str)
