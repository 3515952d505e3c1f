from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.models.postprocess import GlyphPostprocessing, median, postprocess
from core.task import UserError


def test_a_median_removes_a_speck_and_keeps_an_edge() -> None:
    page = torch.ones(1, 1, 9, 9)
    page[..., :4] = -1.0
    speck = page.clone()
    speck[0, 0, 4, 7] = -1.0
    assert torch.equal(median(speck), page)


def test_a_median_is_the_one_of_the_neighbourhood() -> None:
    torch.manual_seed(0)
    image = torch.rand(2, 3, 6, 6)
    assert median(image)[1, 2, 3, 3] == image[1, 2, 2:5, 2:5].flatten().median()


def test_a_threshold_leaves_black_and_white() -> None:
    assert postprocess(torch.tensor([[[[-0.2, 0.0, 0.9]]]]), "threshold", "").tolist() == [
        [[[-1.0, 1.0, 1.0]]]
    ]


def test_nothing_is_done_unasked() -> None:
    images = torch.rand(1, 1, 4, 4)
    assert postprocess(images, "none", "") is images


@pytest.mark.parametrize("values", [{"post": "denoise"}, {"denoiser": "somewhere"}])
def test_a_denoiser_and_the_wish_for_it_go_together(values: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="go together"):
        GlyphPostprocessing(**values)  # type: ignore[arg-type]


def test_a_folder_without_a_denoiser_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no glyph_denoise trial"):
        postprocess(torch.ones(1, 1, 32, 32), "denoise", str(tmp_path))
