"""Which trials are trained for longer: evenly over the ranks, the best and the baseline always."""

from __future__ import annotations

from typing import Any

import pytest

from core.report.audit import choose, eligible
from core.report.rows import Row
from core.report.summary import Summary, summarize
from core.task import OutcomeKind


def numbers(rows: list[Row]) -> list[int]:
    return [row.number for row in rows]


@pytest.fixture
def ladder(make: Any, made: Any) -> Summary:
    """21 trials; the score rises with the number, and the baseline is number 6."""
    return summarize(make([made(0.1 + i / 50, {"weight": 1 + (i - 6) / 100}) for i in range(21)]))


def test_they_are_spread_over_the_ranks_with_best_and_baseline(ladder: Summary) -> None:
    assert numbers(choose(ladder, 5)) == [0, 6, 10, 15, 20]
    assert numbers(choose(ladder, 4)) == [0, 6, 13, 20]
    assert numbers(choose(ladder, 100)) == list(range(21))


def test_more_may_be_added_and_none_goes(ladder: Summary) -> None:
    before = choose(ladder, 4)
    after = choose(ladder, 8, before)
    assert set(numbers(before)) < set(numbers(after))
    assert len(after) == 8
    assert numbers(choose(ladder, 4, before)) == numbers(before)
    lowest = [row for row in ladder.rows if row.number < 4]
    assert numbers(choose(ladder, 4, lowest)) == [0, 1, 2, 3], "the best comes where there is room"
    assert {6, 20} < set(numbers(choose(ladder, 6, lowest)))


def test_direction_and_guards_make_the_ranks(make: Any, made: Any) -> None:
    trials = [
        made(0.5, {"weight": 2.0}),
        made(0.1, {"weight": 3.0}, violations={"ink": 1.0}),
        made(0.3, {"weight": 4.0}),
        made(0.9, {"weight": 5.0}, OutcomeKind.PRUNED),
        made(0.01, {"weight": 6.0}, OutcomeKind.PRUNED),
    ]
    assert numbers(eligible(summarize(make(trials, direction="minimize")))) == [2, 0, 1, 4, 3]


def test_only_what_can_be_ranked_is_chosen_and_nothing_twice(make: Any, made: Any) -> None:
    trials = [
        made(0.5, {"weight": 2.0}),
        made(0.6, {"weight": 2.0, "device": "cpu"}),
        made(0.5, {"weight": 3.0}),
        made(0.5, {"weight": 2.0, "seed": 1}),
        made(None, {"weight": 4.0}, OutcomeKind.PRUNED),
        made(0.9, {"weight": 5.0}, OutcomeKind.DIVERGED),
        made(0.9, {"weight": 6.0}, None),
        made(0.2, {"weight": 7.0, "epochs": 9}),
    ]
    summary = summarize(make(trials))
    assert numbers(eligible(summary)) == [1, 2], "the best of one configuration, whatever its seed"
    assert numbers(eligible(summary, [summary.rows[3]])) == [3, 2], "the one that was kept"
    assert numbers(choose(summary, 3, [summary.rows[3]])) == [2, 3]
