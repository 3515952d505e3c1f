"""How much of its own input's structure a translation keeps, and of nobody else's.

Histograms of gradient orientations (Dalal and Triggs 2005, "Histograms of oriented gradients for
human detection") tell where edges run and in which direction, and nothing of colour, contrast or
the texture between them: a painter may change these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from core.metrics.luminance import luminance

SIDE = 64
CELLS = 8
ORIENTATIONS = 9
FAINT = 0.02  # edge strength, of 2, below which a cell counts as flat


@dataclass(frozen=True)
class Kept:
    """`content`: own structure above that of others, 0 to 1. `recall`: R@1, 0 to 1."""

    content: float
    recall: float


def structure_kept(output: Tensor, source: Tensor) -> Kept:
    """Compare N outputs with their N sources, both N x C x H x W in [-1, 1], N > 0.

    With s the cosine similarity of two images' histograms, the content is (own - other) / (1 -
    other), cut off below 0, of the means of s over each output and its own source, and over each
    and every other one's. An identity mapping has 1, outputs unrelated to their inputs about 0.
    R@1 is the share of outputs whose own source is the likest of all (of equal ones, those with
    the same source count as its own). A single image has no others: its content is s, its R@1 1.
    """
    similar = orientations(output) @ orientations(source).T
    n = len(similar)
    own = float(similar.diagonal().mean())
    if n == 1:
        return Kept(max(own, 0.0), 1.0)
    other = max((float(similar.sum()) - own * n) / (n * (n - 1)), 0.0)
    found = similar.diagonal() >= similar.max(1).values - 1e-6
    informed = similar.amax(1) - similar.amin(1) > 1e-4  # a flat output is as like to all
    return Kept(
        max((own - other) / max(1 - other, 1e-6), 0.0), float((found & informed).float().mean())
    )


def orientations(images: Tensor) -> Tensor:
    """N x C x H x W in [-1, 1] to N unit vectors: 8 x 8 cells of 9 orientations, less their mean.

    A flat image is the zero vector.
    """
    grey = luminance(images)
    if min(grey.shape[2:]) > SIDE:
        grey = F.interpolate(grey, (SIDE, SIDE), mode="area")
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2])[:, 0]
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1])[:, 0]
    strength = torch.hypot(across, down)
    angle = torch.atan2(down, across) / math.pi % 1 * ORIENTATIONS
    lower = angle.floor()
    planes = torch.zeros(len(grey), ORIENTATIONS, *strength.shape[1:])
    for step, share in ((0, 1 - (angle - lower)), (1, angle - lower)):
        which = (lower.long() + step) % ORIENTATIONS
        planes.scatter_add_(1, which[:, None], (strength * share)[:, None])
    cells = F.adaptive_avg_pool2d(planes, CELLS)
    cells = cells / (cells.square().sum(1, keepdim=True).sqrt() + FAINT)
    flat = cells.flatten(1)
    return F.normalize(flat - flat.mean(1, keepdim=True), eps=1e-4)
