"""How far outputs have come from photographs to paintings, as two networks see it.

Each network looks twice, once through a blur. What counts is the least that any look sees: a
texture that deceives one network, or only a sharp eye, gains nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.metrics.distance import mean_distance, median_distance, squared_mmd
from core.metrics.resnet import PaintingNet, look

LEAST_APART = 0.05  # of two probabilities: a network that tells nothing apart


@dataclass(frozen=True)
class Look:
    """One way of looking, and what it sees in held-out photographs and paintings."""

    net: PaintingNet
    blurred: bool
    photograph: float
    painting: float
    paintings: Tensor
    mean: Tensor
    deviation: Tensor
    bandwidth: float
    apart: float

    @classmethod
    def at(cls, net: PaintingNet, blurred: bool, photographs: Tensor, paintings: Tensor) -> Look:
        """Anchor it by N x 3 x H x W images in [-1, 1] that the network never trained on."""
        here, low = look(net, photographs, blurred)
        there, high = look(net, paintings, blurred)
        both = torch.cat([here, there])
        bandwidth = median_distance(both)
        return cls(
            net,
            blurred,
            photograph=float(low.mean()),
            painting=float(high.mean()),
            paintings=there,
            mean=both.mean(0),
            deviation=both.std(0).clamp(min=0.1 * float(both.std(0).mean()) + 1e-6),
            bandwidth=bandwidth,
            apart=squared_mmd(here, there, bandwidth),
        )

    def standard(self, features: Tensor) -> Tensor:
        """Features with mean 0 and deviation 1 over the held-out images of both domains."""
        return (features - self.mean) / self.deviation

    @property
    def standard_paintings(self) -> Tensor:
        """The held-out paintings' features, so."""
        return self.standard(self.paintings)

    def scale(self, chance: float) -> float:
        """A mean P(painting) between the anchors: 0 as the photographs', 1 as the paintings'."""
        return (chance - self.photograph) / max(self.painting - self.photograph, LEAST_APART)

    def nearness(self, features: Tensor) -> float:
        """1 less the squared MMD to the paintings, as a share of the photographs'."""
        distance = squared_mmd(features, self.paintings, self.bandwidth)
        return 1 - distance / max(self.apart, 1e-4)


@dataclass(frozen=True)
class Style:
    """Each the least of all looks; none is cut off.

    `painted`: P(painting) between the anchors, 0 the photographs', 1 the paintings'. `near`: 1 less
    the distance to the paintings, as a share of the photographs'. `beyond`: what `painted` gains
    over the recoloured inputs. `diversity`: how far outputs are apart, over the paintings'.
    `features`: N x 512, of the first look.
    """

    painted: float
    near: float
    beyond: float
    diversity: float
    features: Tensor


def measure_style(looks: Sequence[Look], output: Tensor, recoloured: Tensor) -> Style:
    """Look at N outputs and at their inputs recoloured, both N x 3 x H x W in [-1, 1]."""
    seen = [look(one.net, output, one.blurred) for one in looks]
    plain = [look(one.net, recoloured, one.blurred)[1] for one in looks]
    painted = [
        one.scale(float(chance.mean())) for one, (_, chance) in zip(looks, seen, strict=True)
    ]
    bare = [one.scale(float(chance.mean())) for one, chance in zip(looks, plain, strict=True)]
    spread = [
        mean_distance(features) / max(mean_distance(one.paintings), 1e-6)
        for one, (features, _) in zip(looks, seen, strict=True)
    ]
    return Style(
        painted=min(painted),
        near=min(one.nearness(f) for one, (f, _) in zip(looks, seen, strict=True)),
        beyond=min(a - b for a, b in zip(painted, bare, strict=True)),
        diversity=min(spread),
        features=seen[0][0],
    )
