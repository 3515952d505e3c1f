from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.data.function import load_sine
from core.data.outputs import Predictions
from core.metrics.exam import sit
from core.task import NotFinite, Score
from evaluators.regression import OBJECTIVE, RegressionEvaluator


def score(output: list[float], target: list[float]) -> Score:
    predicted, wanted = (torch.tensor(values)[:, None] for values in (output, target))
    return RegressionEvaluator()(Predictions(torch.zeros(len(target), 1), predicted, wanted))


def test_values_worked_out_by_hand() -> None:
    scored = score([1.0, 0.0], [0.0, 2.0])
    assert scored.value == scored.parts["mse"] == (1 + 4) / 2
    assert scored.parts["max_error"] == 2
    assert scored.parts["r2"] == 1 - 2.5 / 1
    assert score([0.0, 2.0], [0.0, 2.0]).parts == {"mse": 0, "max_error": 0, "r2": 1}


def test_an_enormous_error_is_no_worse_than_the_worst() -> None:
    scored = score([1e6, 0.0], [0.0, 0.0])
    assert scored.value == OBJECTIVE.worst
    assert scored.parts["mse"] == 5e11
    with pytest.raises(NotFinite):
        score([float("nan"), 0.0], [0.0, 0.0])


def test_bad_predictions_are_more_than_twice_as_bad_as_good_ones(tmp_path: Path) -> None:
    evaluator, data = RegressionEvaluator(), load_sine()
    evaluator.prepare(data, tmp_path, lambda line: None)
    exam = sit(evaluator, data)
    assert exam["passed"]
    bad = {case["name"]: case["value"] for case in exam["cases"] if not case["good"]}
    assert {"zeros", "the mean", "a straight line", "another point's target", "noise"} < set(bad)
    assert min(bad.values()) > 100 * exam["reference"]
