"""What the evaluator of every task must keep, found by itself; outputs may be of any family."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from core.data.outputs import ImagePairs
from core.metrics.exam import sit
from core.params import load_task, task_summaries
from core.task import Data, Evaluator, Outputs
from tests.conftest import smallest


@dataclass(frozen=True)
class Prepared:
    """An evaluator, what it says of itself, its data, and outputs of an untrained model."""

    evaluator: Evaluator
    facts: Mapping[str, Any]
    data: Data
    outputs: Outputs


@pytest.fixture(scope="module", params=sorted(task_summaries()))
def prepared(request: pytest.FixtureRequest, domains: Path, evaluators: Path) -> Prepared:
    task = load_task(request.param)
    params = smallest(task, domains)
    data = task.load(params)
    evaluator = task.evaluator(params)
    facts = evaluator.prepare(data, evaluators, lambda line: None)
    outputs = task.build(params, data, torch.device("cpu")).outputs()
    return Prepared(evaluator, facts, data, outputs)


def test_a_score_is_finite_repeatable_and_within_its_objective(prepared: Prepared) -> None:
    score = prepared.evaluator(prepared.outputs)
    assert score == prepared.evaluator(prepared.outputs)
    assert all(math.isfinite(v) for v in (*score.parts.values(), *score.violations.values()))
    (objective, *_) = prepared.evaluator.objectives
    assert not objective.better(objective.worst, score.value)


def test_its_exam_passes_and_good_outputs_keep_every_guard(prepared: Prepared) -> None:
    exam = sit(prepared.evaluator, prepared.data)
    assert exam["passed"], [case["name"] for case in exam["cases"] if not case["passed"]]
    assert any(case["good"] and not case["broken"] for case in exam["cases"])


def test_what_it_says_of_itself_is_json(prepared: Prepared) -> None:
    assert json.loads(json.dumps(prepared.facts)) == prepared.facts
    assert "evaluator" in prepared.facts


def test_rounding_images_to_8_bit_changes_nothing(prepared: Prepared) -> None:
    outputs = prepared.outputs
    if isinstance(outputs, ImagePairs):
        rounded = replace(outputs, output=((outputs.output + 1) * 127.5).round() / 127.5 - 1)
        value = prepared.evaluator(outputs).value
        assert prepared.evaluator(rounded).value == pytest.approx(value, abs=1e-6)
