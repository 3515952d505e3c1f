"""What can be had by colours alone: the best affine recolouring."""

from __future__ import annotations

import torch
from torch import Tensor

RIDGE = 1e-3


def best_recolouring(source: Tensor, output: Tensor) -> Tensor:
    """Each source with the 3 x 3 colour matrix and offset that bring it nearest to its output.

    Least squares over the pixels of each pair; N x 3 x H x W in [-1, 1] to the same.
    """
    pixels = source.float().flatten(2).transpose(1, 2)
    pixels = torch.cat([pixels, torch.ones_like(pixels[..., :1])], 2)
    wanted = output.float().flatten(2).transpose(1, 2)
    normal = pixels.transpose(1, 2) @ pixels + RIDGE * torch.eye(pixels.shape[2])
    matrix = torch.linalg.solve(normal, pixels.transpose(1, 2) @ wanted)
    recoloured: Tensor = (pixels @ matrix).transpose(1, 2).reshape(source.shape)
    return recoloured.clamp(-1, 1)
