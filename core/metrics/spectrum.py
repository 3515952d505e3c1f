"""How much an image holds of each fineness: its radially averaged power spectrum.

A generator's upsampling and a perturbation both show there (Durall et al. 2020, "Watch your
up-convolution", arXiv 2003.01826).
"""

from __future__ import annotations

import torch
from torch import Tensor

from core.metrics.luminance import luminance

RINGS = 16
ALIKE = 0.5  # deviation of log power
EMPTY = 1e-6  # power below what rounding to 8 bit leaves


def radial_spectrum(images: Tensor) -> Tensor:
    """Log power of N x C x H x W square images in [-1, 1], in 16 rings up to Nyquist: N x 16."""
    grey = luminance(images)[:, 0]
    side = grey.shape[-1]
    window = torch.hann_window(side, periodic=False)
    grey = (grey - grey.mean((1, 2), keepdim=True)) * window[:, None] * window
    power = torch.fft.fft2(grey, norm="ortho").abs().square()
    ring = ring_of(side).flatten()
    sums = torch.zeros(len(images), RINGS + 1).index_add_(1, ring, power.flatten(1))
    counts = torch.bincount(ring, minlength=RINGS + 1)
    return (sums / counts + EMPTY).log()[:, :RINGS]


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
