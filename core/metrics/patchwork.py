"""Photographs pieced together from patches of paintings.

Texture transfer (Efros and Freeman 2001, "Image quilting for texture synthesis and transfer"), with
soft seams: whatever the target domain looks like, this has its texture and the input's layout.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from core.metrics.luminance import luminance

PATCHES = 16_000
COLOUR = 2.0  # what a difference in colour counts beside one in brightness
SEAM = 6.0  # how fast a patch fades from its middle: the more, the harder the seams


def patchwork(photographs: Tensor, paintings: Tensor, generator: torch.Generator) -> Tensor:
    """N photographs in the patches of M paintings, both x 3 x H x H in [-1, 1], to N x 3 x H x H.

    Patches of 3/32 of the side overlap by half; each is the one of up to 16,000 drawn at random, or
    its mirror image, that is nearest in brightness (6 x 6) and colour (2 x 2).
    """
    half = max(2, photographs.shape[-1] * 3 // 64)
    patch = 2 * half
    pieces = _drawn(paintings, patch, generator)
    mirrored = pieces.view(-1, 3, patch, patch).flip(3).flatten(1)
    pieces = torch.cat([pieces, mirrored])
    keys = _key(pieces, patch)
    ramp = 1 - ((torch.arange(patch) + 0.5) / patch * 2 - 1).abs()
    weight = ramp.outer(ramp) ** SEAM
    made = [_assemble(photo, pieces, keys, weight) for photo in _levelled(photographs, paintings)]
    return torch.stack(made).clamp(-1, 1)


def _drawn(paintings: Tensor, patch: int, generator: torch.Generator) -> Tensor:
    """Up to 16,000 patches of the paintings, overlapping by half: N x 3*patch*patch."""
    a_side = (paintings.shape[-1] - patch) // (patch // 2) + 1
    each = a_side**2
    chosen = torch.randperm(len(paintings) * each, generator=generator)[:PATCHES]
    pieces = torch.empty(len(chosen), 3 * patch**2)
    for number, painting in enumerate(paintings):
        here = chosen // each == number
        patches = F.unfold(painting[None], patch, stride=patch // 2)[0].T
        pieces[here] = patches[chosen[here] % each]
    return pieces


def _levelled(photographs: Tensor, paintings: Tensor) -> Tensor:
    """The photographs with the paintings' mean and deviation in each colour channel."""
    mean, deviation = (f(photographs, (0, 2, 3), keepdim=True) for f in (torch.mean, torch.std))
    target, spread = (f(paintings, (0, 2, 3), keepdim=True) for f in (torch.mean, torch.std))
    return (photographs - mean) / deviation.clamp(min=1e-3) * spread + target


def _key(pieces: Tensor, patch: int) -> Tensor:
    """What patches are compared by: N x 3*patch*patch to N x 48."""
    images = pieces.view(-1, 3, patch, patch)
    grey = luminance(images)
    small = F.adaptive_avg_pool2d(images, 2) - F.adaptive_avg_pool2d(grey, 2)
    return torch.cat([F.adaptive_avg_pool2d(grey, 6).flatten(1), COLOUR * small.flatten(1)], 1)


def _assemble(photo: Tensor, pieces: Tensor, keys: Tensor, weight: Tensor) -> Tensor:
    """One 3 x H x W photograph from the nearest pieces."""
    patch = len(weight)
    half = patch // 2
    height, width = photo.shape[1:]
    low, right = (half + -n % half for n in (height, width))
    padded = F.pad(photo[None], (half, right, half, low), mode="reflect")
    wanted = F.unfold(padded, patch, stride=half)[0].T
    chosen = pieces[torch.cdist(_key(wanted, patch), keys).argmin(1)]
    shares = weight.flatten().repeat(3)
    size = padded.shape[-2:]
    laid = F.fold((chosen * shares).T[None], size, patch, stride=half)
    laid = laid / F.fold(shares[:, None].expand(-1, len(chosen))[None], size, patch, stride=half)
    return laid[0][:, half : half + height, half : half + width]
