"""Which trial ranks higher: by guards, by score, by how far it got; the worst has no score."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.record import EpochLine
from core.report.ranking import (
    WORST,
    epoch_keys,
    final_key,
    leaders,
    ranks,
    warm_up,
)
from core.report.rows import Row, read_rows
from core.task import OutcomeKind, Score


@pytest.fixture
def row(make: Any, made: Any) -> Row:
    return read_rows(make([made(0.5)]))[0]


def lines(*values: float, broken: tuple[int, ...] = ()) -> tuple[EpochLine, ...]:
    """Epochs with these scores; those numbered in `broken` break a guard."""
    return tuple(
        EpochLine(i, {}, Score(value, {}, {"ink": 1.0 if i in broken else -1.0}), 1.0, 1.0)
        for i, value in enumerate(values, 1)
    )


@pytest.mark.parametrize("maximize", [True, False])
def test_a_better_score_ranks_higher_unless_it_breaks_a_guard(row: Row, maximize: bool) -> None:
    low, high = replace(row, score=0.2), replace(row, score=0.9)
    better, worse = (high, low) if maximize else (low, high)
    broken = replace(better, violations={"ink": 0.1, "pale": -1.0})
    twice = replace(better, violations={"ink": 0.1, "pale": 2.0})
    lost = replace(better, outcome=OutcomeKind.COLLAPSED)
    keys = [final_key(r, maximize) for r in (better, worse, broken, twice, lost)]
    assert ranks(keys) == [1, 2, 3, 4, 5]
    assert keys[-1] == WORST


def test_a_pruned_trial_ranks_below_the_completed_and_by_how_far_it_got(row: Row) -> None:
    pruned = replace(row, outcome=OutcomeKind.PRUNED, score=0.99, epochs=lines(0.99))
    longer = replace(pruned, score=0.1, epochs=lines(0.1, 0.1))
    keys = [final_key(r, True) for r in (row, longer, pruned)]
    assert ranks(keys) == [1, 2, 3]
    assert ranks([final_key(pruned, True)] * 2) == [1.5, 1.5]


def test_a_run_has_a_key_an_epoch(row: Row) -> None:
    run = replace(row, epochs=lines(0.1, 0.5, 0.3, broken=(1,)), score=0.3)
    assert epoch_keys(run, 3, True) == [(0, 1, -0.1), (0, 0, -0.5), (0, 0, -0.3)]
    assert epoch_keys(run, 3, False) == [(0, 1, 0.1), (0, 0, 0.5), (0, 0, 0.3)]


def test_patience_keeps_the_best_epoch_and_what_it_ended_with(row: Row) -> None:
    run = replace(row, epochs=lines(0.1, 0.5, 0.3), score=0.5, params={"patience": 1})
    assert [key[-1] for key in epoch_keys(run, 5, True)] == [-0.1, -0.5, -0.5, -0.5, -0.5]


def test_a_run_that_diverged_is_the_worst_from_then_on(row: Row) -> None:
    run = replace(row, epochs=lines(0.1, 0.5), outcome=OutcomeKind.DIVERGED)
    assert epoch_keys(run, 4, True)[1:] == [(0, 0, -0.5), WORST, WORST]


def test_the_leaders_are_three_with_a_score_or_the_better_half() -> None:
    keys = [(0.0, 0, v) for v in (3.0, 1.0, 2.0, 2.0, 9.0)]
    assert leaders(keys) == {1, 2, 3}
    assert leaders(keys[:4]) == {1, 2}
    assert leaders([WORST, (0.0, 0, 1.0), WORST, WORST, WORST]) == {1}


def test_the_warm_up_ends_when_no_leader_falls_behind_again() -> None:
    def epoch(*values: float) -> list[tuple[float, ...]]:
        return [(0.0, 0, value) for value in values]

    good, bad = epoch(1, 2, 3, 4, 5, 6), epoch(6, 2, 3, 4, 5, 1)
    assert warm_up([good, good, good], {0, 1, 2}) == 1
    assert warm_up([good, bad, good, good], {0, 1, 2}) == 3
    assert warm_up([good, bad], {0, 1, 2}) is None
    assert warm_up([epoch(1, 1, 1, 1)], {0, 1}) == 1, "all alike: none is worse than the median"
    assert warm_up([good], set()) is None
