"""What an image looks like in black and white."""

from __future__ import annotations

import torch
from torch import Tensor

WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R BT.601


def luminance(images: Tensor) -> Tensor:
    """N x C x H x W (C 1 or 3) to N x 1 x H x W in the same range."""
    if images.shape[1] == 1:
        return images.float()
    weights = torch.tensor(WEIGHTS).view(1, 3, 1, 1)
    return (images.float() * weights).sum(1, keepdim=True)
