"""Autoencoder and pix2pix's U-Net (Isola et al. 2017): one network, with or without skips."""

from __future__ import annotations

import math
from typing import Literal, cast

import torch
from torch import Tensor, nn

from core.models.layers import Norm, init_normal, norm_layer
from core.models.resnet_generator import ResidualBlock

Skip = Literal["concat", "add", "none"]
WIDEST = 8


class EncoderDecoder(nn.Module):
    """Halves a square image `depth` times and doubles it again; depth 0 goes down to 1 x 1 pixel.

    A step down: c4s2 with width, 2, 4, 8, 8 ... times width channels, norm (not on the first, not
    on 1 x 1 pixel), LeakyReLU 0.2, dropout on the last three, then `blocks` residual blocks where
    there is more than one pixel. A step up: transposed c4s2, norm, ReLU, dropout on the first two.
    The last one doubles the nearest pixels: c4, tanh. `skip` hands each encoder map to the decoder
    step of its size by concatenation or by addition. Width 64 at 64 pixels has
    22,287,745 parameters, with concatenated skips 29,235,585.
    """

    def __init__(
        self,
        size: int,
        channels: int = 1,
        width: int = 64,
        depth: int = 0,
        skip: Skip = "none",
        norm: Norm = "instance",
        dropout: float = 0.5,
        blocks: int = 0,
    ) -> None:
        super().__init__()
        depth = depth or int(math.log2(size))
        wide = [width * min(2**i, WIDEST) for i in range(depth)]
        self.skip = skip
        self.down = nn.ModuleList()
        for i, (here, there) in enumerate(zip([channels, *wide], wide, strict=False)):
            single = size >> (i + 1) == 1
            layers: list[nn.Module] = [nn.Conv2d(here, there, 4, stride=2, padding=1)]
            layers += [norm_layer(norm, there)] if i > 0 and not single else []
            layers += [nn.LeakyReLU(0.2)]
            layers += [nn.Dropout(dropout)] if dropout > 0 and i >= depth - 3 else []
            layers += [ResidualBlock(there, norm, 0.0) for _ in range(0 if single else blocks)]
            self.down.append(nn.Sequential(*layers))
        self.up = nn.ModuleList()
        doubled = 2 if skip == "concat" else 1
        for i, there in enumerate(reversed(wide[:-1])):
            here = wide[-1] if i == 0 else wide[-1 - i] * doubled
            layers = [nn.ConvTranspose2d(here, there, 4, stride=2, padding=1)]
            layers += [norm_layer(norm, there), nn.ReLU()]
            layers += [nn.Dropout(dropout)] if dropout > 0 and i < 2 else []
            self.up.append(nn.Sequential(*layers))
        self.last = nn.Sequential(
            nn.Upsample(scale_factor=2),
            nn.ZeroPad2d((1, 0, 1, 0)),
            nn.Conv2d(width * (doubled if depth > 1 else 1), channels, 4, padding=1),
            nn.Tanh(),
        )
        init_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x size x size in [-1, 1] to the same."""
        maps = []
        for step in self.down:
            x = step(x)
            maps.append(x)
        for step, kept in zip(self.up, reversed(maps[:-1]), strict=True):
            x = step(x)
            if self.skip == "concat":
                x = torch.cat([x, kept], 1)
            elif self.skip == "add":
                x = x + kept
        return cast(Tensor, self.last(x))
