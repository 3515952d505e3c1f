"""How much power images have at each fineness, and whether what an output adds is only noise.

A generator's upsampling and a perturbation both show in the radially averaged power spectrum
(Durall et al. 2020, "Watch your up-convolution", arXiv 2003.01826). But noise of the right fineness
over a colour filter looks painted to a network that has learned how much texture a painting has.
So each output has a twin: its recoloured input with as much power at every fineness, all of it
noise. Where the output's edges run just as its twin's, it has no form.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from core.metrics.similarity import luminance

RINGS = 16
ALIKE = 0.5  # deviation of log power
EMPTY = 1e-6  # power below what rounding to 8 bit leaves
WINDOW = 8  # pixels
SMALLEST = 32  # pixels a side
SLIGHT = 0.005  # of coherence


def radial_spectrum(images: Tensor) -> Tensor:
    """Log power of N x C x H x W square images in [-1, 1], in 16 rings up to Nyquist: N x 16."""
    grey = luminance(images)[:, 0]
    side = grey.shape[-1]
    window = torch.hann_window(side, periodic=False)
    grey = (grey - grey.mean((1, 2), keepdim=True)) * window[:, None] * window
    return (ring_power(grey) + EMPTY).log()[:, :RINGS]


def ring_power(images: Tensor) -> Tensor:
    """The mean power of ... x H x H images in each ring of their spectrum: ... x 17."""
    ring = ring_of(images.shape[-1]).flatten()
    power = torch.fft.fft2(images.float(), norm="ortho").abs().square().flatten(-2)
    sums = torch.zeros(*power.shape[:-1], RINGS + 1).index_add_(-1, ring, power)
    return sums / torch.bincount(ring, minlength=RINGS + 1).clamp(min=1)


def ring_of(side: int) -> Tensor:
    """The ring of each frequency of a side x side transform; 16 is the corners beyond Nyquist."""
    frequency = torch.fft.fftfreq(side)
    radius = torch.hypot(frequency[:, None], frequency)
    return (radius * 2 * RINGS).long().clamp(max=RINGS)


def spectral_misfit(output: Tensor, spectra: Tensor) -> float:
    """How far the outputs' mean spectrum is from where single images of `spectra` (M x 16) lie.

    The largest of the rings' differences in their standard deviations over the M images (at least
    0.5, that a set of much alike images does not shut out its like): >= 0, below 1 for a typical
    set.
    """
    spread = spectra.std(0).clamp(min=ALIKE)
    return float(((radial_spectrum(output).mean(0) - spectra.mean(0)) / spread).abs().max())


def form_gained(output: Tensor, recoloured: Tensor) -> float:
    """How far the outputs' edges are from their twins', over how far noise alone takes them.

    Both N x 3 x H x H in [-1, 1]; >= 0: near 0 for the recoloured input with noise of any
    fineness, about 1 where nothing is added, above 1 for brush strokes.
    """
    twin = noise_twin(recoloured, output)
    apart = noise = SLIGHT
    while output.shape[-1] >= SMALLEST:
        actual, expected, bare = (coherence(x) for x in (output, twin, recoloured))
        apart += abs(actual - expected)
        noise += abs(bare - expected)
        output, twin, recoloured = (F.avg_pool2d(x, 2) for x in (output, twin, recoloured))
    return apart / noise


def noise_twin(images: Tensor, output: Tensor) -> Tensor:
    """Images with noise added until each colour has the output's power in each ring of spectrum.

    Both N x 3 x H x H in [-1, 1]; a ring in which an image has more already stays as it is. The
    same images give the same twin.
    """
    lacking = (ring_power(output) - ring_power(images)).clamp(min=0).sqrt()
    lacking = lacking[..., ring_of(images.shape[-1])]
    white = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    noise: Tensor = torch.fft.ifft2(torch.fft.fft2(white) * lacking).real
    return (images + noise).clamp(-1, 1)


def coherence(images: Tensor) -> float:
    """How much the gradients of 8 x 8 windows of N x 3 x H x W images agree: 0 (not) to 1.

    The anisotropy of the structure tensor (Bigun and Granlund 1987), the windows' mean.
    """
    grey = luminance(images)
    across = grey[:, :, 1:-1, 2:] - grey[:, :, 1:-1, :-2]
    down = grey[:, :, 2:, 1:-1] - grey[:, :, :-2, 1:-1]
    difference = F.avg_pool2d(across.square() - down.square(), WINDOW)
    product = F.avg_pool2d(2 * across * down, WINDOW)
    energy = F.avg_pool2d(across.square() + down.square(), WINDOW)
    return float((torch.hypot(difference, product) / (energy + 1e-4)).mean())
