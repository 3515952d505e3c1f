"""Form: what is noise of any fineness, and what is more."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_sample_images
from torch import Tensor

from core.data.tensors import to_pixels, to_tensor
from core.metrics.painting_exam import brushed, grainy, noisy
from core.metrics.spectrum import coherence, form_gained, noise_twin, radial_spectrum
from core.metrics.style import best_recolouring


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    """Twelve pieces of scikit-learn's two photographs: 12 x 3 x 64 x 64."""
    photographs = [image[:384, :576] for image in load_sample_images().images]
    return to_tensor([
        piece[::3, ::3]
        for photograph in photographs
        for rows in np.split(photograph, 2)
        for piece in np.split(rows, 3, axis=1)
    ])  # fmt: skip


def soft_noise(images: Tensor, draw: torch.Generator) -> Tensor:
    noise = F.avg_pool2d(torch.randn(images.shape, generator=draw), 3, 1, 1)
    return (images + 0.4 * noise).clamp(-1, 1)


@pytest.mark.parametrize("add", [noisy, grainy, soft_noise])
@pytest.mark.parametrize("colours", [1.0, 0.5])
def test_noise_has_none_whatever_its_grain_and_the_colours(
    pictures: Tensor, add: Callable[[Tensor, torch.Generator], Tensor], colours: float
) -> None:
    output = add(pictures * colours, torch.Generator().manual_seed(1))
    assert form_gained(output, best_recolouring(pictures, output)) < 0.2


def test_strokes_have_it_and_what_is_left_alone_keeps_it(pictures: Tensor) -> None:
    strokes = brushed(list(to_pixels(pictures).permute(0, 2, 3, 1).numpy()), 0)
    assert form_gained(strokes, best_recolouring(pictures, strokes)) > 0.5
    assert form_gained(pictures, pictures) == pytest.approx(1)
    assert form_gained(pictures * 0.5 + 0.1, pictures * 0.5 + 0.1) == pytest.approx(1)


def test_a_twin_has_the_outputs_spectrum_and_is_the_same_each_time(pictures: Tensor) -> None:
    output = grainy(pictures, torch.Generator().manual_seed(1))
    twin = noise_twin(pictures, output)
    torch.manual_seed(5)
    assert torch.equal(twin, noise_twin(pictures, output))
    spectra = [radial_spectrum(x).mean(0) for x in (twin, output, pictures)]
    assert (spectra[0] - spectra[1]).abs().mean() < 0.3 * (spectra[2] - spectra[1]).abs().mean()


def test_coherence_by_hand() -> None:
    ramp = torch.arange(32.0).expand(1, 3, 32, 32) / 32
    assert coherence(ramp) == pytest.approx(1, abs=0.05)
    assert coherence(ramp.transpose(2, 3)) == pytest.approx(1, abs=0.05)
    torch.manual_seed(0)
    assert coherence(torch.rand(4, 3, 64, 64)) < 0.3
    assert coherence(torch.ones(1, 3, 32, 32)) == 0
