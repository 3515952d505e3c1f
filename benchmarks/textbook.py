"""The CycleGAN step as a textbook has it: the yardstick of speed, and of the mathematics.

Networks, losses and optimisers of Zhu et al. 2017 in plain PyTorch and nothing of gantune. Without
the pool of past translations, which a step with `pool_size` 0 has not either.
"""

from __future__ import annotations

from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def generator(width: int, blocks: int) -> nn.Module:
    """c7s1-w, d2w, d4w, blocks x R4w, u2w, uw, c7s1-3."""
    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7)]
    layers += [nn.InstanceNorm2d(width), nn.ReLU()]
    for w in (width, 2 * width):
        layers += [nn.Conv2d(w, 2 * w, 3, 2, 1), nn.InstanceNorm2d(2 * w), nn.ReLU()]
    layers += [Residual(4 * width) for _ in range(blocks)]
    for w in (4 * width, 2 * width):
        layers += [nn.ConvTranspose2d(w, w // 2, 3, 2, 1, 1), nn.InstanceNorm2d(w // 2), nn.ReLU()]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh())


class Residual(nn.Module):
    """x + f(x)."""

    def __init__(self, w: int) -> None:
        super().__init__()
        half = [nn.ReflectionPad2d(1), nn.Conv2d(w, w, 3), nn.InstanceNorm2d(w)]
        other = [nn.ReflectionPad2d(1), nn.Conv2d(w, w, 3), nn.InstanceNorm2d(w)]
        self.body = nn.Sequential(*half, nn.ReLU(), *other)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to the same."""
        return x + self.body(x)  # type: ignore[no-any-return]


def discriminator(width: int) -> nn.Module:
    """The 70 x 70 PatchGAN."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    for w, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
        layers += [nn.Conv2d(w, 2 * w, 4, stride, 1), nn.InstanceNorm2d(2 * w), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1))


class Textbook:
    """Two generators, two discriminators, two optimisers, and a step, in float32."""

    def __init__(self, width: int, blocks: int, device: str = "cpu") -> None:
        self.G, self.F = (generator(width, blocks).to(device) for _ in "GF")
        self.D_x, self.D_y = (discriminator(width).to(device) for _ in "xy")
        nets = chain(self.G.parameters(), self.F.parameters())
        self.opt_g = torch.optim.Adam(nets, 2e-4, (0.5, 0.999))
        nets = chain(self.D_x.parameters(), self.D_y.parameters())
        self.opt_d = torch.optim.Adam(nets, 2e-4, (0.5, 0.999))

    def step(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """One step on N x 3 x H x W images of both domains; the losses."""
        fake_y, fake_x = self.G(x), self.F(y)
        for d in (self.D_x, self.D_y):
            d.requires_grad_(False)
        gan = _towards(self.D_y(fake_y), 1) + _towards(self.D_x(fake_x), 1)
        cycle = F.l1_loss(self.F(fake_y), x) + F.l1_loss(self.G(fake_x), y)
        identity = F.l1_loss(self.G(y), y) + F.l1_loss(self.F(x), x)
        self.opt_g.zero_grad()
        (gan + 10 * cycle + 5 * identity).backward()
        self.opt_g.step()
        for d in (self.D_x, self.D_y):
            d.requires_grad_(True)
        d_x = (_towards(self.D_x(x), 1) + _towards(self.D_x(fake_x.detach()), 0)) / 2
        d_y = (_towards(self.D_y(y), 1) + _towards(self.D_y(fake_y.detach()), 0)) / 2
        self.opt_d.zero_grad()
        (d_x + d_y).backward()
        self.opt_d.step()
        losses = {"g_gan": gan, "g_cycle": cycle, "g_identity": identity, "d_x": d_x, "d_y": d_y}
        return {name: loss.detach() for name, loss in losses.items()}


def _towards(logits: Tensor, wanted: float) -> Tensor:
    return (logits - wanted).square().mean()
