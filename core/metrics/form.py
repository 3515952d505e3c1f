"""Is what an output has beyond its recoloured input more than noise?

Noise of the right fineness over a colour filter looks painted to a network that has learned how
much texture a painting has. So each output has a twin: its recoloured input with as much power at
every fineness, all of it noise. Where the output's edges run just as its twin's, it has no form.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from core.metrics.luminance import luminance
from core.metrics.spectrum import RINGS, ring_of

WINDOW = 8  # pixels
SMALLEST = 32  # pixels a side
SLIGHT = 0.005  # of coherence


def form_gained(output: Tensor, recoloured: Tensor) -> float:
    """How far the outputs' edges are from their twins', over how far noise alone takes them.

    Both N x 3 x H x H in [-1, 1]; >= 0: near 0 for the recoloured input with noise of any
    fineness, about 1 where nothing is added, above 1 for brush strokes.
    """
    twin = noise_twin(recoloured, output)
    apart = noise = SLIGHT
    while output.shape[-1] >= SMALLEST:
        told, expected, bare = (coherence(x) for x in (output, twin, recoloured))
        apart += abs(told - expected)
        noise += abs(bare - expected)
        output, twin, recoloured = (F.avg_pool2d(x, 2) for x in (output, twin, recoloured))
    return apart / noise


def noise_twin(images: Tensor, output: Tensor) -> Tensor:
    """Images with noise added until each colour has the output's power in each ring of spectrum.

    Both N x 3 x H x H in [-1, 1]; a ring in which an image has more already stays as it is. The
    same images give the same twin.
    """
    ring = ring_of(images.shape[-1]).flatten()
    counts = torch.bincount(ring, minlength=RINGS + 1).clamp(min=1)

    def power(x: Tensor) -> Tensor:
        found = torch.fft.fft2(x.float(), norm="ortho").abs().square().flatten(2)
        return torch.zeros(*x.shape[:2], RINGS + 1).index_add_(2, ring, found) / counts

    lacking = (power(output) - power(images)).clamp(min=0).sqrt()[..., ring].view_as(images)
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
