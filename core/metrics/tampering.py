"""What can be done to a photograph without painting it: the ways to cheat an evaluator of style.

All take and give N x 3 x H x W in [-1, 1].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.data.tensors import to_pixels
from core.metrics.luminance import luminance

STRENGTH, STEPS = 8 / 127.5, 10


def recoloured_as(images: Tensor, wanted: Tensor) -> Tensor:
    """A colour filter: mean and covariance of all their colours become those of `wanted`."""

    def moments(x: Tensor) -> tuple[Tensor, Tensor]:
        colours = x.transpose(0, 1).flatten(1)
        return colours.mean(1).view(1, 3, 1, 1), torch.cov(colours)

    def power(matrix: Tensor, exponent: float) -> Tensor:
        values, vectors = torch.linalg.eigh(matrix)
        root: Tensor = vectors @ torch.diag(values.clamp(min=1e-6) ** exponent) @ vectors.T
        return root

    (mean, spread), (target, target_spread) = moments(images), moments(wanted)
    mixing = power(target_spread, 0.5) @ power(spread, -0.5)
    return (torch.einsum("ij,njhw->nihw", mixing, images - mean) + target).clamp(-1, 1)


def sharpened(images: Tensor, factor: float = 4.0) -> Tensor:
    """Pillow's sharpening, so many times its strength."""
    import torchvision.transforms.v2.functional as transforms  # seconds to import

    return _from_pixels(transforms.adjust_sharpness(to_pixels(images), factor))


def posterised(images: Tensor, bits: int = 2) -> Tensor:
    """So many bits a colour channel."""
    import torchvision.transforms.v2.functional as transforms

    return _from_pixels(transforms.posterize(to_pixels(images), bits))


def noisy(images: Tensor, generator: torch.Generator, deviation: float = 0.2) -> Tensor:
    """Gaussian noise added."""
    noise = torch.randn(images.shape, generator=generator)
    return (images + deviation * noise).clamp(-1, 1)


def grainy(images: Tensor, generator: torch.Generator, deviation: float = 0.2) -> Tensor:
    """Noise added in grains of two pixels, or of 1/64 of the side where that is more."""
    n, channels, side, _ = images.shape
    coarse = side // max(2, side // 64)
    noise = torch.randn(n, channels, coarse, coarse, generator=generator)
    grain = F.interpolate(noise, (side, side), mode="bilinear")
    return (images + deviation * grain).clamp(-1, 1)


def blurred_noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Coloured clouds: noise through a Gaussian of 1/50 of the side, its contrast restored."""
    import torchvision.transforms.v2.functional as transforms

    sigma = max(like.shape[-1] / 50, 1.0)
    kernel = 2 * round(2 * sigma) + 1
    noise = torch.randn(like.shape, generator=generator)
    clouds = transforms.gaussian_blur(noise, [kernel, kernel], [sigma, sigma])
    return torch.clamp(0.5 * clouds / clouds.std(), -1, 1)


def kuwahara(images: Tensor, radius: int | None = None) -> Tensor:
    """The edge-keeping filter that photo editors call "oil painting" (Kuwahara et al. 1976).

    Each pixel becomes the mean of the calmest of the four squares that meet in it. The radius is
    1/64 of the side, and at least 2, unless given.
    """
    r = radius or max(2, images.shape[-1] // 64)
    height, width = images.shape[-2:]

    def means(x: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(x, (r, r, r, r), mode="reflect"), r + 1, 1)

    grey = luminance(images)
    mean, unrest = means(images), means(grey * grey) - means(grey).square()
    corners = [(y, x) for y in (0, r) for x in (0, r)]
    squares = torch.stack([mean[:, :, y : y + height, x : x + width] for y, x in corners])
    calm = torch.stack([unrest[:, :, y : y + height, x : x + width] for y, x in corners])
    return squares.gather(0, calm.argmin(0, keepdim=True).expand(1, -1, 3, -1, -1))[0]


def adversarial(images: Tensor, net: nn.Module, device: torch.device) -> Tensor:
    """Projected gradient descent (Madry et al. 2018, arXiv 1706.06083) towards class 1 of `net`.

    Ten steps within 8/255 of each pixel: to the eye the photograph is what it was.
    """
    found = []
    for batch in torch.split(images, 16):
        start = batch.to(device)
        there = start.clone()
        for _ in range(STEPS):
            there.requires_grad_(True)
            logits = net(there)
            (slope,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), there)
            there = there.detach() + 2.5 * STRENGTH / STEPS * slope.sign()
            there = there.clamp(start - STRENGTH, start + STRENGTH).clamp(-1, 1)
        found.append(there.cpu())
    return torch.cat(found)


def _from_pixels(pixels: Tensor) -> Tensor:
    return pixels.float() / 127.5 - 1
