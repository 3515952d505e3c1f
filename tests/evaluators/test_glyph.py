from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from core.data.glyphs import GlyphParams, Glyphs, load_glyphs
from core.data.outputs import ImagePairs
from core.device import seed_everything
from core.metrics.ink import RECIPE
from core.models.pix2pix import PairedParams, PairedTraining
from core.task import Score
from evaluators.glyph import GlyphEvaluator, _classes, rank

PARAMS: dict[str, Any] = {
    "size": 32,
    "source_font": "DejaVu Sans",
    "target_font": "DejaVu Serif",
    "characters": "ascii+greek+cyrillic",
    "device": "cpu",
}


@pytest.fixture(scope="module")
def data() -> Glyphs:
    return load_glyphs(GlyphParams(**PARAMS))


@pytest.fixture(scope="module")
def evaluator(data: Glyphs, evaluators: Path) -> GlyphEvaluator:
    evaluator = GlyphEvaluator("cpu")
    evaluator.prepare(data, evaluators, lambda line: None)
    return evaluator


@pytest.fixture(scope="module")
def trained(data: Glyphs) -> ImagePairs:
    """Outputs of a real model, trained for some seconds."""
    params = PairedParams(**PARAMS, skip="concat", width=16, lr_g=2e-3, dropout=0.0, batch_size=20)
    seed_everything(0)
    model = PairedTraining(params, data, torch.device("cpu"))
    for _ in range(6):
        for batch in model.batches():
            model.step(batch)
    return model.outputs()


def score_of(evaluator: GlyphEvaluator, outputs: ImagePairs, output: torch.Tensor) -> Score:
    return evaluator(ImagePairs(outputs.source, output, outputs.target))


def test_every_way_to_cheat_ranks_below_a_trained_model(
    evaluator: GlyphEvaluator, trained: ImagePairs, data: Glyphs
) -> None:
    model = evaluator(trained)
    assert not rank(model)[0]
    for case in evaluator.exam(data):
        if not case.good:
            assert rank(evaluator(case.outputs)) > rank(model), case.name


def test_a_blank_page_scores_exactly_1_and_breaks_a_guard(
    evaluator: GlyphEvaluator, trained: ImagePairs
) -> None:
    blank = score_of(evaluator, trained, torch.ones_like(trained.output))
    assert blank.value == 1.0
    assert blank.violations["ink"] > 0
    assert trained.target is not None
    for i in range(0, len(trained.target), 7):
        one = ImagePairs(*(t[i : i + 1] for t in (trained.source, trained.output, trained.target)))
        assert score_of(evaluator, one, torch.ones_like(one.output)).value == 1.0


def test_the_value_alone_would_prefer_a_faded_copy_and_the_guards_do_not(
    evaluator: GlyphEvaluator, trained: ImagePairs
) -> None:
    assert trained.target is not None
    faded = score_of(evaluator, trained, 1 - (1 - trained.target) / 2)
    assert faded.value == pytest.approx(0.5, abs=0.01)
    assert faded.violations["pale"] > 0


def test_the_target_itself_is_perfect_and_read(
    evaluator: GlyphEvaluator, trained: ImagePairs
) -> None:
    assert trained.target is not None
    perfect = score_of(evaluator, trained, trained.target)
    assert perfect.value == 0
    for part in ("iou", "f1", "ssim", "ink", "darkness"):
        assert perfect.parts[part] == pytest.approx(1)
    assert perfect.parts["recognised"] > 0.8
    swapped = score_of(evaluator, trained, trained.target.roll(1, 0))
    assert swapped.parts["recognised"] < 0.1
    assert swapped.violations["illegible"] > 0
    assert not any(v > 0 for v in perfect.violations.values())


def test_the_value_alone_would_prefer_missing_strokes_and_the_guards_do_not(
    evaluator: GlyphEvaluator, trained: ImagePairs
) -> None:
    """Half of each character, perfectly drawn, beats a legible one a pixel off."""
    assert trained.target is not None
    half = trained.target.clone()
    half[..., : half.shape[-2] // 2, :] = 1.0
    shifted = score_of(evaluator, trained, trained.target.roll(1, 3))
    torn = score_of(evaluator, trained, half)
    assert torn.value < shifted.value
    assert torn.violations["illegible"] > 0 > shifted.violations["illegible"]
    assert rank(shifted) < rank(torn)


def test_a_shifted_glyph_is_harsh_on_the_value_and_still_read(
    evaluator: GlyphEvaluator, trained: ImagePairs
) -> None:
    assert trained.target is not None
    shifted = score_of(evaluator, trained, trained.target.roll(1, 3))
    assert shifted.value > 0.2
    assert shifted.parts["f1"] > 0.99
    assert shifted.parts["recognised"] > 0.8


def test_three_channels_are_scored_as_one(evaluator: GlyphEvaluator, trained: ImagePairs) -> None:
    assert trained.target is not None
    thrice = [t.repeat(1, 3, 1, 1) for t in (trained.source, trained.output, trained.target)]
    assert evaluator(ImagePairs(*thrice)).parts == pytest.approx(evaluator(trained).parts, abs=1e-5)


def test_it_is_trained_once_and_mended_when_damaged(
    data: Glyphs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPE, "steps", [3, 3])
    said: list[str] = []
    first = GlyphEvaluator("cpu").prepare(data, tmp_path, said.append)
    assert GlyphEvaluator("cpu").prepare(data, tmp_path, said.append) == first
    assert sum("training" in line for line in said) == 1
    (kept,) = tmp_path.glob("glyph-*/weights.pt")
    kept.write_bytes(kept.read_bytes()[:100])
    again = GlyphEvaluator("cpu").prepare(data, tmp_path, said.append)
    assert sum("training" in line for line in said) == 2
    assert {k: v for k, v in again.items() if k != "seconds"} == {
        k: v for k, v in first.items() if k != "seconds"
    }


def test_letters_that_look_alike_in_the_target_font_are_one_class() -> None:
    data = load_glyphs(GlyphParams(**PARAMS))
    twins = replace(data, target=data.target[[*range(len(data.target) - 1), 0]])
    classes, labels = _classes(twins)
    assert labels[-1] == labels[0]
    assert len(classes) == len({glyph.tobytes() for glyph in data.target[:-1]})
