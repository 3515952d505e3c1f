"""The residual image-to-image generator of Johnson et al. 2016, as CycleGAN uses it."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from core.models.layers import Norm, init_normal, norm_layer


class ResidualBlock(nn.Module):
    """x + f(x): reflection pad, c3, norm, ReLU, [dropout], reflection pad, c3, norm."""

    def __init__(self, channels: int, norm: Norm, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            norm_layer(norm, channels),
            nn.ReLU(inplace=True),
            *([nn.Dropout(dropout)] if dropout > 0 else []),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            norm_layer(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to the same shape."""
        return x + cast(Tensor, self.body(x))


class ResnetGenerator(nn.Module):
    """c7s1-w, d2w, d4w, `blocks` x R4w, u2w, uw, c7s1, tanh (Zhu et al. 2017, appendix 7.2).

    Height and width must be multiples of 4 and at least 16. Width 64 with 9 blocks and instance
    norm has 11,378,179 parameters.
    """

    def __init__(
        self,
        width: int = 64,
        blocks: int = 9,
        norm: Norm = "instance",
        dropout: float = 0.0,
        channels: int = 3,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7)]
        layers += [norm_layer(norm, width), nn.ReLU(inplace=True)]
        for wide in (width, 2 * width):
            layers += [nn.Conv2d(wide, 2 * wide, 3, stride=2, padding=1)]
            layers += [norm_layer(norm, 2 * wide), nn.ReLU(inplace=True)]
        layers += [ResidualBlock(4 * width, norm, dropout) for _ in range(blocks)]
        for wide in (4 * width, 2 * width):
            layers += [nn.ConvTranspose2d(wide, wide // 2, 3, 2, padding=1, output_padding=1)]
            layers += [norm_layer(norm, wide // 2), nn.ReLU(inplace=True)]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        init_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W in [-1, 1] to the same."""
        return cast(Tensor, self.layers(x))
