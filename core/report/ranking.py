"""Ranks of trials: by guards broken, then by score; last those without a final score."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from statistics import median

from core.report.rows import Row
from core.task import OutcomeKind

Key = tuple[float, ...]  # the smaller is the better, equal ones are tied
WORST: Key = (2.0,)
TOP = 3  # leaders that are followed


def final_key(row: Row, maximize: bool) -> Key:
    """The key of a trial at its end: a pruned one ranks below the completed, by its epochs.

    `WORST` where it came to another end.
    """
    if row.score is None or row.outcome not in (OutcomeKind.COMPLETED, OutcomeKind.PRUNED):
        return WORST
    key = (len(row.broken), -row.score if maximize else row.score)
    return (0.0, *key) if row.completed else (1.0, -len(row.epochs), *key)


def epoch_keys(run: Row, epochs: int, maximize: bool) -> list[Key]:
    """The keys of a run after each epoch from 1 to `epochs`; after its last one `final_key`."""
    sign, scores = -1 if maximize else 1, [line.score for line in run.epochs[:epochs]]
    keys: list[Key] = [(0.0, len(score.broken), sign * score.value) for score in scores]
    if run.params.get("patience"):  # then its best epoch counts
        keys = [min(keys[:epoch], key=itemgetter(-1)) for epoch in range(1, 1 + len(keys))]
    return keys + [final_key(run, maximize)] * (epochs - len(keys))


def ranks(keys: Sequence[Key]) -> list[float]:
    """The rank of each key, 1 the best; tied ones share the average of their ranks."""
    return [sum(other < key for other in keys) + (keys.count(key) + 1) / 2 for key in keys]


def leaders(keys: Sequence[Key]) -> set[int]:
    """The indices of the best three with a score, of fewer than five the better half."""
    scored = sorted((i for i, key in enumerate(keys) if key != WORST), key=lambda i: keys[i])
    return set(scored[: min(TOP, (len(keys) + 1) // 2)])


def warm_up(epochs: Sequence[Sequence[Key]], leading: set[int]) -> int | None:
    """The first epoch from which on none of the indices `leading` ranks below the median.

    `epochs` holds the keys of all runs after each epoch. None where one of them does so at the end.
    """
    found = None
    for epoch in range(len(epochs), 0, -1):
        placed = ranks(epochs[epoch - 1])
        if not leading or any(placed[i] > median(placed) for i in leading):
            break
        found = epoch
    return found
