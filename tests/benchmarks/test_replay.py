"""What the replay of recorded curves promises, and that searches go through it."""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest

from benchmarks.recorded import CURVES, EPOCHS, SEEDS, SPACE, runs
from benchmarks.replay import TASK, explained, landmarks, place, recorded, scores, worth
from benchmarks.samplers import choice, reached, search
from core.search.config import PRUNERS, SAMPLERS
from core.task import OutcomeKind
from tests.conftest import ROOT

BASELINE = TASK.params().model_dump()
POINT = {**BASELINE, "lambda_cycle": 5.0, "lambda_identity": 0.0, "lr_g": 5e-4, "lr_d": 5e-4,
         "grain": 0.1}  # fmt: skip


def test_every_run_was_recorded_whole() -> None:
    lines = [json.loads(line) for line in CURVES.read_text().splitlines()]
    points = {number: values for number, _, values in runs()}
    assert sorted((c["number"], c["seed"]) for c in lines) == sorted((n, s) for n, s, _ in runs())
    for line in lines:
        assert OutcomeKind(line["outcome"]) is OutcomeKind.COMPLETED
        assert len(line["scores"]) == EPOCHS
        assert 0 < line["holdout"] < 1
        for name, value in line["point"].items():
            assert points[line["number"]][name] == pytest.approx(value)


def test_places_span_the_space() -> None:
    names = ("lambda_cycle", "lr_g", "lr_d", "grain")
    low, high = ({n: SPACE.source[n]["_value"][end] for n in names} for end in (0, 1))
    assert place({**POINT, **low}) == pytest.approx((0,) * 4)
    assert place({**POINT, **high}) == pytest.approx((1,) * 4)
    assert place(POINT)[0] == pytest.approx(np.log(5 / 3) / np.log(20 / 3))


def test_trials_have_the_noise_that_repeated_points_had() -> None:
    found = [scores(POINT, seed)[-1] for seed in range(500)]
    assert fmean(map(float, np.log(found))) == pytest.approx(np.log(worth(POINT)), abs=0.05)
    of_point: dict[int, list[float]] = {}
    for curve in recorded():
        if curve.number:
            of_point.setdefault(curve.number, []).append(float(np.log(curve.scores[-1])))
    repeated = [stdev(logs) for logs in of_point.values() if len(logs) == SEEDS]
    assert len(repeated) >= 8
    assert stdev(map(float, np.log(found))) == pytest.approx(fmean(repeated), rel=0.5)


def test_the_point_explains_last_scores_and_hardly_the_first() -> None:
    assert explained(EPOCHS) > 0.4
    assert explained(3) < 0.2


def test_the_baseline_replays_itself_and_can_be_beaten() -> None:
    median, best = landmarks()
    assert worth(BASELINE) < median < best < 0.1
    own = {curve.scores for curve in recorded() if curve.number == 0}
    assert {tuple(scores(BASELINE, seed)) for seed in range(40)} == own


def test_the_same_point_and_seed_give_the_same_curve_in_another_process() -> None:
    code = f"from benchmarks.replay import scores; print(scores({POINT!r}, 7))"
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert json.loads(printed) == pytest.approx(list(scores(POINT, 7)))
    assert scores(POINT, 7) != scores(POINT, 8)


@pytest.mark.parametrize("pruner", PRUNERS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_and_pruner_searches_for_a_budget_of_epochs(
    sampler: str, pruner: str
) -> None:
    found: dict[str, Any] = search(sampler, pruner, 0, 200)
    trials = found["trials"]
    ends = [end for _, end, _, _ in trials]
    assert [begun for begun, *_ in trials] == [0, *ends[:-1]]
    assert ends[-1] == 200
    assert trials[0][3] == worth(BASELINE)
    by_score = {score: worth for _, _, score, worth in trials if score is not None}
    assert choice(found, 200) == by_score[max(by_score)]
    assert reached(found, 1.0) == float("inf")
    assert reached(found, min(by_score.values())) <= 200


@pytest.mark.parametrize("pruner", PRUNERS)
def test_a_search_repeats_itself(pruner: str) -> None:
    assert search("tpe", pruner, 3, 300)["trials"] == search("tpe", pruner, 3, 300)["trials"]
