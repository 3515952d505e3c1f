"""Importances of parameters: the one that matters comes first, and too little data says so."""

from __future__ import annotations

import random
from typing import Any

import pytest

from core.report.importance import importance
from core.report.summary import summarize
from core.task import OutcomeKind


def trials(made: Any, number: int) -> list[Any]:
    """Only `weight` matters: the nearer to its upper end, the better."""
    rng = random.Random(0)
    weights = [0.1 * 100 ** ((i + rng.random()) / number) for i in range(number)]
    return [made(w / 10, {"weight": w, "rate": rng.random() / 10}) for w in weights]


@pytest.mark.parametrize("declared", [True, False])
def test_the_parameter_that_matters_comes_first(make: Any, made: Any, declared: bool) -> None:
    study = make(trials(made, 40), **({} if declared else {"engine": "nni", "space": None}))
    found = importance(summarize(study))
    assert list(found.shares) == ["weight", "rate"]
    assert found.shares["weight"] > 0.6
    assert sum(found.shares.values()) == pytest.approx(1)
    assert (found.trials, found.top, found.missing) == (40, 4, "")
    assert found.inferred == (() if declared else ("rate", "weight"))


def test_a_trial_outside_the_space_is_left_out(make: Any, made: Any) -> None:
    outside = made(0.9, {"weight": 99.0})
    pruned = made(0.9, {"weight": 9.0}, outcome=OutcomeKind.PRUNED)
    assert importance(summarize(make([*trials(made, 6), outside, pruned]))).trials == 6


@pytest.mark.parametrize("scores", [(0.1, 0.2, 0.3), (0.5, 0.5, 0.5, 0.5, 0.5)])
def test_too_few_trials_or_scores(make: Any, made: Any, scores: tuple[float, ...]) -> None:
    study = make([made(s, {"weight": 1.0 + i}) for i, s in enumerate(scores)])
    found = importance(summarize(study))
    assert found.shares == {}
    assert "It takes 4 completed trials with different scores" in found.missing
    assert f"{len(scores)} trials with" in found.missing


def test_choices_and_constants_are_taken_from_what_was_tried(make: Any, made: Any) -> None:
    params = [{"width": 64, "weight": 1.0, "rate": r} for r in ("a", "b", True, None, "a", "b")]
    study = make([made(0.1 * i, p) for i, p in enumerate(params)], engine="nni", space=None)
    assert list(importance(summarize(study)).shares) == ["rate"]
