"""What the judge of every task must keep, found by itself."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from core.catalog import load_task, task_summaries
from core.exam import sit
from core.task import Evaluator, Samples
from tests.conftest import smallest


@pytest.fixture(params=sorted(task_summaries()))
def judged(
    request: pytest.FixtureRequest, domains: Path, judges: Path
) -> tuple[Evaluator, Samples, Any, Any]:
    task = load_task(request.param)
    params = smallest(task, domains)
    data = task.load(params)
    evaluator = task.evaluator(params)
    facts = evaluator.prepare(data, judges, lambda line: None)
    samples = task.build(params, data, torch.device("cpu")).samples()
    return evaluator, samples, facts, data


def test_a_score_is_finite_repeatable_and_within_its_objective(
    judged: tuple[Evaluator, Samples, Any, Any],
) -> None:
    evaluator, samples, *_ = judged
    score = evaluator(samples)
    assert score == evaluator(samples)
    assert all(math.isfinite(v) for v in (*score.parts.values(), *score.violations.values()))
    (objective, *_) = evaluator.objectives
    assert not objective.better(objective.worst, score.value)


def test_its_exam_passes_and_good_outputs_keep_every_guard(
    judged: tuple[Evaluator, Samples, Any, Any],
) -> None:
    evaluator, _, _, data = judged
    exam = sit(evaluator, data)
    assert exam["passed"], [case["name"] for case in exam["cases"] if not case["passed"]]
    assert any(case["good"] and not case["broken"] for case in exam["cases"])


def test_what_it_says_of_itself_is_json(judged: tuple[Evaluator, Samples, Any, Any]) -> None:
    _, _, facts, _ = judged
    assert json.loads(json.dumps(facts)) == facts
    assert "evaluator" in facts


def test_rounding_to_8_bit_changes_nothing(judged: tuple[Evaluator, Samples, Any, Any]) -> None:
    evaluator, samples, *_ = judged
    rounded = ((samples.output + 1) * 127.5).round() / 127.5 - 1
    score = evaluator(Samples(samples.source, rounded, samples.target))
    assert score.value == pytest.approx(evaluator(samples).value, abs=1e-6)
