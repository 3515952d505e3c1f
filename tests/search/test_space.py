from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal, Self

import nni
import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, create_model, model_validator

from core.search.distributions import KINDS, NORMAL, same
from core.search.space import Space, flatten
from core.search.space_file import read_json, single_values
from core.task import Params, UserError
from tests.search.test_space_nni import nni_draws


class Anything(Params):
    x: Any = Field(0)
    y: Any = Field(0)
    z: Any = Field(0)
    mode: Any = Field("plain")
    n: int = Field(1, ge=1, le=8)
    rate: float = Field(0.1, gt=0, le=1)


class Gan(Params):
    adversarial: Literal["lsgan", "bce", "wgan"] = Field("lsgan")
    d_steps_per_g: int = Field(1, ge=1, le=5)
    clip: float = Field(0.0, ge=0, le=1)
    lr: float = Field(2e-4, gt=0, le=1)

    @model_validator(mode="after")
    def _clipped(self) -> Self:
        if (self.adversarial == "wgan") != (self.clip > 0):
            raise ValueError("wgan clips its weights, and nothing else does")
        return self


GAN = {
    "adversarial": {"_type": "choice", "_value": [
        {"_name": "lsgan"},
        {"_name": "wgan", "d_steps_per_g": {"_type": "randint", "_value": [1, 6]},
                          "clip": {"_type": "loguniform", "_value": [0.001, 0.1]}},
        {"_name": "bce", "d_steps_per_g": {"_type": "choice", "_value": [1, 2]}},
    ]},
    "lr": {"_type": "loguniform", "_value": [1e-5, 1e-2]},
}  # fmt: skip
WGAN = {"adversarial": "wgan", "d_steps_per_g": 3, "clip": 0.01, "lr": 0.001}


def space(kind: str, *args: Any, key: str = "x") -> Space:
    return Space.parse({key: {"_type": kind, "_value": list(args)}}, Anything, "space.json")


def gan() -> Space:
    return Space.parse(GAN, Gan, "space.json")


Ask = Callable[[str, optuna.distributions.BaseDistribution], Any]


def asked(trial: optuna.Trial) -> Ask:
    """What an engine does: ask Optuna's trial."""
    return lambda name, distribution: trial._suggest(name, distribution)


def from_these(latents: Mapping[str, Any]) -> Ask:
    """An engine that knows these latents and no others."""
    return lambda name, _: latents[name]


def test_normal_kinds_invert_the_normal_distribution() -> None:
    (dimension,) = space("normal", 2.0, 0.5).dimensions
    assert dimension.value(0.5) == pytest.approx(2.0)
    assert dimension.value(NormalDist().cdf(1.0)) == pytest.approx(2.5)
    (dimension,) = space("qlognormal", 1.0, 1.0, 0.5).dimensions
    assert dimension.value(0.5) == 2.5  # e = 2.718 on a grid of halves


# Any space whatever: nested or not, over fields named a to h.

SCALARS = st.one_of(st.integers(), st.text(max_size=3), st.booleans(), st.none(), st.floats(-9, 9))
ITEMS = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.text(), SCALARS))
NAMES = st.one_of(st.text(max_size=3), st.integers(0, 9), st.sampled_from(["a/b", "a=b/c", "%2F"]))


@st.composite
def leaves(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(KINDS))
    if kind == "choice":
        args = draw(st.lists(ITEMS.filter(lambda i: "_name" not in str(i)), min_size=1, max_size=4))
        return {"_type": kind, "_value": args}
    if kind == "randint":
        low = draw(st.integers(-50, 50))
        args = [low, low + draw(st.integers(1, 50))]
    elif "normal" in kind:
        args = [draw(st.floats(-3, 3)), draw(st.floats(0.1, 2))]
    else:
        low = draw(st.floats(1e-3, 1e3) if "log" in kind else st.floats(-1e3, 1e3))
        args = [low, low + draw(st.floats(0.1, 100))]
    return {"_type": kind, "_value": args + [draw(st.floats(0.01, 5))] * kind.startswith("q")}


@st.composite
def spaces(draw: st.DrawFn, fields: str = "abcdefgh", depth: int = 2) -> dict[str, Any]:
    """Branches of one choice may search the same fields; nothing else may."""
    left, source = list(fields), {}
    for _ in range(draw(st.integers(1, 3))):
        if not left:
            break
        name = left.pop(0)
        inner = left[: draw(st.integers(0, len(left)))]
        if depth and draw(st.booleans()):
            left = left[len(inner) :]
            names = draw(st.lists(NAMES, min_size=1, max_size=3, unique_by=str))
            source[name] = {"_type": "choice", "_value": [
                {"_name": n, **(draw(spaces("".join(inner), depth - 1)) if inner else {})}
                for n in names
            ]}  # fmt: skip
        else:
            source[name] = draw(leaves())
    return source


def supported(spec: Mapping[str, Any], value: Any) -> bool:
    """Whether NNI could hand this value to a trial; written apart from the code under test."""
    kind, args = spec["_type"], spec["_value"]
    if kind == "choice":
        return any(
            repr(value) == repr(a["_name"] if isinstance(a, dict) and "_name" in a else a)
            for a in args
        )
    if kind == "randint":
        return type(value) is int and args[0] <= value < args[1]
    if type(value) is not float or not math.isfinite(value):
        return False
    if "uniform" in kind and not args[0] <= value <= args[1]:
        return False
    on_grid = not kind.startswith("q") or round(value / args[2]) * args[2] == value
    return on_grid or ("uniform" in kind and value in args[:2])


def searched(source: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The declarations that count at these values, in NNI's order."""
    found = {}
    for key, spec in source.items():
        found[key] = spec
        for item in spec["_value"] if spec["_type"] == "choice" else []:
            if not isinstance(item, dict) or "_name" not in item:
                continue
            if repr(item["_name"]) == repr(values[key]):
                found |= searched({k: v for k, v in item.items() if k != "_name"}, values)
    return found


FIELDS = "abcdefgh"
UNSET = "not set"


def strictly(source: Mapping[str, Any]) -> type[Params]:
    """Params that accept whole points of this space, and nothing else."""

    class Strict(Params):
        @model_validator(mode="after")
        def _in_the_space(self) -> Self:
            values = {n: getattr(self, n) for n in FIELDS if getattr(self, n) != UNSET}
            specs = searched(source, values)
            assert specs.keys() == values.keys()
            assert all(supported(spec, values[name]) for name, spec in specs.items())
            return self

    fields: dict[str, Any] = dict.fromkeys(FIELDS, (Any, UNSET))
    return create_model("Stricter", __base__=Strict, **fields)


def studies(seed: int) -> list[optuna.Study]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tpe = optuna.samplers.TPESampler(multivariate=True, group=True, n_startup_trials=2, seed=seed)
    samplers = [optuna.samplers.RandomSampler(seed=seed), tpe]
    return [optuna.create_study(sampler=sampler) for sampler in samplers]


experimental = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@experimental
@settings(max_examples=100, deadline=None)
@given(spaces(), st.integers(0, 2**31 - 1))
def test_both_engines_stay_in_any_space_and_can_be_told_its_points(
    source: dict[str, Any], seed: int
) -> None:
    params = strictly(source)
    one = Space.parse(source, params, "space.json")
    drawn = []
    for study in studies(seed):
        for number in range(4):
            trial = study.ask()
            drawn.append(one.draw(asked(trial)))
            assert one.values(trial.params) == drawn[-1]
            study.tell(trial, float(number % 3))
    for handed in nni_draws(source, 4, seed):
        through = nni.load(nni.dump(handed))  # as a trial receives it
        assert one.nested(flatten(through)) == handed
        drawn.append(flatten(through))
    for values in drawn:
        params(**values)
        assert list(values) == list(searched(source, values))
        assert repr(json.loads(json.dumps(values))) == repr(values)
        assert flatten(one.nested(values)) == values == flatten(values)
        latents, kept = one.latents(values)
        assert one.draw(from_these(latents), kept) == values
        kinds = {name: spec["_type"] for name, spec in searched(source, values).items()}
        again = one.draw(from_these(latents))
        assert {name for name in values if again[name] != values[name]} == kept.keys()
        assert all(kinds[name] in NORMAL for name in kept)
        assert all(math.isclose(again[name], kept[name], rel_tol=1e-6) for name in kept)


@experimental
@settings(max_examples=150, deadline=None)
@given(st.data(), spaces(), st.integers(0, 2**31 - 1))
def test_any_values_that_are_given_come_back(
    data: st.DataObject, source: dict[str, Any], seed: int
) -> None:
    """Also where they lie outside, are not searched where they stand, or are some of the fields."""
    one = Space.parse(source, strictly(source), "space.json")
    sampler = np.random.default_rng(seed)
    inside = [flatten(v) for v in nni_draws(source, 3, int(sampler.integers(2**31)))]
    values = {n: [v[n] for v in inside if n in v] for n in one.fields}
    fields = st.sampled_from(one.fields)
    given = {
        name: data.draw(st.one_of(st.sampled_from(values[name] or [7]), ITEMS))
        for name in data.draw(st.lists(fields, unique=True))
    }
    latents, kept = one.latents(given)
    study = studies(seed)[0]
    study.enqueue_trial(latents, {"kept": kept})
    trial = study.ask()
    result = one.draw(asked(trial), trial.user_attrs["kept"])
    assert all(same(result[name], given[name]) for name in given)


def test_a_nested_choice_is_its_name_and_its_inner_keys_are_fields() -> None:
    one = gan()
    assert one.conditional
    assert one.fields == ("adversarial", "d_steps_per_g", "clip", "lr")
    assert [d.name for d in one.dimensions] == ["adversarial", "lr"]
    handed = {
        "adversarial": {"_name": "wgan", "d_steps_per_g": 3, "clip": 0.01}, "lr": 0.001,
    }  # fmt: skip
    assert flatten(handed) == WGAN
    assert flatten(WGAN) == WGAN
    assert one.nested(WGAN) == handed
    assert one.nested({"adversarial": "lsgan"}) == {"adversarial": {"_name": "lsgan"}}
    left = {"clip": 0.5, "epochs": 3}
    assert one.nested({**left, "adversarial": "bce"}) == {"adversarial": {"_name": "bce"}, **left}
    assert not space("uniform", 0, 1).conditional


def test_only_what_is_searched_is_asked_for() -> None:
    told = {
        "adversarial": "bce", "adversarial=wgan/d_steps_per_g": 4, "adversarial=wgan/clip": 0.01,
        "adversarial=bce/d_steps_per_g": 2, "lr": 0.001,
    }  # fmt: skip
    names: list[str] = []

    def ask(name: str, distribution: optuna.distributions.BaseDistribution) -> Any:
        names.append(name)
        return told[name]

    values = gan().draw(ask)
    assert names == ["adversarial", "adversarial=bce/d_steps_per_g", "lr"]
    assert list(values.items()) == [("adversarial", "bce"), ("d_steps_per_g", 2), ("lr", 0.001)]
    assert gan().values(told) == values
    assert gan().values({"lr": 0.001, "adversarial=wgan/clip": 0.01}) == {"lr": 0.001}


@pytest.mark.parametrize(
    ("values", "latents", "kept"),
    [
        (WGAN, {"adversarial": "wgan", "adversarial=wgan/d_steps_per_g": 3,
                "adversarial=wgan/clip": 0.01, "lr": 0.001}, {}),
        (Gan().model_dump(), {"adversarial": "lsgan", "lr": 2e-4}, {}),
        ({"adversarial": "lsgan", "d_steps_per_g": 2}, {"adversarial": "lsgan"},
         {"d_steps_per_g": 2}),
        ({"adversarial": "bce", "d_steps_per_g": 5}, {"adversarial": "bce"},
         {"d_steps_per_g": 5}),
        ({"d_steps_per_g": 2}, {"adversarial=wgan/d_steps_per_g": 2,
                                "adversarial=bce/d_steps_per_g": 2}, {"d_steps_per_g": 2}),
        ({"adversarial": "hinge", "clip": 0.01, "lr": 1.0, "epochs": 3}, {},
         {"adversarial": "hinge", "clip": 0.01, "lr": 1.0}),
    ],
)  # fmt: skip
def test_what_has_no_latent_is_kept(
    values: dict[str, Any], latents: dict[str, Any], kept: dict[str, Any]
) -> None:
    assert gan().latents(values) == (latents, kept)


def test_an_outside_value_is_not_asked_for_and_opens_no_branch() -> None:
    def ask(name: str, distribution: optuna.distributions.BaseDistribution) -> Any:
        assert name == "lr"
        return 0.002

    assert gan().draw(ask, {"adversarial": "hinge", "clip": 0.5}) == {
        "adversarial": "hinge", "lr": 0.002, "clip": 0.5,
    }  # fmt: skip


def test_a_value_is_kept_to_its_last_digit_and_the_sampler_still_learns() -> None:
    one = space("lognormal", -9, 2)
    latents, kept = one.latents({"x": 2e-4})
    assert kept == {"x": 2e-4}
    (dimension,) = one.dimensions
    assert dimension.value(latents["x"]) == pytest.approx(2e-4)
    assert one.draw(from_these(latents), kept) == {"x": 2e-4}


def test_a_rounded_values_latent_is_the_middle_of_all_that_is_rounded_to_it() -> None:
    """So that a sampler does not take a common value for one at the edge."""
    (dimension,) = space("qlognormal", -1, 1, 1).dimensions
    share = NormalDist(-1, 1).cdf(math.log(0.5))  # of the draws that become 0
    assert dimension.latent(0) == pytest.approx(share / 2)


def test_equal_choices_are_told_apart_and_weigh_as_often_as_they_stand() -> None:
    (dimension,) = space("choice", 1, True, 1.0, True).dimensions
    assert not dimension.plain
    assert [dimension.value(i) for i in range(4)] == [1, True, 1.0, True]
    assert dimension.latent(True) == 1


@pytest.mark.parametrize(
    ("kind", "args", "outside"),
    [("uniform", [0.0, 1.0], 1.5), ("choice", ["a", "b"], "c"), ("randint", [0, 4], 4),
     ("loguniform", [0.1, 1.0], 0.0), ("quniform", [0.0, 1.0, 0.5], 0.3), ("choice", [1, 2], True),
     ("uniform", [0.0, 1.0], "0.5"), ("uniform", [0.0, 1.0], None), ("randint", [0, 4], 1.5),
     ("randint", [0, 2**53], 1.5), ("randint", [0, 4], "1"), ("uniform", [0.0, 1.0], math.nan),
     ("quniform", [0.0, 1.0, 0.5], math.inf), ("uniform", [0.0, 1.0], 10**400),
     ("quniform", [0.0, 1e-9, 1e-10], 3.3e-10), ("quniform", [0.2, 1.0, 0.25], 0.2),
     ("lognormal", [0.0, 1.0], 0.0), ("lognormal", [0.0, 1.0], -1.0), ("normal", [0.0, 1.0], 6.1),
     ("qnormal", [0.0, 1.0, 0.5], 0.7), ("choice", [[1, 2]], [1, True])],
)  # fmt: skip
def test_a_value_outside_has_no_latent(kind: str, args: list[Any], outside: Any) -> None:
    (dimension,) = space(kind, *args).dimensions
    assert not dimension.holds(outside)
    with pytest.raises(ValueError, match="not in"):
        dimension.latent(outside)


@pytest.mark.parametrize(
    ("kind", "args", "inside"),
    [("choice", [5, 10, 20], 10.0), ("choice", [[8, 16], [32]], (32,)), ("randint", [0, 4], 3.0),
     ("uniform", [0, 1], 1), ("uniform", [0, 1], np.float64(0.25)), ("quniform", [0, 1, 0.1], 0.3),
     ("quniform", [0.1, 1.0, 0.25], 0.1), ("quniform", [0.0, 0.3, 0.1], 0.1 + 0.2),
     ("qlognormal", [0.0, 1.0, 1.0], 0), ("qnormal", [0.0, 1.0, 0.01], -5.99),
     ("qnormal", [0.0, 1.0, 100.0], 0.0), ("normal", [0.0, 1.0], 5.99)],
)  # fmt: skip
def test_a_value_inside_has_one(kind: str, args: list[Any], inside: Any) -> None:
    (dimension,) = space(kind, *args).dimensions
    value = dimension.value(dimension.latent(inside))
    assert same(value, inside) or math.isclose(value, inside, rel_tol=1e-7)


def names(*items: Any) -> dict[str, Any]:
    return {"_type": "choice", "_value": list(items)}


UNIT = {"_type": "uniform", "_value": [0, 1]}
DEEP: dict[str, Any] = {"x": UNIT}
for _ in range(40):
    DEEP = {"x": names({"_name": "a", **DEEP})}

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
    ({"x": {"_type": "uniform", "_value": [0, 10**400]}}, r"of at most 2\^53"),
    ({"x": {"_type": "lognormal", "_value": [0, 200]}}, "its values overflow"),
    ({"x": {"_type": "quniform", "_value": [0, 1, 1e-320]}}, "its values overflow"),
    ({"n": {"_type": "randint", "_value": [0, 5]}}, "can propose 0, which the task refuses"),
    ({"n": {"_type": "uniform", "_value": [1, 8]}}, "which the task refuses"),
    ({"n": {"_type": "quniform", "_value": [1, 3, 0.5]}}, "can propose 1.5, which the task"),
    ({"rate": {"_type": "uniform", "_value": [0.1, 2]}}, "narrow its _value"),
    ({"rate": {"_type": "normal", "_value": [0.5, 0.2]}}, "which the task refuses"),
    ({"x": names("a", {"_name": "b"})}, 'one choice has a "_name", so all must, but not "a"'),
    ({"x": names({"_name": ["a"]})}, "is a string, a number or a boolean, not"),
    ({"x": names({"_name": "a"}, {"_name": "a", "y": UNIT})}, "two choices are named 'a'"),
    ({"x": names({"_name": 1}, {"_name": "1"})}, "two choices are named '1'"),
    ({"x": names({"_name": "a", "y": 3})}, "'x=a/y': must be"),
    ({"x": names({"_name": "a", "lr": UNIT})}, "'x=a/lr': no such parameter"),
    ({"x": names({"_name": "a", "n": UNIT})}, "'x=a/n': can propose 0.0, which the task refuses"),
    ({"x": names({"_name": "a", "y": UNIT}), "y": UNIT},
     "'y' is searched twice at once, as 'x=a/y' and as 'y'; keep one"),
    ({"x": names({"_name": "a", "x": UNIT})}, "as 'x' and as 'x=a/x'"),
    ({"x": names({"_name": "a", "z": UNIT}), "y": names({"_name": "b", "z": UNIT})},
     "as 'x=a/z' and as 'y=b/z'"),
    ({"mode": names({"_name": "a", "x": names({"_name": "b", "y": UNIT}), "y": UNIT})},
     "as 'mode=a/x=b/y' and as 'mode=a/y'"),
    (DEEP, "nested more than 32 deep"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "complaint"), BAD, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_bad_space_is_refused_by_file_and_key(source: Any, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        Space.parse(source, Anything, "space.json")
    assert str(caught.value).startswith("space.json: ")


def test_a_field_may_be_searched_in_several_branches_of_one_choice() -> None:
    source = {
        "mode": names(
            {"_name": "a", "x": UNIT},
            {"_name": "b", "y": names({"_name": 1, "x": UNIT}, {"_name": 2, "x": UNIT})},
        )
    }
    one = Space.parse(source, Anything, "space.json")
    assert [d.key for d, _ in one.everywhere] == [
        "mode", "mode=a/x", "mode=b/y", "mode=b/y=1/x", "mode=b/y=2/x",
    ]  # fmt: skip


def test_latents_have_names_of_their_own_whatever_the_branches_are_called() -> None:
    inner = names({"_name": "b", "y": UNIT})
    source = {"mode": names({"_name": "a/x=b", "y": UNIT}, {"_name": "a", "x": inner})}
    one = Space.parse(source, Anything, "space.json")
    assert len({d.key for d, _ in one.everywhere}) == len(one.everywhere)


def test_values_are_tried_with_those_they_are_proposed_with() -> None:
    """The task refuses a clip of 0.01 with lsgan, and wgan without one."""
    flat = {"adversarial": names("lsgan", "wgan"), "lr": UNIT}
    with pytest.raises(UserError, match=r'"lr": 0.1} together, which the task refuses \(wgan clip'):
        Space.parse({**flat, "lr": {"_type": "uniform", "_value": [0.1, 1]}}, Gan, "space.json")
    source = {**GAN, "adversarial": names(*GAN["adversarial"]["_value"][:1], {"_name": "wgan"})}
    with pytest.raises(UserError, match="narrow one of them"):
        Space.parse(source, Gan, "space.json")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [('{"x": ', "not valid JSON"), ('{"x": {"_type": "choice", "_value": [NaN]}}', "NaN is no"),
     ('{"x": {"_type": "choice", "_value": [1]}, "x": {}}', "the key 'x' stands twice"),
     ("[" * 100_000, "not valid JSON")],
)  # fmt: skip
def test_a_file_that_is_no_json_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "space.json"
    with pytest.raises(UserError, match=r"space\.json: No such file.*; name a text file that can"):
        Space.load(path, Anything)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=complaint):
        Space.load(path, Anything)


def test_a_file_may_have_any_encoding_that_says_which_it_is(tmp_path: Path) -> None:
    path, text = tmp_path / "space.json", '{"x": {"_type": "choice", "_value": ["印象", "派"]}}'
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_text(text, encoding=encoding)
        assert read_json(path)["x"]["_value"] == ["印象", "派"]
    path.write_text(text, encoding="gbk")
    with pytest.raises(UserError, match=r"space\.json: not UTF-8 from byte \d+ on; save the file"):
        read_json(path)


def test_parameters_that_set_a_field_twice_are_refused() -> None:
    with pytest.raises(UserError, match="set 'x' twice"):
        flatten({"mode": {"_name": "a", "x": 1}, "x": 2})


def test_a_trial_of_nni_needs_no_optuna_for_it() -> None:
    code = (
        "import sys, core.search.space; assert not {'optuna', 'torch', 'nni'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("kind", "args", "single"),
    [
        ("quniform", [1, 4, 8], True),
        ("quniform", [1, 8, 8], False),
        ("qloguniform", [2, 3, 10], True),
        ("qnormal", [0, 0.1, 5], True),
        ("qnormal", [0, 1, 5], False),
        ("randint", [3, 4], True),
        ("randint", [3, 5], False),
        ("uniform", [0.0, 1e-9], False),
        ("choice", ["a"], True),
        ("choice", ["a", "a"], True),
        ("choice", [1, True], False),
    ],
)
def test_a_dimension_with_one_value_is_told_from_others(
    kind: str, args: list[Any], single: bool
) -> None:
    source = {"x": {"_type": kind, "_value": args}, "y": {"_type": "uniform", "_value": [0, 1]}}
    space = Space.parse(source, Anything, "f.json")
    lines = single_values(space.dimensions, "f.json")
    assert len(lines) == single
    assert all(line.startswith("f.json: 'x' has one possible value, ") for line in lines)
    assert all(f"widen its _value {json.dumps(args)} to search it" in line for line in lines)


def test_a_space_without_freedom_is_refused_and_a_nested_one_is_seen_through() -> None:
    one = {"_type": "choice", "_value": [1]}

    def lines(*branches: dict[str, Any]) -> list[str]:
        source = {"mode": {"_type": "choice", "_value": list(branches)}, "y": one}
        return single_values(Space.parse(source, Anything, "f.json").dimensions, "f.json")

    nested = {"_name": "a", "x": one, "rate": {"_type": "uniform", "_value": [0.1, 0.2]}}
    assert [line.split("'")[1] for line in lines(nested)] == ["mode", "mode=a/x", "y"]
    assert [line.split("'")[1] for line in lines({"_name": "a"}, {"_name": "b"})] == ["y"]
    message = "f.json: has one point, as each of 'mode', 'mode=a/x', 'y' has one possible value"
    with pytest.raises(UserError, match=message):
        lines({"_name": "a", "x": one})
