from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nni.algorithms.hpo import random_tuner
from nni.common.hpo_utils import deformat_parameters, format_search_space
from pydantic import Field

from core.space import KINDS, Space
from core.task import Params, UserError


class Anything(Params):
    x: Any = Field(0)
    n: int = Field(1, ge=1, le=8)
    rate: float = Field(0.1, gt=0, le=1)


def space(kind: str, *args: Any, key: str = "x") -> Space:
    return Space.parse({key: {"_type": kind, "_value": list(args)}}, Anything, "space.json")


def draw(one: Space, count: int, seed: int = 0) -> list[Any]:
    (dimension,) = one.dimensions
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distribution = {"x": dimension.distribution}
    trials = [study.ask(distribution) for _ in range(count)]
    return [dimension.value(trial.params["x"]) for trial in trials]


EXAMPLES = [
    ("choice", "a", "b", 3, 2.5),
    ("randint", -2, 5),
    ("uniform", -1.0, 3.0),
    ("quniform", 0.1, 2.0, 0.25),
    ("loguniform", 1e-4, 10.0),
    ("qloguniform", 1.0, 100.0, 7),
    ("normal", 2.0, 0.5),
    ("qnormal", 2.0, 2.0, 0.5),
    ("lognormal", 0.0, 1.0),
    ("qlognormal", 1.0, 1.0, 0.5),
]


def test_examples_name_every_kind() -> None:
    assert {kind for kind, *_ in EXAMPLES} == set(KINDS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e[0])
def test_optuna_draws_what_nni_draws(example: tuple[Any, ...]) -> None:
    """Two-sample Kolmogorov-Smirnov distance against NNI's own sampling code."""
    kind, *args = example
    count = 2000
    ours = draw(space(kind, *args), count)
    formatted = format_search_space({"x": {"_type": kind, "_value": args}})
    random = np.random.default_rng(1)
    theirs = [
        deformat_parameters(random_tuner.suggest(random, formatted), formatted)["x"]
        for _ in range(count)
    ]
    assert {type(v) for v in ours} == {type(v) for v in theirs}
    order = {v: i for i, v in enumerate(args)} if kind == "choice" else None
    a, b = (sorted(order[v] if order else v for v in values) for values in (ours, theirs))
    grid = np.unique(np.round(a + b, 9))
    below = [np.searchsorted(np.round(v, 9), grid, side="right") / count for v in (a, b)]
    assert np.abs(below[0] - below[1]).max() < 1.95 * math.sqrt(2 / count)  # p = 0.001


@pytest.mark.parametrize("example", [e for e in EXAMPLES if "normal" not in e[0]], ids=str)
def test_the_same_latent_gives_nnis_very_value(example: tuple[Any, ...]) -> None:
    kind, *args = example
    (dimension,) = space(kind, *args).dimensions
    formatted = format_search_space({"x": {"_type": kind, "_value": args}})
    for fraction in np.linspace(0.003, 0.997, 23):
        if kind == "choice":
            latent, internal = args[int(fraction * 3)], int(fraction * 3)
        elif kind == "randint":
            latent = args[0] + int(fraction * (args[1] - 1 - args[0]))
            internal = latent - args[0]
        else:
            internal = args[0] + fraction * (args[1] - args[0])
            latent = internal
            if "log" in kind:
                internal = math.log(internal)
        theirs = deformat_parameters({("x",): internal}, formatted)["x"]
        ours = dimension.value(latent)
        assert ours == theirs or math.isclose(ours, theirs, rel_tol=1e-12)


def test_normal_kinds_invert_the_normal_distribution() -> None:
    (dimension,) = space("normal", 2.0, 0.5).dimensions
    assert dimension.value(0.5) == pytest.approx(2.0)
    assert dimension.value(NormalDist().cdf(1.0)) == pytest.approx(2.5)
    (dimension,) = space("qlognormal", 1.0, 1.0, 0.5).dimensions
    assert dimension.value(0.5) == 2.5  # e = 2.718 on a grid of halves


finite = st.floats(-1e3, 1e3, allow_nan=False)
positive = st.floats(1e-3, 1e3)


@st.composite
def dimensions(draw: st.DrawFn) -> tuple[str, list[Any]]:
    kind = draw(st.sampled_from(KINDS))
    if kind == "choice":
        items = st.one_of(st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=2))
        return kind, draw(st.lists(items, min_size=1, max_size=4, unique_by=repr))
    if kind == "randint":
        low = draw(st.integers(-50, 50))
        return kind, [low, low + draw(st.integers(1, 50))]
    if "normal" in kind:
        args = [draw(st.floats(-3, 3)), draw(st.floats(0.1, 2))]
    else:
        low = draw(positive if "log" in kind else finite)
        args = [low, low + draw(st.floats(0.1, 100))]
    return kind, [*args, draw(st.floats(0.01, 5))] if kind.startswith("q") else args


@settings(max_examples=150, deadline=None)
@given(dimensions(), st.integers(0, 2**31 - 1))
def test_any_value_survives_json_and_the_inverse_map(
    dimension: tuple[str, list[Any]], seed: int
) -> None:
    kind, args = dimension
    one = space(kind, *args)
    (dim,) = one.dimensions
    for value in draw(one, 3, seed):
        assert json.loads(json.dumps(value)) == value
        if "uniform" in kind:
            assert args[0] <= value <= args[1]
        if kind == "randint":
            assert args[0] <= value < args[1]
        if value or kind != "qlognormal":  # a lognormal rounded to 0 has no logarithm
            again = dim.value(dim.latent(value))
            assert again == value or math.isclose(again, value, rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize(
    ("kind", "args", "outside"),
    [("uniform", [0.0, 1.0], 1.5), ("choice", ["a", "b"], "c"), ("randint", [0, 4], 4),
     ("loguniform", [0.1, 1.0], 0.0), ("quniform", [0.0, 1.0, 0.5], 0.3), ("choice", [1, 2], True)],
)  # fmt: skip
def test_a_value_outside_has_no_latent(kind: str, args: list[Any], outside: Any) -> None:
    (dimension,) = space(kind, *args).dimensions
    with pytest.raises(ValueError, match="not in"):
        dimension.latent(outside)


BAD: list[tuple[Any, str]] = [
    ([], "not empty"),
    ({}, "not empty"),
    ({"lr": {"_type": "uniform", "_value": [0, 1]}}, "'lr': no such parameter; there are"),
    ({"x": {"_type": "beta", "_value": [0, 1]}}, "unsupported _type 'beta'; use one of choice"),
    ({"x": {"type": "uniform"}}, "must be"),
    ({"x": {"_type": "uniform", "_value": 3}}, "_value must be a list"),
    ({"x": {"_type": "uniform", "_value": [0]}}, r"takes numbers \[low, high\]"),
    ({"x": {"_type": "uniform", "_value": ["0", 1]}}, "takes numbers"),
    ({"x": {"_type": "uniform", "_value": [1, 0]}}, "low must be below high"),
    ({"x": {"_type": "uniform", "_value": [0, float("nan")]}}, "takes numbers"),
    ({"x": {"_type": "loguniform", "_value": [0, 1]}}, "low must be above 0"),
    ({"x": {"_type": "quniform", "_value": [0, 1, 0]}}, "q must be above 0"),
    ({"x": {"_type": "normal", "_value": [0, 0]}}, "sigma must be above 0"),
    ({"x": {"_type": "randint", "_value": [0, 1.5]}}, "takes integers"),
    ({"x": {"_type": "choice", "_value": []}}, "at least one"),
    ({"x": {"_type": "choice", "_value": [{"_name": "a"}]}}, "nested: not yet"),
    ({"x": {"_type": "uniform", "_value": [0, 10**400]}}, r"of at most 2\^53"),
    ({"x": {"_type": "lognormal", "_value": [0, 200]}}, "its values overflow"),
    ({"n": {"_type": "randint", "_value": [0, 5]}}, "can propose 0, which the task refuses"),
    ({"n": {"_type": "uniform", "_value": [1, 8]}}, "which the task refuses"),
    ({"rate": {"_type": "uniform", "_value": [0.1, 2]}}, "narrow its _value"),
    ({"rate": {"_type": "normal", "_value": [0.5, 0.2]}}, "which the task refuses"),
]


@pytest.mark.parametrize(
    ("source", "complaint"), BAD, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_bad_space_is_refused_by_file_and_key(source: Any, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        Space.parse(source, Anything, "space.json")
    assert str(caught.value).startswith("space.json: ")


def test_a_whole_number_is_a_choice_of_a_fraction_too() -> None:
    (dimension,) = space("choice", 5, 10, 20).dimensions
    assert dimension.latent(10.0) == 10


def test_a_file_that_is_missing_or_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "space.json"
    with pytest.raises(UserError, match="cannot read"):
        Space.load(path, Anything)
    path.write_text('{"x": ')
    with pytest.raises(UserError, match="not valid JSON"):
        Space.load(path, Anything)
