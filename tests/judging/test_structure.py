from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from core.judging.structure import structural_agreement, structure


@pytest.fixture
def pictures() -> torch.Tensor:
    torch.manual_seed(0)
    return F.interpolate(torch.randn(12, 3, 12, 12), (48, 48), mode="bicubic").clamp(-1, 1)


def test_it_ignores_brightness_contrast_and_hue(pictures: torch.Tensor) -> None:
    recoloured = (0.5 * pictures + 0.2)[:, [1, 2, 0]]
    assert structural_agreement(pictures, pictures) == pytest.approx(1, abs=1e-4)
    assert structural_agreement(recoloured, pictures) > 0.97


def test_unrelated_shuffled_and_constant_outputs_have_none(pictures: torch.Tensor) -> None:
    for output in (pictures.roll(4, 0), pictures[:1].expand_as(pictures), 0 * pictures):
        assert structural_agreement(output, pictures) < 0.1


def test_it_falls_as_structure_is_lost(pictures: torch.Tensor) -> None:
    noise = torch.randn_like(pictures)
    values = [structural_agreement(pictures + s * noise, pictures) for s in (0, 0.1, 0.3, 1, 3)]
    assert values == sorted(values, reverse=True)
    assert values[0] - values[-1] > 0.8


def test_the_structure_term_is_a_correlation(pictures: torch.Tensor) -> None:
    assert structure(pictures, -pictures).max() < -0.9
    flat = torch.zeros(1, 3, 16, 16)
    assert structure(flat, flat) == 1
    assert 0 <= structural_agreement(pictures[:1], pictures[:1]) <= 1.001
