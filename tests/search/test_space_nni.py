"""Search spaces mean in Optuna what they mean in NNI, by NNI 3.0's own sampling code."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import Any

import nni
import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nni import parameter_expressions
from nni.algorithms.hpo import random_tuner
from nni.algorithms.hpo.random_tuner import RandomTuner
from nni.algorithms.hpo.tpe_tuner import TpeTuner
from nni.common.hpo_utils import deformat_parameters, format_search_space
from pydantic import Field
from scipy import stats

from core.search.distributions import KINDS, NORMAL
from core.search.space import Space, flatten
from core.task import Params

DRAWS = 20_000
LIKELY = 1e-3  # seeds are fixed: what passes once passes always

EXAMPLES: list[tuple[Any, ...]] = [
    ("choice", "a", "b", 3, 2.5),
    ("choice", "a", "b", "a"),
    ("choice", [8, 16], [32], {"depth": 2}),
    ("choice", 1, True, 1.0),
    ("randint", -2, 5),
    ("randint", 7, 8),
    ("randint", 0, 100_000),
    ("uniform", -1.0, 3.0),
    ("quniform", 0.1, 2.0, 0.25),
    ("quniform", 0, 1, 0.1),
    ("quniform", 2.0, 3.0, 10),
    ("quniform", -4, 4, 1),
    ("loguniform", 1e-4, 10.0),
    ("loguniform", 100, 200),
    ("qloguniform", 1.0, 100.0, 7),
    ("qloguniform", 0.01, 1.0, 0.1),
    ("normal", 2.0, 0.5),
    ("qnormal", 2.0, 2.0, 0.5),
    ("qnormal", 0, 1, 0.3),
    ("lognormal", 0.0, 1.0),
    ("lognormal", -9, 2),
    ("qlognormal", 1.0, 1.0, 0.5),
    ("qlognormal", -1, 1, 1),
]


class Anything(Params):
    x: Any = Field(0)
    y: Any = Field(0)
    z: Any = Field(0)
    mode: Any = Field(0)


def spec(kind: str, *args: Any) -> dict[str, Any]:
    return {"_type": kind, "_value": list(args)}


def space(source: dict[str, Any]) -> Space:
    return Space.parse(source, Anything, "space.json")


def optuna_draws(source: dict[str, Any], count: int = DRAWS, seed: int = 0) -> list[dict[str, Any]]:
    """As a study with a random sampler draws, but without the study's bookkeeping."""
    sampler = optuna.samplers.RandomSampler(seed=seed)
    study = optuna.create_study()
    trial = optuna.trial.create_trial(value=0.0)
    one = space(source)

    def ask(name: str, distribution: optuna.distributions.BaseDistribution) -> Any:
        return sampler.sample_independent(study, trial, name, distribution)

    return [one.draw(ask) for _ in range(count)]


class Chosen(dict[Any, Any]):
    """NNI's partial parameters; unlike its tuners', they bear a choice nested in a choice."""

    def __missing__(self, key: Any) -> None:
        return None


def nni_draws(source: dict[str, Any], count: int = DRAWS, seed: int = 1) -> list[dict[str, Any]]:
    """What NNI's random tuner hands to trials."""
    formatted = format_search_space(source)
    random = np.random.default_rng(seed)
    drawn = []
    for _ in range(count):
        chosen = Chosen()
        for key, one in formatted.items():
            if one.is_activated_in(chosen):
                chosen[key] = random_tuner.suggest_parameter(random, one)
        drawn.append(deformat_parameters(chosen, formatted))
    return drawn


def alike(ours: list[Any], theirs: list[Any]) -> None:
    """Two samples of one distribution: the same types, the same support, the same frequencies."""
    assert {type(v) for v in ours} == {type(v) for v in theirs}
    tallies = [Counter(map(repr, values)) for values in (ours, theirs)]
    if len(tallies[1]) > 1000:
        assert stats.ks_2samp(ours, theirs).pvalue > LIKELY
        return
    often = [v for v, n in (tallies[0] + tallies[1]).items() if n >= 20]
    assert all(tally[v] for v in often for tally in tallies)
    table = np.array([[tally[v] for v in often] for tally in tallies])
    rest = [[len(values)] for values in (ours, theirs)] - table.sum(axis=1, keepdims=True)
    table = np.hstack([table, rest]) if rest.sum() >= 20 else table
    if table.shape[1] > 1:
        assert stats.chi2_contingency(table).pvalue > LIKELY


def test_examples_name_every_kind() -> None:
    assert {kind for kind, *_ in EXAMPLES} == set(KINDS)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_optuna_draws_what_nnis_tuner_draws(example: tuple[Any, ...]) -> None:
    source = {"x": spec(*example)}
    alike(*([v["x"] for v in draws] for draws in (optuna_draws(source), nni_draws(source))))


NUMBERS = [e for e in EXAMPLES if e[0] != "choice"]


@pytest.mark.parametrize("example", NUMBERS, ids=str)
def test_optuna_draws_what_nnis_parameter_expressions_draw(example: tuple[Any, ...]) -> None:
    kind, *args = example
    ours = [v["x"] for v in optuna_draws({"x": spec(*example)}, seed=2)]
    draw: Callable[..., Any] = getattr(parameter_expressions, kind)
    random = np.random.RandomState(3)
    theirs = [draw(*args, random) for _ in range(DRAWS)]
    # numpy rounds -0.2 to -0.0, which is 0.0
    alike(ours, [int(v) if kind == "randint" else float(v) + 0.0 for v in theirs])


NESTED = {
    "mode": spec(
        "choice",
        {"_name": "plain"},
        {"_name": "wide", "x": spec("quniform", 0, 1, 0.1), "y": spec("choice", "a", "b")},
        {"_name": "narrow", "x": spec("loguniform", 1, 10)},
    ),
    "z": spec("randint", 0, 3),
}
DEEP = {
    "mode": spec(
        "choice",
        {"_name": "plain"},
        {
            "_name": "split",
            "x": spec("choice", {"_name": 1, "y": spec("normal", 0, 1)}, {"_name": 2}),
        },
    ),
    "z": spec("uniform", 0, 1),
}


@pytest.mark.parametrize("source", [NESTED, DEEP], ids=["nested", "deep"])
def test_optuna_draws_the_branches_nnis_tuner_draws(source: dict[str, Any]) -> None:
    ours, handed = optuna_draws(source), nni_draws(source)
    theirs = [flatten(values) for values in handed]
    one = space(source)
    assert [one.nested(values) for values in theirs] == handed
    assert {tuple(v) for v in ours} == {tuple(v) for v in theirs}, "the same fields, in one order"
    alike(*([(v["mode"], *v.keys()) for v in draws] for draws in (ours, theirs)))
    for fields in {tuple(v) for v in theirs}:
        for mode in {v["mode"] for v in theirs if tuple(v) == fields}:
            here = [
                [v for v in draws if tuple(v) == fields and v["mode"] == mode]
                for draws in (ours, theirs)
            ]
            for name in fields:
                alike(*([v[name] for v in draws] for draws in here))


def test_nnis_tuners_hand_out_what_params_take() -> None:
    one = space(NESTED)
    for tuner in (RandomTuner(seed=0), TpeTuner(seed=0)):
        tuner.update_search_space(NESTED)
        for number in range(40):
            handed = tuner.generate_parameters(number)
            tuner.receive_trial_result(number, handed, float(number % 7))
            values = flatten(nni.load(nni.dump({"parameters": handed}))["parameters"])
            Anything(**values)
            assert one.nested(values) == handed
            assert one.latents(values)[1] == {}


def test_nnis_own_tuners_fail_on_a_choice_nested_twice() -> None:
    """Documented in docs/nni.md as long as this passes; Optuna's samplers do not fail."""
    tuner = RandomTuner(seed=0)
    tuner.update_search_space(DEEP)
    with pytest.raises(KeyError):
        tuner.generate_multiple_parameters(list(range(40)))


def latents_of_nni(kind: str, args: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Latents of Optuna's, each with NNI's internal value for the same point."""
    for fraction in np.linspace(0.001, 0.999, 211).tolist():
        if kind == "choice":
            yield args[int(fraction * len(args))], int(fraction * len(args))
        elif kind == "randint":
            index = int(fraction * (args[1] - args[0]))
            yield args[0] + index, index
        elif kind in NORMAL:
            yield fraction, NormalDist(args[0], args[1]).inv_cdf(fraction)
        elif "log" in kind:
            low, high = math.log(args[0]), math.log(args[1])
            x = low + fraction * (high - low)
            yield math.exp(x), x
        else:
            x = args[0] + fraction * (args[1] - args[0])
            yield x, x


@pytest.mark.parametrize("example", [EXAMPLES[0], *NUMBERS], ids=str)
def test_the_same_latent_gives_nnis_very_value(example: tuple[Any, ...]) -> None:
    kind, *args = example
    (dimension,) = space({"x": spec(*example)}).dimensions
    formatted = format_search_space({"x": spec(*example)})
    for latent, internal in latents_of_nni(kind, args):
        theirs = deformat_parameters({("x",): internal}, formatted)["x"]
        ours = dimension.value(latent)
        assert ours == theirs
        assert type(ours) is type(theirs)


@settings(max_examples=300, deadline=None)
@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.floats(0, 1))
def test_any_quantised_value_is_nnis_very_value(
    low: float, width: float, q: float, fraction: float
) -> None:
    """Halves, float errors such as 0.30000000000000004, and ends off the grid."""
    args = [low, low + width, q]
    (dimension,) = space({"x": spec("quniform", *args)}).dimensions
    formatted = format_search_space({"x": spec("quniform", *args)})
    x = min(low + fraction * width, args[1])
    assert dimension.value(x) == deformat_parameters({("x",): x}, formatted)["x"]


def test_halves_go_to_the_even_neighbour_and_float_errors_stay() -> None:
    (dimension,) = space({"x": spec("quniform", 0, 5, 1)}).dimensions
    assert [dimension.value(x) for x in (0.5, 1.5, 2.5, 3.5)] == [0.0, 2.0, 2.0, 4.0]
    (dimension,) = space({"x": spec("quniform", 0, 1, 0.1)}).dimensions
    assert dimension.value(0.31) == 0.30000000000000004
    assert dimension.latent(0.3) == 0.30000000000000004
