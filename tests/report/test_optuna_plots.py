"""Optuna's importances and plots of rebuilt trials; too little data says so."""

from __future__ import annotations

import random
import warnings
from typing import Any

import pytest

from core.report import write_report
from core.report.optuna_plots import importances, optuna_plots, rebuilt
from core.report.summary import summarize
from core.task import OutcomeKind

PLOTS = ["slice", "parallel coordinates", "contour", "distribution of scores", "timeline"]


def trials(made: Any, number: int) -> list[Any]:
    """Only `weight` matters: the nearer to its upper end, the better."""
    rng = random.Random(0)
    weights = [0.1 * 100 ** ((i + rng.random()) / number) for i in range(number)]
    return [made(w / 10, {"weight": w, "rate": rng.random() / 10}) for w in weights]


@pytest.mark.parametrize("declared", [True, False])
def test_the_parameter_that_matters_comes_first(make: Any, made: Any, declared: bool) -> None:
    study = make(trials(made, 40), **({} if declared else {"engine": "nni", "space": None}))
    shares = importances(summarize(study))
    assert list(shares) == ["weight", "rate"]
    assert shares["weight"] > 0.6
    assert sum(shares.values()) == pytest.approx(1)
    page = write_report(study).read_text()
    assert "of 40 completed trials apart" in page
    assert ("taken from the values that were tried" in page) is not declared


def test_a_trial_outside_the_space_is_left_out(make: Any, made: Any) -> None:
    outside = made(0.9, {"weight": 99.0})
    pruned = made(0.9, {"weight": 9.0}, outcome=OutcomeKind.PRUNED)
    summary = summarize(make([*trials(made, 6), outside, pruned]))
    assert len(rebuilt(summary, summary.candidates).trials) == 6


@pytest.mark.parametrize("scores", [(0.1, 0.2, 0.3), (0.5, 0.5, 0.5, 0.5, 0.5)])
def test_too_few_trials_or_scores(make: Any, made: Any, scores: tuple[float, ...]) -> None:
    study = make([made(s, {"weight": 1.0 + i}) for i, s in enumerate(scores)])
    assert importances(summarize(study)) == {}
    page = write_report(study).read_text()
    missing = "it takes 4 completed trials with" if len(scores) < 4 else "no parameter stands out"
    assert f"No parameter importances: {missing}" in page
    assert f"({len(scores)} completed trials)" in page


def test_choices_and_constants_are_taken_from_what_was_tried(make: Any, made: Any) -> None:
    params = [{"width": 64, "weight": 1.0, "rate": r} for r in ("a", "b", True, None, "a", "b")]
    study = make([made(0.1 * i, p) for i, p in enumerate(params)], engine="nni", space=None)
    summary = summarize(study)
    assert list(importances(summary)) == ["rate"]
    drawn, failed = optuna_plots(summary, {})
    assert (list(drawn), failed) == ([name for name in PLOTS if name != "contour"], [])


def test_nested_choices_lists_and_normal_kinds_are_rebuilt(make: Any, made: Any) -> None:
    space = {
        "loss": {"_type": "choice", "_value": [
            {"_name": "wgan", "rate": {"_type": "randint", "_value": [1, 6]}}, {"_name": "hinge"},
        ]},
        "layers": {"_type": "choice", "_value": [[1, 2], [3]]},
        "weight": {"_type": "lognormal", "_value": [0.0, 1.0]},
    }  # fmt: skip
    points = [("wgan", 3, [1, 2]), ("hinge", 0.001, [3]), ("wgan", 5, [3]), ("wgan", 1, [1, 2])]
    found = [
        made(0.2 * i, {"loss": loss, "rate": rate, "layers": layers, "weight": 0.5 + i},
             about={"searched": ["loss", "layers", "weight"] + ["rate"] * (loss == "wgan")})
        for i, (loss, rate, layers) in enumerate(points)
    ]  # fmt: skip
    summary = summarize(make(found, space=space))
    study = rebuilt(summary, summary.candidates)
    assert [trial.params.get("rate") for trial in study.trials] == [3, None, 5, 1]
    assert [trial.params["layers"] for trial in study.trials] == ["[1, 2]", "[3]", "[3]", "[1, 2]"]
    assert [trial.params["weight"] for trial in study.trials] == [0.5, 1.5, 2.5, 3.5]
    drawn, failed = optuna_plots(summary, {})
    assert (list(drawn), failed) == (PLOTS, [])


def test_the_page_folds_optunas_plots_and_warns_of_nothing(make: Any, made: Any) -> None:
    import matplotlib

    broken = made(0.9, {"weight": 3.0}, violations={"copying": 0.2})
    study = make([*trials(made, 8), broken, made(None, {"weight": 2.0}, OutcomeKind.FAILED)])
    before = matplotlib.get_backend()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = write_report(study).read_text()
    assert matplotlib.get_backend() == before
    section = page.split('<details class="optuna">')[1].split("</details>")[0]
    assert f"Optuna's plots: {', '.join(PLOTS)}" in section.replace("&#39;", "'")
    assert section.count("<svg") == len(PLOTS)
    assert "could not draw" not in section


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_study_with_hardly_a_trial_has_a_page(make: Any, made: Any, number: int) -> None:
    found = trials(made, number) or [made(None, {"weight": 2.0}, OutcomeKind.FAILED)]
    page = write_report(make(found)).read_text()
    assert ("<details class" in page) == (number > 0)


def test_what_optuna_cannot_draw_is_named(
    make: Any, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no <such> axis")

    monkeypatch.setattr("optuna.visualization.matplotlib.plot_slice", fail)
    page = write_report(make(trials(made, 5))).read_text()
    assert "could not draw slice: no &lt;such&gt; axis." in page
