from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from core.metrics.similarity import orientations, structure_kept


@pytest.fixture
def pictures() -> torch.Tensor:
    torch.manual_seed(0)
    return F.interpolate(torch.randn(12, 3, 12, 12), (48, 48), mode="bicubic").clamp(-1, 1)


def test_it_ignores_brightness_and_contrast(pictures: torch.Tensor) -> None:
    assert structure_kept(pictures, pictures) == (pytest.approx(1, abs=1e-4), 1)
    content, recall = structure_kept(0.5 * pictures - 0.2, pictures)
    assert content > 0.95
    assert recall == 1


def test_unrelated_shuffled_and_constant_outputs_have_none(pictures: torch.Tensor) -> None:
    for output in (pictures.roll(4, 0), pictures[:1].expand_as(pictures), 0 * pictures):
        content, recall = structure_kept(output, pictures)
        assert content < 0.1
        assert recall < 0.1


def test_it_falls_as_structure_is_lost(pictures: torch.Tensor) -> None:
    noise = torch.randn_like(pictures)
    values = [structure_kept(pictures + s * noise, pictures)[0] for s in (0, 0.1, 0.3, 1, 3)]
    assert values == sorted(values, reverse=True)
    assert values[0] - values[-1] > 0.8


def test_an_orientation_is_where_the_edge_lies(pictures: torch.Tensor) -> None:
    x = torch.linspace(-1, 1, 64)
    upright = x.expand(1, 3, 64, 64)
    lying = upright.transpose(2, 3)
    assert (orientations(upright) @ orientations(upright.flip(3)).T).item() > 0.99
    assert (orientations(upright) @ orientations(lying).T).item() < 0.1
    assert orientations(torch.zeros(1, 3, 64, 64)).abs().max() == 0


def test_a_single_image_has_no_others(pictures: torch.Tensor) -> None:
    assert structure_kept(pictures[:1], pictures[:1]) == (pytest.approx(1, abs=1e-3), 1)


def test_inputs_that_are_the_same_picture_find_each_other(pictures: torch.Tensor) -> None:
    twice = pictures[:3].repeat(2, 1, 1, 1)
    assert structure_kept(twice, twice)[1] == 1
