"""What can be told apart, what luck explains, how far orders agree: beside textbooks and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import spearmanr, tukey_hsd

from core.replicates.stats import (
    Difference,
    Noise,
    Paired,
    Rho,
    configuration,
    spearman,
)


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


def width(difference: Difference) -> float:
    return difference.high - difference.low


def test_two_configurations_are_the_paired_t_test() -> None:
    a, b = [5.1, 4.9, 6.2, 5.6], [4.8, 4.7, 5.7, 5.5]
    paired = Paired({"a": dict(enumerate(a)), "b": dict(enumerate(b))})
    differences = np.subtract(a, b)
    margin = 3.182446 * differences.std(ddof=1) / 2  # Student's t with 3 degrees of freedom
    found = paired.difference("a", "b")
    assert found.value == pytest.approx(differences.mean())
    assert found.high - found.value == pytest.approx(margin, rel=1e-5)
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
    assert stormy.difference("a", "b") == pytest.approx(calm.difference("a", "b"))
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
    assert width(paired.difference("b", "c")) > width(full.difference("b", "c")) * 0.5
    assert paired.winners() == ["b"]


def test_one_seed_tells_nothing() -> None:
    paired = Paired({"a": {1: 0.9}, "b": {1: 0.1}})
    assert (paired.winners(), paired.noise) == (["a", "b"], None), "the best mean first"
    assert paired.difference("a", "b").high == math.inf


def test_the_same_scores_are_a_tie_and_nobody_is_an_answer_too() -> None:
    same = {0: 0.3, 1: 0.7, 2: 0.5}
    assert Paired({"a": same, "b": dict(same)}).winners() == ["a", "b"]
    assert Paired({}).winners() == []
    assert Paired({"a": same}).winners() == ["a"]


def test_configurations_that_no_seed_links_are_never_told_apart() -> None:
    paired = Paired({"a": {0: 0.9, 1: 0.91, 2: 0.9}, "b": {5: 0.1, 6: 0.11, 7: 0.1}})
    assert paired.difference("a", "b").low == -math.inf
    assert set(paired.winners()) == {"a", "b"}
    linked = Paired({**paired.scores, "c": {0: 0.5, 1: 0.51, 2: 0.5, 5: 0.5, 6: 0.51, 7: 0.5}})
    assert linked.winners() == ["a"], "through a third, seeds have effects that are known"


def test_those_that_are_excluded_do_not_win() -> None:
    paired = drawn({"a": 0.5, "b": 0.7, "c": 0.3}, 3, 0.01, 1)
    assert paired.winners(["b"]) == ["a"]


def test_neither_the_seed_nor_the_machine_makes_a_configuration() -> None:
    params = {"rate": 0.1, "seed": 0, "device": "cpu", "threads": 2}
    assert configuration(params) == configuration({"threads": 1, "seed": 5, "rate": 0.1})
    assert configuration(params) != configuration({**params, "rate": 0.2})


def test_the_luck_of_the_best_of_many_runs_covers_it() -> None:
    """Of 20 runs of the baseline itself the best is above the bound in at most 5 % of studies."""
    random = np.random.default_rng(0)
    above = 0
    for _ in range(400):
        noise = Noise(tuple(random.normal(0, 1, 5)))
        above += bool(random.normal(0, 1, 20).max() > noise.mean + noise.luck(20))
    assert above <= 32, "20 on average at most, and luck"
    assert Noise((0.4, 0.4)).luck(9) == 0


def test_the_same_order_is_1_and_the_reverse_minus_1() -> None:
    values = [0.1, 0.5, 0.7, 2.0, 9.0, 11.0]
    assert spearman(values, [v**3 for v in values]) == Rho(1.0, 1.0, 1.0)
    assert spearman(values, [-v for v in values]) == Rho(-1.0, -1.0, -1.0)


def test_what_has_nothing_to_do_with_each_other_is_uncertain() -> None:
    random = np.random.default_rng(7)
    rho = spearman(list(random.normal(size=12)), list(random.normal(size=12)))
    assert rho
    assert rho.low < 0 < rho.high


@pytest.mark.parametrize("seed", range(4))
def test_rho_is_scipys_with_ties_and_lies_in_its_interval(seed: int) -> None:
    random = np.random.default_rng(seed)
    x = random.integers(0, 6, 15)
    y = x + random.integers(0, 4, 15)
    rho = spearman(list(map(float, x)), list(map(float, y)))
    assert rho.value == pytest.approx(spearmanr(x, y).statistic, abs=1e-6)
    assert rho
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


def test_of_things_that_are_all_alike_there_is_no_rho() -> None:
    assert spearman([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0]) is None
    assert spearman([1.0, 1.0, 1.0, 2.0], [1.0, 2.0, 3.0, 4.0]), "some resamples are constant"
