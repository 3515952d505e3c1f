from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from core.data.digits import DigitParams, LabelledImages, load_digits
from core.data.outputs import Generated
from core.metrics import digits as measure
from core.metrics.similarity import kernel_distance
from evaluators.digits import DigitEvaluator


@pytest.fixture(scope="module")
def data() -> LabelledImages:
    return load_digits(DigitParams())


@pytest.fixture(scope="module")
def evaluator(evaluators: Path, data: LabelledImages) -> DigitEvaluator:
    evaluator = DigitEvaluator("cpu")
    facts = evaluator.prepare(data, evaluators, lambda line: None)
    assert facts["accuracy"] > 0.97
    assert not facts["weak"]
    return evaluator


def held_out(data: LabelledImages) -> tuple[Tensor, Tensor]:
    return data.tensors(data.validation)


def test_held_out_digits_have_the_best_score(
    evaluator: DigitEvaluator, data: LabelledImages
) -> None:
    score = evaluator(Generated(held_out(data)[0]))
    assert score.value == pytest.approx(1, abs=0.02)
    assert score.parts["classes"] == 10
    assert score.parts["balance"] > 0.99
    assert score.parts["diversity"] == pytest.approx(1)
    assert score.parts["inception_score"] > 9
    assert not score.broken


def test_a_class_that_is_missing_costs_the_more_the_more_are(
    evaluator: DigitEvaluator, data: LabelledImages
) -> None:
    images, labels = held_out(data)
    scores = [evaluator(Generated(images[labels >= k])) for k in range(6)]
    values = [score.value for score in scores]
    assert values == sorted(values, reverse=True)
    assert 0.3 < values[1] / values[0] < 0.75
    assert [score.parts["classes"] for score in scores] == [10, 9, 8, 7, 6, 5]


def test_what_is_learned_by_heart_breaks_a_guard(
    evaluator: DigitEvaluator, data: LabelledImages
) -> None:
    copies = evaluator(Generated(data.tensors(data.train[:400])[0]))
    assert copies.broken == ["copied"]
    assert copies.parts["nearest"] < 0.01


def test_the_class_that_was_asked_for_is_looked_for(
    evaluator: DigitEvaluator, data: LabelledImages
) -> None:
    images, labels = held_out(data)
    assert evaluator(Generated(images, labels)).parts["right_class"] > 0.97
    assert evaluator(Generated(images, labels.roll(1))).parts["right_class"] < 0.3
    assert "right_class" not in evaluator(Generated(images)).parts


def test_a_data_set_of_copies_is_scored_all_the_same(
    evaluators: Path, data: LabelledImages
) -> None:
    """Every held-out image is a training image, too: its distance to the nearest one is 0."""
    twice = replace(data, validation=data.train[:200])
    evaluator = DigitEvaluator("cpu")
    evaluator.prepare(twice, evaluators, lambda line: None)
    assert evaluator(Generated(held_out(twice)[0])).value > 0.9


def test_inception_score_and_balance_worked_out_by_hand() -> None:
    sure = torch.eye(4).repeat(5, 1)
    assert measure.inception_score(sure) == pytest.approx(4, rel=1e-4)
    assert measure.inception_score(torch.full((8, 4), 0.25)) == pytest.approx(1)
    assert measure.class_balance(torch.tensor([0, 1, 2, 3]), 4) == (4, pytest.approx(1))
    assert measure.class_balance(torch.tensor([2, 2, 2]), 4) == (1, pytest.approx(0))


def test_kid_of_unequal_numbers_is_still_about_0_for_the_same_images() -> None:
    random = torch.Generator().manual_seed(0)
    many, few = (torch.randn(n, 8, generator=random) for n in (1200, 300))
    assert abs(kernel_distance(many, few)) < 0.1
    assert kernel_distance(many + 3, few) > 1


def test_a_sheet_shows_a_hundred_images_ten_in_a_row() -> None:
    images = torch.linspace(-1, 1, 1000).view(1000, 1, 1, 1).expand(-1, 1, 4, 4)
    (sheet,) = Generated(images).pictures()["output"]
    assert sheet.shape == (1, 40, 40)
    assert sheet[0, 0, 0] == -1
    assert torch.equal(sheet[0, ::4, ::4].flatten(), images[:100, 0, 0, 0])
