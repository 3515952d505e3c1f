"""What benchmarks make of the seconds and scores that they measure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import conclusions, epoch, training_step


def test_a_ratio_is_the_median_of_the_rounds_own() -> None:
    rounds = [[2.0, 1.0, 4.0], [4.0, 1.0, 4.0], [9.0, 3.0, 3.0]]
    assert list(training_step.ratios(rounds)) == ["3.00 (2.00-4.00)", "1.00 (0.50-3.00)"]


def test_a_precision_is_compared_seed_by_seed() -> None:
    scores = {"fp32": [(0.5, 0.4), (0.7, 0.8)], "bf16": [(0.6, 0.4), (0.8, 0.7)]}
    first, second = conclusions.rows(scores)
    assert first[3:5] == ["-", "-"]
    assert first[-1] == "1 of 2"
    assert second[:2] == ["bf16", "0.7000 (0.1414)"]
    assert second[3:5] == ["+0.1000 (0.0000)", "-0.0500 (0.0707)"]
    assert second[-1] == "2 of 2"


def test_an_epoch_is_computed_from_its_parts() -> None:
    each = dict.fromkeys(epoch.PARTS, 0.0) | {"step": 0.010, "evaluator": 1.0, "the rest": 0.0}
    cells = dict(zip([*epoch.PARTS, "the rest", "an epoch"], epoch.columns(each, 300), strict=True))
    assert cells["step"] == ("10.00", "75.0%")
    assert cells["evaluator"] == ("1000.00", "25.0%")
    assert cells["an epoch"] == ("4000", "")


def test_the_first_epoch_is_left_out_and_a_limit_ends_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(100))
    monkeypatch.setattr(epoch.time, "perf_counter", lambda: float(next(now)))
    watch = epoch.Stopwatch(2)

    def three(model: Any) -> Iterator[int]:
        yield from range(3)

    drawn = watch.batches(three)
    for _ in range(2):
        assert list(drawn(None)) == [0, 1]
        for part in epoch.PARTS:
            if part != epoch.DATA:
                watch.around(part, lambda: None)()
    assert watch.epochs == [0.0, 17.0]
    each = watch.each()
    assert set(each.values()) == {1.0, 8.0}
    assert each["the rest"] == 17.0 - 1 - 8


def test_a_stopwatch_counts_no_end_as_a_batch() -> None:
    watch = epoch.Stopwatch(None)
    assert list(watch.batches(lambda model: iter(range(3)))(None)) == [0, 1, 2]
    assert len(watch.seconds[epoch.DATA]) == 3
