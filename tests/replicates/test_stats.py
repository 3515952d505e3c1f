"""Which configurations can be told apart: against a textbook, and against planted truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import tukey_hsd

from core.replicates.stats import Paired


def drawn(
    means: dict[str, float], seeds: int, noise: float, seed: int, shared: float = 0.0
) -> Paired:
    """Scores around these means; `shared` is how much a seed does to all alike."""
    random = np.random.default_rng(seed)
    lucky = random.normal(0, shared, seeds) if shared else np.zeros(seeds)
    return Paired({
        name: {s: float(mean + lucky[s] + random.normal(0, noise)) for s in range(seeds)}
        for name, mean in means.items()
    })  # fmt: skip


def test_two_configurations_are_the_paired_t_test() -> None:
    a, b = [5.1, 4.9, 6.2, 5.6], [4.8, 4.7, 5.7, 5.5]
    paired = Paired({"a": dict(enumerate(a)), "b": dict(enumerate(b))})
    differences = np.subtract(a, b)
    margin = 3.182446 * differences.std(ddof=1) / 2  # Student's t with 3 degrees of freedom
    found = paired.difference("a", "b")
    assert found.value == pytest.approx(differences.mean())
    assert found.margin == pytest.approx(margin, rel=1e-5)
    assert paired.freedom == 3
    assert paired.noise == pytest.approx(differences.std(ddof=1) / math.sqrt(2))


def test_intervals_are_tukeys_where_seeds_have_no_effect_to_take_out() -> None:
    """The same design as scipy's one-way test, but for the degrees of freedom that seeds cost."""
    values = [[1.0, 2.0, 3.0, 2.0], [2.0, 3.0, 1.0, 2.0], [7.0, 8.0, 6.0, 7.0]]
    one_way = tukey_hsd(*values)
    paired = Paired({str(i): dict(enumerate(of)) for i, of in enumerate(values)})
    found = paired.difference("2", "0")
    assert found.value == pytest.approx(one_way.statistic[2][0])
    assert paired.winners() == ["2"]
    assert bool(one_way.pvalue[2][0] < 0.05)


def test_what_a_seed_does_to_all_alike_counts_for_none() -> None:
    calm = drawn({"a": 0.5, "b": 0.55, "c": 0.4}, 4, 0.01, 0)
    shift = {0: 0.0, 1: 3.0, 2: -2.0, 3: 0.7}
    stormy = Paired({n: {s: v + shift[s] for s, v in of.items()} for n, of in calm.scores.items()})
    assert stormy.difference("a", "b").value == pytest.approx(calm.difference("a", "b").value)
    assert stormy.difference("a", "b").margin == pytest.approx(calm.difference("a", "b").margin)
    assert stormy.winners() == calm.winners()


def test_alike_configurations_are_seldom_told_apart_and_a_true_gain_is_found() -> None:
    alike = dict.fromkeys("abcdef", 0.5)
    wrong = sum(len(drawn(alike, 3, 0.02, i, 0.1).winners()) < 6 for i in range(200))
    assert wrong <= 20, "at most 5 % of the time, give or take the luck of 200 draws"
    ahead = {**alike, "f": 0.6}
    found = sum(drawn(ahead, 3, 0.02, i, 0.1).winners() == ["f"] for i in range(200))
    assert found >= 180


def test_missing_seeds_are_made_up_for() -> None:
    full = drawn({"a": 0.5, "b": 0.7, "c": 0.3}, 3, 0.01, 1, shared=1.0)
    holes = {
        n: {s: v for s, v in of.items() if (n, s) != ("c", 2)} for n, of in full.scores.items()
    }
    paired = Paired(holes)
    assert paired.mean("c") == pytest.approx(full.mean("c"), abs=0.03)
    assert paired.freedom == full.freedom - 1
    assert paired.difference("b", "c").margin > full.difference("b", "c").margin * 0.5
    assert paired.winners() == ["b"]


def test_one_seed_tells_nothing() -> None:
    paired = Paired({"a": {1: 0.9}, "b": {1: 0.1}})
    assert (paired.winners(), paired.noise) == (["a", "b"], None), "the best mean first"
    assert paired.difference("a", "b").margin == math.inf


def test_the_same_scores_are_a_tie_and_nobody_is_an_answer_too() -> None:
    same = {0: 0.3, 1: 0.7, 2: 0.5}
    assert Paired({"a": same, "b": dict(same)}).winners() == ["a", "b"]
    assert Paired({}).winners() == []
    assert Paired({"a": same}).winners() == ["a"]
