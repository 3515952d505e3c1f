"""Spearman's rho and its interval, beside what is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from core.replicates.agreement import Rho, shared_leaders, spearman


def test_the_same_order_is_1_and_the_reverse_minus_1() -> None:
    values = [0.1, 0.5, 0.7, 2.0, 9.0, 11.0]
    assert spearman(values, [v**3 for v in values]) == Rho(1.0, 1.0, 1.0)
    assert spearman(values, [-v for v in values]) == Rho(-1.0, -1.0, -1.0)


def test_what_has_nothing_to_do_with_each_other_is_uncertain() -> None:
    random = np.random.default_rng(7)
    rho = spearman(list(random.normal(size=12)), list(random.normal(size=12)))
    assert rho.low is not None
    assert rho.high is not None
    assert rho.low < 0 < rho.high
    assert not rho.certain


@pytest.mark.parametrize("seed", range(4))
def test_rho_is_scipys_with_ties_and_lies_in_its_interval(seed: int) -> None:
    random = np.random.default_rng(seed)
    x = random.integers(0, 6, 15)
    y = x + random.integers(0, 4, 15)
    rho = spearman(list(map(float, x)), list(map(float, y)))
    assert rho.value == pytest.approx(spearmanr(x, y).statistic, abs=1e-6)
    assert rho.low is not None
    assert rho.high is not None
    assert rho.low < rho.value < rho.high
    assert rho == spearman(list(map(float, x)), list(map(float, y))), "seeded"


def test_the_interval_is_the_middle_95_percent_of_resampled_rhos() -> None:
    random = np.random.default_rng(3)
    x = random.normal(size=20)
    y = x + random.normal(size=20)
    drawn = [random.integers(20, size=20) for _ in range(2000)]
    low, high = np.percentile([spearmanr(x[d], y[d]).statistic for d in drawn], [2.5, 97.5])
    rho = spearman(list(x), list(y))
    assert rho.low == pytest.approx(low, abs=0.04)
    assert rho.high == pytest.approx(high, abs=0.04)


def test_leaders_that_are_shared_have_an_interval_too() -> None:
    values = [float(v) for v in range(10)]
    assert shared_leaders(values, values, 3) == (3, 3)
    assert shared_leaders(values, values[::-1], 3)[0] == 0
    assert shared_leaders(values, values[::-1], 3)[1] <= 1
    low, high = shared_leaders(values, [1.0, 4.0, 0.0, 2.0, 3.0, *values[5:]], 3)
    assert low < 2 <= high, "two of three, and any of the next may take their place"


def test_of_things_that_are_all_alike_there_is_no_rho() -> None:
    assert spearman([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0]) == Rho()
    assert not Rho().certain
