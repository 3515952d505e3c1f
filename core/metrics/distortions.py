"""What can be done to an image: changes that keep its label, and what half-trained GANs make of it.

An evaluator's classifier trains on both, drawn at random; its exam has fixed ones. All images are
N x 3 x H x W in [-1, 1]; everything random comes from the generator `draw`. Lengths are in
1/64 of the side, so that they look alike at every size.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from core.data.tensors import from_pixels, to_pixels, to_tensor

Pattern = Literal["checkers", "waves", "stripes", "dots", "grid"]
PATTERNS: tuple[Pattern, ...] = ("checkers", "waves", "stripes", "dots", "grid")
PERIODS, AMPLITUDES = (4.0, 16.0), (0.05, 0.15)  # pixels; of the range from black to white


def uniform(count: int, low: float, high: float, draw: torch.Generator) -> Tensor:
    """`count` numbers between `low` and `high`: count x 1 x 1 x 1, a factor for each image."""
    return low + (high - low) * torch.rand(count, 1, 1, 1, generator=draw)


def number(low: float, high: float, draw: torch.Generator) -> float:
    """One number between `low` and `high`."""
    return float(uniform(1, low, high, draw))


def picked(images: Tensor, count: int, draw: torch.Generator) -> Tensor:
    """`count` of the images, drawn with replacement, half of them mirrored."""
    chosen = images[torch.randint(len(images), (count,), generator=draw)]
    return torch.where(uniform(count, 0, 1, draw) < 0.5, chosen.flip(3), chosen)


def augmented(images: Tensor, others: Tensor, draw: torch.Generator) -> Tensor:
    """Label-preserving changes: half get another image's colours; jitter, blur, sharpening, noise.

    Each image draws its own: brightness by up to 30 %, contrast by 40 %, saturation by 60 %.
    """
    n = len(images)

    def some(share: float) -> Tensor:
        return uniform(n, 0, 1, draw) < share

    coloured = with_colours_of(images, picked(others, n, draw))
    images = (torch.where(some(0.5), coloured, images) + 1) / 2
    mean = images.mean((2, 3), keepdim=True)
    jittered = (images - mean) * uniform(n, 0.6, 1.4, draw) + mean * uniform(n, 0.7, 1.3, draw)
    grey = jittered.mean(1, keepdim=True)
    jittered = (jittered - grey) * uniform(n, 0.4, 1.6, draw) + grey
    images = torch.where(some(0.6), jittered, images)
    softer, sharper = some(0.2) * uniform(n, 0, 1, draw), some(0.2) * uniform(n, 0, 1, draw)
    images = images + (softer - sharper * (softer == 0)) * (softened(images) - images)
    noise = torch.randn(images.shape, generator=draw)
    return (images + some(0.2) * uniform(n, 0, 0.08, draw) * noise).clamp(0, 1) * 2 - 1


def with_colours_of(images: Tensor, others: Tensor) -> Tensor:
    """Each image with the mean and covariance of the colours of its counterpart in `others`."""

    def moments(x: Tensor) -> tuple[Tensor, Tensor]:
        colours = x.flatten(2)
        mean = colours.mean(2, keepdim=True)
        covariance = (colours - mean) @ (colours - mean).transpose(1, 2) / colours.shape[2]
        return mean, torch.linalg.cholesky(covariance + 4e-3 * torch.eye(3))

    (mean, root), (target, target_root) = moments(images), moments(others)
    mixing = target_root @ torch.linalg.inv(root)
    recoloured: Tensor = mixing @ (images.flatten(2) - mean) + target
    return recoloured.view_as(images).clamp(-1, 1)


def softened(images: Tensor) -> Tensor:
    """Blurred by twice the 3 x 3 binomial, a Gaussian of 1 pixel: brush strokes stay."""
    row = torch.tensor([1.0, 2.0, 1.0], device=images.device)
    kernel = (row.outer(row) / 16).expand(3, 1, 3, 3)
    for _ in range(2):
        images = F.conv2d(F.pad(images, (1, 1, 1, 1), mode="reflect"), kernel, groups=3)
    return images


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Through a Gaussian of `sigma`/64 of the side."""
    from torchvision.transforms.v2.functional import gaussian_blur  # slow to import

    pixels = sigma * images.shape[-1] / 64
    kernel = 2 * math.ceil(2.5 * pixels) + 1
    smooth: Tensor = gaussian_blur(images, [kernel, kernel], [pixels, pixels])
    return smooth


def pattern(kind: Pattern, count: int, side: int, draw: torch.Generator) -> Tensor:
    """Periodic patterns around 0, one for each image: count x 1 x side x side.

    Periods of 4 to 16 pixels (a grid's lines 2 to 16 apart), amplitudes of .05 to .15 of the range.
    """
    down, across = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    period = uniform(count, *PERIODS, draw)
    turn, phase = uniform(count, 0, math.pi, draw), uniform(count, 0, 2 * math.pi, draw)
    if kind == "checkers":
        values = ((across * 2 / period).floor() + (down * 2 / period).floor()) % 2 * 2 - 1
    elif kind == "waves":
        along = across * turn.cos() + down * turn.sin()
        values = (2 * math.pi * along / period + phase).sin()
    elif kind == "stripes":
        values = (across * 2 / period).floor() % 2 * 2 - 1
    elif kind == "dots":
        bumps = (2 * math.pi * across / period).sin() * (2 * math.pi * down / period).sin()
        values = (bumps > 0.3) * 1.3 - 0.3
    else:
        apart = (period * uniform(count, 0.5, 1, draw)).round()
        values = ((across % apart < 1) | (down % apart < 1)).float()
        values = values - values.mean((2, 3), keepdim=True)
    return values * 2 * uniform(count, *AMPLITUDES, draw)


def patterned(images: Tensor, draw: torch.Generator, kind: Pattern | None = None) -> Tensor:
    """Under a periodic pattern; each image under one of its own kind where none is named."""
    kinds = [kind or PATTERNS[i] for i in torch.randint(5, (len(images),), generator=draw)]
    values = torch.cat([pattern(one, 1, images.shape[-1], draw) for one in kinds])
    return (images + values * (1 if kind else uniform(len(images), 0.3, 1.8, draw))).clamp(-1, 1)


def noisy(images: Tensor, draw: torch.Generator, deviation: Tensor | float = 0.2) -> Tensor:
    """Gaussian noise added."""
    return (images + deviation * torch.randn(images.shape, generator=draw)).clamp(-1, 1)


def grainy(
    images: Tensor, draw: torch.Generator, size: float = 1, deviation: Tensor | float = 0.2
) -> Tensor:
    """Noise added in grains of `size`/64 of the side (at least 2 pixels), each colour its own."""
    side = images.shape[-1]
    coarse = max(2, round(side / max(2, size * side / 64)))
    noise = torch.randn(len(images), 3, coarse, coarse, generator=draw)
    return (images + deviation * F.interpolate(noise, (side, side), mode="bilinear")).clamp(-1, 1)


def recoloured_in_fields(
    images: Tensor, paintings: Tensor, knots: int, draw: torch.Generator
) -> Tensor:
    """Gain and offset that vary smoothly over the image: a painting's local mean and contrast.

    `knots` x `knots` local moments of each image become those of a painting, interpolated between.
    """

    def moments(x: Tensor) -> tuple[Tensor, Tensor]:
        mean = F.adaptive_avg_pool2d(x, knots)
        return mean, (F.adaptive_avg_pool2d(x * x, knots) - mean * mean).clamp(min=1e-3).sqrt()

    (mean, spread), (target, wanted) = (
        moments(images),
        moments(picked(paintings, len(images), draw)),
    )
    gain = (wanted / spread).clamp(0.3, 2.5)
    fields = F.interpolate(
        torch.cat([gain, target - gain * mean], 1), images.shape[2:], mode="bilinear"
    )
    return (fields[:, :3] * images + fields[:, 3:]).clamp(-1, 1)


def haloed(images: Tensor, draw: torch.Generator) -> Tensor:
    """Coloured glows along edges and borders, as generators make that start as the identity."""
    n, side = len(images), images.shape[-1]
    colour = torch.rand(n, 3, 1, 1, generator=draw) * 2 - 1
    edges = blurred((images - blurred(images, 3)).mean(1, keepdim=True), 2)
    ramp = (1 - torch.arange(side) / max(2, side // 10)).clamp(min=0)
    ramp = ramp.maximum(ramp.flip(0))
    border = ramp[:, None].maximum(ramp[None])
    return (images + colour * (3 * edges + 0.8 * border)).clamp(-1, 1)


def warped(images: Tensor, draw: torch.Generator, knots: int = 6, strength: float = 1) -> Tensor:
    """Bent by smooth displacements of `knots` x `knots` knots."""
    n, side = len(images), images.shape[-1]
    moves = torch.randn(n, 2, knots, knots, generator=draw) * 0.36 / knots * strength
    moves = F.interpolate(moves, (side, side), mode="bicubic", align_corners=True)
    down, across = torch.meshgrid(*[torch.linspace(-1, 1, side)] * 2, indexing="ij")
    where = torch.stack([across, down], -1) + moves.permute(0, 2, 3, 1)
    return F.grid_sample(images, where, padding_mode="reflection", align_corners=True)


def blended(images: Tensor, others: Tensor, share: Tensor | float) -> Tensor:
    """A double exposure: `share` of other images."""
    return (1 - share) * images + share * others


def detailed(images: Tensor, others: Tensor, sigma: float, gain: Tensor | float = 1) -> Tensor:
    """The fine detail of other images, below `sigma`/64 of the side, laid over these."""
    return (images + gain * (others - blurred(others, sigma))).clamp(-1, 1)


def compressed(images: Tensor, quality: int) -> Tensor:
    """JPEG and back."""
    decoded = []
    for pixels in to_pixels(images).permute(0, 2, 3, 1).numpy():
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
        decoded.append(np.asarray(Image.open(file)))
    return to_tensor(decoded)


def sharpened(images: Tensor) -> Tensor:
    """Pillow's sharpening at four times its strength."""
    from torchvision.transforms.v2.functional import adjust_sharpness  # slow to import

    return from_pixels(adjust_sharpness(to_pixels(images), 4.0))


def posterised(images: Tensor) -> Tensor:
    """Two bits a colour channel."""
    return from_pixels(to_pixels(images) & 0b11000000)


def kuwahara(images: Tensor) -> Tensor:
    """The edge-keeping filter that photo editors call "oil painting" (Kuwahara et al. 1976).

    Each pixel becomes the mean of the calmest of the four squares that meet in it; their radius is
    1/64 of the side, at least 2.
    """
    r = max(2, images.shape[-1] // 64)
    height, width = images.shape[-2:]

    def means(x: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(x, (r, r, r, r), mode="reflect"), r + 1, 1)

    grey = images.mean(1, keepdim=True)
    mean, unrest = means(images), means(grey * grey) - means(grey).square()
    corners = [(y, x) for y in (0, r) for x in (0, r)]
    squares = torch.stack([mean[:, :, y : y + height, x : x + width] for y, x in corners])
    calm = torch.stack([unrest[:, :, y : y + height, x : x + width] for y, x in corners])
    return squares.gather(0, calm.argmin(0, keepdim=True).expand(1, -1, 3, -1, -1))[0]


def junk(count: int, side: int, draw: torch.Generator) -> Tensor:
    """Flat colours, and noise from fine to coarse over every second one."""
    flat = torch.rand(count, 3, 1, 1, generator=draw).expand(count, 3, side, side) * 2 - 1
    sizes = [number(0, 6, draw) for _ in range(count // 2)]
    grains = [grainy(flat[i : i + 1], draw, 2**size, 0.5) for i, size in enumerate(sizes)]
    return torch.cat([*grains, flat[len(grains) :]])


def spoilt(photographs: Tensor, paintings: Tensor, draw: torch.Generator) -> Tensor:
    """Photographs as filters and half-trained generators leave them: not one is a painting.

    Each has one of the changes above, in a strength drawn at random.
    """

    def strength(low: float, high: float) -> float:
        return number(low, high, draw)

    def soft(x: Tensor) -> Tensor:
        return blurred(x, strength(0.7, 3))

    changes: tuple[tuple[int, Callable[[Tensor], Tensor]], ...] = (
        (12, soft),
        (12, lambda x: patterned(soft(x), draw)),
        (8, lambda x: patterned(x, draw)),
        (12, lambda x: grainy(x, draw, 2 ** strength(0, 3), uniform(len(x), 0.1, 0.5, draw))),
        (7, lambda x: noisy(x, draw, uniform(len(x), 0.03, 0.33, draw))),
        (10, lambda x: recoloured_in_fields(x, paintings, round(strength(2, 8)), draw)),
        (4, lambda x: haloed(x, draw)),
        (4, lambda x: warped(x, draw, round(strength(3, 13)), strength(0.3, 2))),
        (3, posterised),
        (3, kuwahara),
        (3, sharpened),
        (4, lambda x: compressed(x, round(strength(4, 40)))),
        (4, lambda x: blended(x, x.roll(1, 0), uniform(len(x), 0.3, 0.7, draw))),
        (4, lambda x: detailed(x, x.roll(1, 0), strength(0.8, 2.8))),
    )
    shares = torch.tensor([share for share, _ in changes]).double()
    ends = (shares.cumsum(0) / shares.sum() * len(photographs)).round().long().tolist()
    parts = zip([0, *ends], ends, (change for _, change in changes), strict=False)
    return torch.cat([change(photographs[a:b]) for a, b, change in parts if b > a])


def superposed(photographs: Tensor, paintings: Tensor, draw: torch.Generator) -> Tensor:
    """Photographs through which an unrelated painting shows: half its forms, half its texture."""
    n = len(photographs)
    others = picked(paintings, n, draw)
    one, two = n // 3, 2 * n // 3
    shown = [blended(photographs[:one], others[:one], uniform(one, 0.25, 0.75, draw))]
    for part, soft in ((slice(one, two), False), (slice(two, n), True)):
        sigma, images = number(0.6, 3.1, draw), photographs[part]
        below = blurred(images, sigma) if soft else images
        shown.append(detailed(below, others[part], sigma, uniform(len(images), 0.5, 1.5, draw)))
    return torch.cat(shown)
