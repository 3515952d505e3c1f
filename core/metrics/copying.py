"""Whether outputs are copies of training images."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

SIDE = 16
COPY = 0.95


def thumbnails(images: Tensor) -> Tensor:
    """N x C x H x W to N unit vectors: 16 x 16 pixels less their mean, whatever the contrast."""
    small = F.adaptive_avg_pool2d(images.float(), SIDE).flatten(1)
    return F.normalize(small - small.mean(1, keepdim=True), eps=1e-4)


def copied_share(output: Tensor, training: Tensor) -> float:
    """Share of N outputs like a training image (`training`: M thumbnails), mirrored or not: 0 to 1.

    Like: the correlation of their thumbnails is above 0.95.
    """
    like = [(thumbnails(images) @ training.T).amax(1) for images in (output, output.flip(3))]
    return float((like[0].maximum(like[1]) > COPY).float().mean())
