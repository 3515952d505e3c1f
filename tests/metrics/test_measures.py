"""What the painting evaluator measures beside its networks, by hand-made examples."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.data.tensors import to_pixels
from core.metrics.painting_exam import adversarial, brushed, partly, recoloured_as
from core.metrics.similarity import (
    best_recolouring,
    breadth_and_forms,
    copied_share,
    frechet_distance,
    kernel_distance,
    mean_distance,
    radial_spectrum,
    spectral_misfit,
    thumbnails,
)


@pytest.fixture
def pictures() -> Tensor:
    torch.manual_seed(0)
    coarse = F.interpolate(torch.randn(12, 3, 6, 6), (48, 48), mode="bicubic")
    return (0.4 * coarse + 0.05 * torch.randn(12, 3, 48, 48)).clamp(-1, 1)


def test_the_mean_distance_by_hand() -> None:
    assert mean_distance(torch.tensor([[0.0], [1.0], [5.0]])) == pytest.approx(10 / 3)
    assert mean_distance(torch.zeros(1, 4)) == 0


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_distances_tell_one_distribution_from_another(
    distance: Callable[[Tensor, Tensor], float],
) -> None:
    torch.manual_seed(0)
    x, same, other = torch.randn(60, 8), torch.randn(50, 8), torch.randn(50, 8) + 1
    assert abs(distance(x, same)) < 0.2 * distance(x, other)


def test_a_recolouring_is_undone_and_a_new_texture_is_not(pictures: Tensor) -> None:
    matrix = torch.tensor([[0.2, 0.7, 0.0], [0.5, 0.1, 0.1], [0.0, 0.2, 0.6]])
    recoloured = torch.einsum("ij,njhw->nihw", matrix, pictures) + 0.05
    found = best_recolouring(pictures, recoloured)
    assert (found - recoloured).abs().mean() < 1e-3
    textured = pictures + 0.3 * torch.sin(torch.arange(48.0))
    assert (best_recolouring(pictures, textured) - textured).abs().mean() > 0.1


def test_noise_has_a_quarter_of_breadth_and_a_recolouring_all(pictures: Tensor) -> None:
    assert breadth_and_forms(pictures, pictures)[0] == pytest.approx(1, abs=1e-3)
    assert breadth_and_forms(0.5 * pictures + 0.1, pictures)[0] == pytest.approx(1, abs=1e-3)
    fine, coarse = torch.randn(12, 3, 48, 48), torch.randn(12, 3, 12, 12)
    coarse = F.interpolate(coarse, (48, 48), mode="nearest")
    assert breadth_and_forms(pictures + 0.2 * fine, pictures)[0] == pytest.approx(0.25, abs=0.03)
    assert breadth_and_forms(pictures + 0.2 * coarse, pictures)[0] > 0.9


def test_another_picture_and_sliding_colours_have_forms_and_texture_has_none(
    pictures: Tensor,
) -> None:
    other = 0.5 * pictures + 0.5 * pictures.roll(1, 0)
    sliding = pictures + torch.linspace(-0.3, 0.3, 48)
    texture = pictures + 0.2 * torch.randn_like(pictures)
    found = [breadth_and_forms(x, pictures)[1] for x in (other, sliding, texture)]
    assert min(found[:2]) > 0.5
    assert found[2] < 0.1


def test_the_spectrum_shows_noise_and_blur_and_no_mirror_image(pictures: Tensor) -> None:
    spectra = radial_spectrum(pictures)
    assert spectra.shape == (12, 16)
    assert spectral_misfit(pictures, spectra) == pytest.approx(0, abs=1e-4)
    assert spectral_misfit(pictures.flip(3), spectra) < 0.1
    assert spectral_misfit(pictures + 0.3 * torch.randn_like(pictures), spectra) > 4
    assert spectral_misfit(F.avg_pool2d(pictures, 5, 1, 2), spectra) > 4
    assert torch.isfinite(radial_spectrum(torch.ones(1, 3, 48, 48))).all()


def test_copies_are_found_mirrored_and_recoloured_a_little(pictures: Tensor) -> None:
    training = thumbnails(pictures[:6])
    assert copied_share(pictures[:6], training) == 1
    assert copied_share(0.8 * pictures[:6].flip(3) + 0.1, training) == 1
    assert copied_share(pictures[6:], training) == 0
    assert copied_share(pictures, training) == 0.5


def test_a_colour_filter_gives_the_wanted_moments(pictures: Tensor) -> None:
    wanted = 0.3 * pictures.flip(1) + torch.tensor([0.2, 0.0, -0.3]).view(1, 3, 1, 1)
    filtered = recoloured_as(pictures, wanted)
    assert torch.allclose(filtered.mean((0, 2, 3)), wanted.mean((0, 2, 3)), atol=0.02)
    assert torch.allclose(filtered.std((0, 2, 3)), wanted.std((0, 2, 3)), atol=0.02)


def test_an_attack_convinces_both_heads_and_hardly_changes_the_picture(pictures: Tensor) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 48 * 48, 2))
    attacked = adversarial(pictures, net)  # type: ignore[arg-type]
    assert (attacked - pictures).abs().max() <= 8 / 127.5 + 1e-6
    assert attacked.abs().max() <= 1
    assert (net(attacked) > net(pictures) + 0.3).all()


def test_strokes_cover_the_picture_and_follow_it(pictures: Tensor) -> None:
    pixels = list(to_pixels(pictures).permute(0, 2, 3, 1).numpy())
    strokes = brushed(pixels, 0)
    assert strokes.shape == pictures.shape
    assert torch.equal(strokes, brushed(pixels, 0))
    assert not torch.equal(strokes, brushed(pixels, 1))
    small = torch.stack([F.avg_pool2d(x.mean(1), 6).flatten() for x in (strokes, pictures)])
    assert torch.corrcoef(small)[0, 1] > 0.6


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_a_share_of_the_area_is_painted_over(pictures: Tensor, share: float) -> None:
    painted = partly(pictures, torch.ones_like(pictures), share, torch.Generator().manual_seed(0))
    changed = (painted == 1).all(1)
    assert (changed.float().mean((1, 2)) - share).abs().max() < 0.02
    kept = ~changed[:, None].expand_as(pictures)
    assert torch.equal(painted[kept], pictures[kept])
