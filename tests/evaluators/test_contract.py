"""What the evaluator of every task must keep, found by itself."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from core.data.outputs import ImagePairs
from core.metrics.exam import sit
from core.params import load_task, task_summaries
from core.task import Evaluator
from tests.conftest import smallest


@pytest.fixture(params=sorted(task_summaries()))
def judged(
    request: pytest.FixtureRequest, domains: Path, evaluators: Path
) -> tuple[Evaluator, ImagePairs, Any, Any]:
    task = load_task(request.param)
    params = smallest(task, domains)
    data = task.load(params)
    evaluator = task.evaluator(params)
    facts = evaluator.prepare(data, evaluators, lambda line: None)
    outputs = task.build(params, data, torch.device("cpu")).outputs()
    return evaluator, outputs, facts, data


def test_a_score_is_finite_repeatable_and_within_its_objective(
    judged: tuple[Evaluator, ImagePairs, Any, Any],
) -> None:
    evaluator, outputs, *_ = judged
    score = evaluator(outputs)
    assert score == evaluator(outputs)
    assert all(math.isfinite(v) for v in (*score.parts.values(), *score.violations.values()))
    (objective, *_) = evaluator.objectives
    assert not objective.better(objective.worst, score.value)


def test_its_exam_passes_and_good_outputs_keep_every_guard(
    judged: tuple[Evaluator, ImagePairs, Any, Any],
) -> None:
    evaluator, _, _, data = judged
    exam = sit(evaluator, data)
    assert exam["passed"], [case["name"] for case in exam["cases"] if not case["passed"]]
    assert any(case["good"] and not case["broken"] for case in exam["cases"])


def test_what_it_says_of_itself_is_json(judged: tuple[Evaluator, ImagePairs, Any, Any]) -> None:
    _, _, facts, _ = judged
    assert json.loads(json.dumps(facts)) == facts
    assert "evaluator" in facts


def test_rounding_to_8_bit_changes_nothing(judged: tuple[Evaluator, ImagePairs, Any, Any]) -> None:
    evaluator, outputs, *_ = judged
    rounded = ((outputs.output + 1) * 127.5).round() / 127.5 - 1
    score = evaluator(ImagePairs(outputs.source, rounded, outputs.target))
    assert score.value == pytest.approx(evaluator(outputs).value, abs=1e-6)
