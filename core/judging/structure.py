"""How much of an image's structure a translation keeps."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

WINDOW = 7
OTHERS = (1, 2, 3, 5, 8)
FLAT = 1e-3


def structural_agreement(output: Tensor, source: Tensor) -> float:
    """Structure shared with the own source, above that shared with others: 0 to 1.

    1 for an identity mapping, about 0 for pictures unrelated to their sources: with s the mean
    structure term of SSIM, (s(own) - s(others)) / (1 - s(others)), cut off below 0. Both
    N x C x H x W in [-1, 1], H and W >= 7. A single image has no others: s(own) is returned.
    """
    own = float(structure(output, source).mean())
    shifts = [k for k in OTHERS if k < len(source)]
    if not shifts:
        return max(own, 0.0)
    others = [float(structure(output, source.roll(k, 0)).mean()) for k in shifts]
    chance = max(sum(others) / len(others), 0.0)
    return max((own - chance) / max(1 - chance, 1e-6), 0.0)


def structure(a: Tensor, b: Tensor) -> Tensor:
    """The structure term of SSIM (Wang et al. 2004), on luminance: N values in [-1, 1].

    The correlation of a and b in each 7 x 7 window, so neither local brightness nor contrast
    counts; where both are flat it is 1, where one is, 0.
    """
    x, y = a.float().mean(1, keepdim=True), b.float().mean(1, keepdim=True)

    def mean(t: Tensor) -> Tensor:
        return F.avg_pool2d(t, WINDOW, stride=1)

    var_x = (mean(x * x) - mean(x).square()).clamp(min=0)
    var_y = (mean(y * y) - mean(y).square()).clamp(min=0)
    covariance = mean(x * y) - mean(x) * mean(y)
    return ((covariance + FLAT) / ((var_x * var_y).sqrt() + FLAT)).mean((1, 2, 3))
