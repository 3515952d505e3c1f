"""The painting evaluator of the embedded sample: its exam, and outputs of CycleGANs that failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from core.data.images import UnpairedImages, load_unpaired
from core.data.outputs import ImagePairs
from core.data.tensors import to_pixels, to_tensor
from core.metrics.exam import sit
from core.metrics.painting_exam import brushed
from core.task import Score
from evaluators.painting import PaintingEvaluator

SHEET = Path(__file__).parent.parent / "fixtures" / "cyclegan_outputs.png"
TILE, EPOCHS, STARTS = 64, (1, 2, 4, 8, 16), ("published", "identity")
ROWS = [f"{start} start, {epochs} epochs" for start in STARTS for epochs in EPOCHS]


@pytest.fixture(scope="module")
def data() -> UnpairedImages:
    return load_unpaired("sample", TILE, "resize")


@pytest.fixture(scope="module")
def evaluator(data: UnpairedImages, evaluators: Path) -> PaintingEvaluator:
    evaluator = PaintingEvaluator("A", "auto", "cpu")
    evaluator.prepare(data, evaluators, lambda line: None)
    return evaluator


@pytest.fixture(scope="module")
def exam(evaluator: PaintingEvaluator, data: UnpairedImages) -> dict[str, Any]:
    return sit(evaluator, data)


@pytest.fixture(scope="module")
def rows() -> dict[str, Tensor]:
    """Eight tiles a row: photographs, and what each generator made of them."""
    sheet = np.asarray(Image.open(SHEET))
    tiles = sheet.reshape(len(ROWS) + 1, TILE, -1, TILE, 3).swapaxes(1, 2)
    return dict(zip(["photographs", *ROWS], map(to_tensor, tiles), strict=True))


@pytest.fixture(scope="module")
def strokes(evaluator: PaintingEvaluator, rows: dict[str, Tensor]) -> Score:
    """What the same photographs score when they are painted with brush strokes."""
    source = rows["photographs"]
    pixels = list(to_pixels(source).permute(0, 2, 3, 1).numpy())
    return evaluator(ImagePairs(source, brushed(pixels, 0)))


@pytest.mark.parametrize("row", ["photographs", *ROWS])
def test_what_a_failed_generator_made_is_far_from_strokes(
    evaluator: PaintingEvaluator, rows: dict[str, Tensor], strokes: Score, row: str
) -> None:
    score = evaluator(ImagePairs(rows["photographs"], rows[row]))
    assert score.value <= evaluator.margin * strokes.value


def test_no_way_to_cheat_comes_near(exam: dict[str, Any]) -> None:
    assert exam["margin"] == 0.25
    assert exam["reference"] > 0.2
    failed = [case for case in exam["cases"] if not case["passed"]]
    assert not failed
    assert exam["passed"]


def test_the_score_rises_along_both_ladders(exam: dict[str, Any]) -> None:
    ladders = {ladder["name"]: ladder for ladder in exam["ladders"]}
    assert all(ladder["passed"] for ladder in ladders.values())
    more = ladders["the more is painted"]["steps"]
    assert list(more) == [
        "the photograph itself",
        "painted over by 25%",
        "painted over by 50%",
        "painted over by 75%",
        "painted with brush strokes",
    ]
    assert list(more.values()) == sorted(more.values())
    cleaner = ladders["the cleaner the strokes"]["steps"]
    assert list(cleaner) == [
        "strokes under a grid",
        "blurred strokes",
        "painted with brush strokes",
    ]
