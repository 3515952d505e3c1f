"""The 70 x 70 PatchGAN of Isola et al. 2017."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from core.models.layers import Norm, init_normal, norm_layer


class PatchDiscriminator(nn.Module):
    """Cw-C2w-C4w-C8w, 4 x 4 convolutions, LeakyReLU 0.2, no norm on the first: a logit a patch.

    Every logit sees 70 x 70 pixels; inputs must be at least 32 x 32. Width 64 with instance norm
    has 2,764,737 parameters. A conditional one sees image and source as one: twice the channels.
    """

    def __init__(self, width: int = 64, norm: Norm = "instance", channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1)]
        layers += [nn.LeakyReLU(0.2, inplace=True)]
        for wide, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
            layers += [nn.Conv2d(wide, 2 * wide, 4, stride=stride, padding=1)]
            layers += [norm_layer(norm, 2 * wide), nn.LeakyReLU(0.2, inplace=True)]
        layers += [nn.Conv2d(8 * width, 1, 4, padding=1)]
        self.layers = nn.Sequential(*layers)
        init_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W in [-1, 1] to N x 1 x (H/8 - 2) x (W/8 - 2) logits."""
        return cast(Tensor, self.layers(x))
