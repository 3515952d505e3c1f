"""Ranks of trials: by guards broken, then by score; last those without a final score."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from statistics import median

from core.report.rows import Row

# Sorts trials: the smaller key is the better one, equal keys are tied.
Key = tuple[float, ...]

WORST: Key = (2.0,)
# How many leaders are followed; never more than the better half.
TOP = 3


def final_key(row: Row, maximize: bool) -> Key:
    """The key of a trial at its end; `WORST` where it has no final score."""
    if not row.completed or row.score is None:
        return WORST
    return (0.0, len(row.broken), -row.score if maximize else row.score)


def trial_key(row: Row, maximize: bool) -> Key:
    """The key of a search's trial: a pruned one ranks below the completed, by its epochs."""
    if row.completed or row.score is None:
        return final_key(row, maximize)
    return (1.0, -len(row.epochs), len(row.broken), -row.score if maximize else row.score)


def epoch_keys(run: Row, epochs: int, maximize: bool) -> list[Key]:
    """The keys of a run after each epoch from 1 to `epochs`; after its last one `final_key`.

    With early stopping the best epoch so far counts, as it does in the trial itself.
    """
    sign, scores = -1 if maximize else 1, [line.score for line in run.epochs[:epochs]]
    keys: list[Key] = [(0.0, len(score.broken), sign * score.value) for score in scores]
    if run.params.get("patience"):
        keys = [min(keys[:epoch], key=itemgetter(-1)) for epoch in range(1, 1 + len(keys))]
    return keys + [final_key(run, maximize)] * (epochs - len(keys))


def ranks(keys: Sequence[Key]) -> list[float]:
    """The rank of each key, 1 the best; tied ones share the average of their ranks."""
    return [sum(other < key for other in keys) + (keys.count(key) + 1) / 2 for key in keys]


def leaders(keys: Sequence[Key]) -> set[int]:
    """The indices of the best three that have a score, of fewer than five the better half.

    Of tied ones the first.
    """
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
