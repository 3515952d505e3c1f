"""What the painting evaluator measures beside its networks, by hand-made examples."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from core.metrics.painting_exam import (
    adversarial,
    kuwahara,
    patchwork,
    posterised,
    recoloured_as,
)
from core.metrics.similarity import (
    copied_share,
    frechet_distance,
    kernel_distance,
    mean_distance,
    median_distance,
    squared_mmd,
    thumbnails,
)
from core.metrics.spectrum import radial_spectrum, spectral_misfit
from core.metrics.style import best_recolouring


@pytest.fixture
def pictures() -> torch.Tensor:
    torch.manual_seed(0)
    coarse = F.interpolate(torch.randn(12, 3, 6, 6), (48, 48), mode="bicubic")
    return (0.4 * coarse + 0.05 * torch.randn(12, 3, 48, 48)).clamp(-1, 1)


def test_the_squared_mmd_by_hand() -> None:
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [2.0]])
    k = [math.exp(-(d**2) / 2) for d in (0, 1, 2)]
    wanted = k[1] + k[2] - 2 * (k[0] + k[2] + k[1] + k[1]) / 4
    assert squared_mmd(x, y, 1.0) == pytest.approx(wanted, abs=1e-6)
    assert median_distance(torch.tensor([[0.0], [1.0], [5.0]])) == 4
    assert mean_distance(torch.tensor([[0.0], [1.0], [5.0]])) == pytest.approx(10 / 3)
    assert mean_distance(torch.zeros(1, 4)) == 0


def test_distances_tell_one_distribution_from_another() -> None:
    torch.manual_seed(0)
    x, same, other = torch.randn(60, 8), torch.randn(50, 8), torch.randn(50, 8) + 1
    bandwidth = median_distance(torch.cat([same, other]))
    for distance in (
        lambda a, b: squared_mmd(a, b, bandwidth),
        frechet_distance,
        kernel_distance,
    ):
        assert abs(distance(x, same)) < 0.2 * distance(x, other)


def test_a_recolouring_is_undone_and_a_new_texture_is_not(pictures: torch.Tensor) -> None:
    matrix = torch.tensor([[0.2, 0.7, 0.0], [0.5, 0.1, 0.1], [0.0, 0.2, 0.6]])
    recoloured = torch.einsum("ij,njhw->nihw", matrix, pictures) + 0.05
    found = best_recolouring(pictures, recoloured)
    assert (found - recoloured).abs().mean() < 1e-3
    textured = pictures + 0.3 * torch.sin(torch.arange(48.0))
    assert (best_recolouring(pictures, textured) - textured).abs().mean() > 0.1


def test_the_spectrum_shows_noise_and_blur_and_no_mirror_image(pictures: torch.Tensor) -> None:
    spectra = radial_spectrum(pictures)
    assert spectra.shape == (12, 16)
    assert spectral_misfit(pictures, spectra) == pytest.approx(0, abs=1e-4)
    assert spectral_misfit(pictures.flip(3), spectra) < 0.1
    assert spectral_misfit(pictures + 0.3 * torch.randn_like(pictures), spectra) > 4
    assert spectral_misfit(F.avg_pool2d(pictures, 5, 1, 2), spectra) > 4
    assert torch.isfinite(radial_spectrum(torch.ones(1, 3, 48, 48))).all()


def test_copies_are_found_mirrored_and_recoloured_a_little(pictures: torch.Tensor) -> None:
    training = thumbnails(pictures[:6])
    assert copied_share(pictures[:6], training) == 1
    assert copied_share(0.8 * pictures[:6].flip(3) + 0.1, training) == 1
    assert copied_share(pictures[6:], training) == 0
    assert copied_share(pictures, training) == 0.5


def test_a_colour_filter_gives_the_wanted_moments(pictures: torch.Tensor) -> None:
    wanted = 0.3 * pictures.flip(1) + torch.tensor([0.2, 0.0, -0.3]).view(1, 3, 1, 1)
    made = recoloured_as(pictures, wanted)
    assert torch.allclose(made.mean((0, 2, 3)), wanted.mean((0, 2, 3)), atol=0.02)
    assert torch.allclose(made.std((0, 2, 3)), wanted.std((0, 2, 3)), atol=0.02)


def test_kuwahara_keeps_an_edge_and_calms_what_lies_beside_it() -> None:
    torch.manual_seed(0)
    step = torch.ones(1, 3, 32, 32)
    step[..., :16] = -1
    noisy = 0.8 * step + 0.1 * torch.randn(1, 3, 32, 32)
    calm = kuwahara(noisy)
    for column in (15, 16):
        assert abs(calm[..., column].mean() - noisy[..., column].mean()) < 0.1
    assert calm[..., :12].std() < 0.6 * noisy[..., :12].std()
    assert len(posterised(noisy).unique()) <= 4


def test_an_attack_changes_the_verdict_and_hardly_the_picture(pictures: torch.Tensor) -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 48 * 48, 2))
    attacked = adversarial(pictures, net, torch.device("cpu"))
    assert (attacked - pictures).abs().max() <= 8 / 127.5 + 1e-6

    def margin(images: torch.Tensor) -> torch.Tensor:
        logits = net(images)
        return logits[:, 1] - logits[:, 0]

    assert (margin(attacked) > margin(pictures) + 0.5).all()


def test_a_patchwork_has_the_inputs_layout_in_the_others_pieces(pictures: torch.Tensor) -> None:
    stripes = torch.sin(torch.arange(48.0) * 1.5)
    striped = torch.stack([0.5 * stripes.expand(3, 48, 48) + level for level in (-0.5, 0, 0.5)])
    grey = pictures.mean(1, keepdim=True).expand_as(pictures)
    made = patchwork(grey, striped, torch.Generator().manual_seed(0))
    assert made.shape == grey.shape
    small, wanted = (F.avg_pool2d(x.mean(1), 12).flatten() for x in (made, grey))
    assert torch.corrcoef(torch.stack([small, wanted]))[0, 1] > 0.8
    assert made.diff(dim=3).abs().mean() > 2 * made.diff(dim=2).abs().mean()
    odd = patchwork(grey[..., :45, :45], striped[..., :45, :45], torch.Generator())
    assert odd.shape == (12, 3, 45, 45)
