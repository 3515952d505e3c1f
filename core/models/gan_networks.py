"""Networks that make images from noise, and their discriminators: fully connected, convolutional.

Generators take N x z noise, discriminators N x C x H x W images in [-1, 1]. Where they are to know
classes (Mirza and Osindero 2014, arXiv 1411.1784), these are more of the noise, and more channels.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from core.models.networks import Norm, Upsample, norm_layer

LEAK = 0.2
SMALLEST = 7  # pixels: what sides are halved down to, at most
G_LAYERS, D_LAYERS = (128, 256, 512, 1024), (512, 256)


def halvings(size: int) -> int:
    """How often a side is halved until it has 7 pixels at most: twice for 28, 3 times for 32."""
    return max(0, math.ceil(math.log2(size / SMALLEST)))


def init_gan(net: nn.Module, std: float) -> None:
    """Draw weights from N(0, std), scales of norms from N(1, std), and zero biases: DCGAN's."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, std)
        elif isinstance(layer, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.normal_(layer.weight, 1.0, std)
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _vector_norm(norm: Norm, channels: int) -> list[nn.Module]:
    """A normalisation of N x channels: the one of images, of a single pixel."""
    if norm == "none":
        return []
    return [nn.Unflatten(1, (channels, 1, 1)), norm_layer(norm, channels), nn.Flatten()]


class DenseGenerator(nn.Module):
    """128-256-512-1024 units with LeakyReLU, no norm on the first layer; tanh."""

    def __init__(self, size: int, channels: int, z: int, norm: Norm) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, (wide_in, wide) in enumerate(pairwise((z, *G_LAYERS))):
            layers += [nn.Linear(wide_in, wide)]
            layers += _vector_norm(norm if i else "none", wide)
            layers += [nn.LeakyReLU(LEAK)]
        layers += [nn.Linear(G_LAYERS[-1], channels * size**2), nn.Tanh()]
        self.layers = nn.Sequential(*layers, nn.Unflatten(1, (channels, size, size)))

    def forward(self, z: Tensor) -> Tensor:
        """N x z to N x C x H x W in [-1, 1]."""
        return cast(Tensor, self.layers(z))


class DenseDiscriminator(nn.Module):
    """512-256 units with LeakyReLU, and one output."""

    def __init__(
        self, size: int, channels: int, norm: Norm, dropout: float, final_norm: bool
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        for i, (wide_in, wide) in enumerate(pairwise((channels * size**2, *D_LAYERS))):
            layers += [nn.Linear(wide_in, wide), *_vector_norm(norm if i else "none", wide)]
            layers += [nn.LeakyReLU(LEAK), nn.Dropout(dropout)]
        layers += [nn.Linear(D_LAYERS[-1], 1)]
        layers += _vector_norm("batch", 1) if final_norm else []
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """N x C x H x W to N x 1."""
        return cast(Tensor, self.layers(images))


class ConvGenerator(nn.Module):
    """DCGAN's generator (Radford et al. 2016): noise is projected to a map, which doubles its side.

    28 pixels come of 7 x 7 in two steps, 32 and 64 of 4 x 4 in three and four. The last map before
    the image has `width` channels, each before it twice as many. `resize` doubles by nearest
    neighbours and a 3 x 3 convolution (Odena et al. 2016), which leaves no checkerboard.
    """

    def __init__(
        self,
        size: int,
        channels: int,
        z: int,
        norm: Norm,
        width: int,
        upsample: Upsample,
    ) -> None:
        super().__init__()
        steps = halvings(size)
        widths = [width * 2**i for i in reversed(range(steps))]
        side = size // 2**steps
        shape = widths[0], side, side
        layers: list[nn.Module] = [nn.Linear(z, math.prod(shape)), nn.Unflatten(1, shape)]
        for wide, after in pairwise((*widths, channels)):
            layers += [norm_layer(norm, wide), nn.ReLU(inplace=True)]
            if upsample == "resize":
                layers += [nn.Upsample(scale_factor=2), nn.Conv2d(wide, after, 3, padding=1)]
            else:
                layers += [nn.ConvTranspose2d(wide, after, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers, nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """N x z to N x C x H x W in [-1, 1]."""
        return cast(Tensor, self.layers(z))


class ConvDiscriminator(nn.Module):
    """DCGAN's discriminator: 4 x 4 convolutions halve the side, LeakyReLU, no norm on the first."""

    def __init__(
        self,
        size: int,
        channels: int,
        norm: Norm,
        dropout: float,
        final_norm: bool,
        width: int,
    ) -> None:
        super().__init__()
        steps = halvings(size)
        layers: list[nn.Module] = []
        widths = [channels, *(width * 2**i for i in range(steps))]
        for i, (before, wide) in enumerate(pairwise(widths)):
            layers += [nn.Conv2d(before, wide, 4, stride=2, padding=1)]
            layers += [norm_layer(norm if i else "none", wide), nn.LeakyReLU(LEAK, inplace=True)]
            layers += [nn.Dropout2d(dropout)] if dropout else []
        side = size // 2**steps
        layers += [nn.Flatten(), nn.Linear(widths[-1] * side**2, 1)]
        layers += _vector_norm("batch", 1) if final_norm else []
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """N x C x H x W to N x 1."""
        return cast(Tensor, self.layers(images))


def constrain_spectrum(net: nn.Module) -> None:
    """Give every layer with weights the spectral norm 1 (Miyato et al. 2018, arXiv 1802.05957)."""
    for layer in list(net.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            spectral_norm(layer)
