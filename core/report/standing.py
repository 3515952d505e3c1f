"""How trials stand beside one another: by guards broken, then by score, and last without one."""

from __future__ import annotations

from collections.abc import Sequence

from core.report.rows import Row

# Compared as tuples are: the smaller one is the better, equal ones are tied.
Standing = tuple[float, ...]

WORST: Standing = (2.0,)
# How many leaders are followed; never more than the better half.
TOP = 3


def final(row: Row, maximize: bool) -> Standing:
    """Where a trial stands at its end; last, where it came to no final score."""
    if not row.completed or row.score is None:
        return WORST
    return (0.0, len(row.broken), _signed(row.score, maximize))


def of_trial(row: Row, maximize: bool) -> Standing:
    """Where a search's trial stands: a pruned one below the completed, by how far it got."""
    if row.completed or row.score is None:
        return final(row, maximize)
    return (1.0, -len(row.epochs), len(row.broken), _signed(row.score, maximize))


def curve(run: Row, epochs: int, maximize: bool) -> list[Standing]:
    """Where a run stands after each epoch from 1 to `epochs`.

    With patience the best epoch so far counts, as it does in a trial. From its last epoch on it
    stands as at its end.
    """
    patient = bool(run.params.get("patience"))
    stands: list[Standing] = []
    best: float | None = None
    for line in run.epochs:
        if not len(stands) < line.epoch <= epochs:
            continue  # a record that was tampered with
        stands += [stands[-1] if stands else WORST] * (line.epoch - 1 - len(stands))
        value = _signed(line.score.value, maximize)
        if patient and best is not None and value >= best:
            stands.append(stands[-1])
            continue
        best = value
        stands.append((0.0, sum(amount > 0 for amount in line.score.violations.values()), value))
    return stands + [final(run, maximize)] * (epochs - len(stands))


def ranks(standings: Sequence[Standing]) -> list[float]:
    """The rank of each, 1 the best; tied ones share the average of their ranks."""
    from scipy.stats import rankdata

    place = {standing: i for i, standing in enumerate(sorted(set(standings)))}
    return [float(rank) for rank in rankdata([place[standing] for standing in standings])]


def leaders(standings: Sequence[Standing]) -> set[int]:
    """The places of the best three that have a score, of fewer than five the better half.

    Of tied ones the first.
    """
    there = [i for i, standing in enumerate(standings) if standing != WORST]
    there.sort(key=lambda i: (standings[i], i))
    return set(there[: min(TOP, (len(standings) + 1) // 2)])


def warm_up(curves: Sequence[Sequence[Standing]], first: set[int]) -> int | None:
    """The first epoch from which none of the places `first` is in the worse half, then or later.

    `curves` are the standings after each epoch; the worse half is what ranks below the median.
    None where one of them is there at the end.
    """
    found = None
    for epoch in range(len(curves), 0, -1):
        here = ranks(curves[epoch - 1])
        ordered, middle = sorted(here), len(here) // 2
        median = (ordered[middle] + ordered[-1 - middle]) / 2
        if not first or any(here[i] > median for i in first):
            break
        found = epoch
    return found


def _signed(score: float, maximize: bool) -> float:
    """Less is better."""
    return -score if maximize else score
