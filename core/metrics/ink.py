"""How two glyphs' ink compares. Ink x = (1 - y) / 2 is 0 on white paper and 1 in black."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def ink(images: Tensor) -> Tensor:
    """N x C x H x W in [-1, 1], white +1, to N x H x W in [0, 1], 1 black."""
    return (1 - images.float().mean(1)) / 2


def iou(output: Tensor, target: Tensor) -> Tensor:
    """Intersection over union of what is darker than mid-grey: N x H x W to N values in [0, 1]."""
    a, b = output > 0.5, target > 0.5
    union = (a | b).sum((1, 2))
    return (a & b).sum((1, 2)) / union.clamp(min=1)


def tolerant_f1(output: Tensor, target: Tensor) -> Tensor:
    """F1 of ink pixels, where one a pixel off still counts: N x H x W to N values in [0, 1]."""
    a, b = (output > 0.5).float(), (target > 0.5).float()
    near_a, near_b = (F.max_pool2d(m[:, None], 3, 1, 1)[:, 0] for m in (a, b))
    precision = (a * near_b).sum((1, 2)) / a.sum((1, 2)).clamp(min=1)
    recall = (b * near_a).sum((1, 2)) / b.sum((1, 2)).clamp(min=1)
    return 2 * precision * recall / (precision + recall).clamp(min=1e-9)


def ink_ratio(output: Tensor, target: Tensor) -> float:
    """The output's ink over the target's, the median of the images: >= 0, 1 is right."""
    return float((output.sum((1, 2)) / target.sum((1, 2)).clamp(min=1e-6)).median())


def darkness(images: Tensor) -> float:
    """How dark the ink is where there is any, sum x^2 / sum x, in [0, 1]; 1 without grey."""
    return float(images.square().sum() / images.sum().clamp(min=1e-6))
