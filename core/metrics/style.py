"""How far outputs have come from photographs to paintings, as two networks see it.

Each network looks twice, once through a blur. What counts is the least that any look sees: a
texture that deceives one network, or only a sharp eye, gains nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from core.metrics.resnet import PaintingNet, look
from core.metrics.similarity import mean_distance, median_distance, squared_mmd

LEAST_APART = 0.05  # of two probabilities: a network that tells nothing apart
RIDGE = 1e-3  # of the least squares of a recolouring


class Look:
    """One way of looking, and what it sees in held-out photographs and paintings.

    Both are N x 3 x H x W images in [-1, 1] that the network never trained on.
    """

    def __init__(
        self, net: PaintingNet, blurred: bool, photographs: Tensor, paintings: Tensor
    ) -> None:
        self.net, self.blurred = net, blurred
        features, low = look(net, photographs, blurred)
        self.paintings, high = look(net, paintings, blurred)
        self.photograph, self.painting = float(low.mean()), float(high.mean())
        both = torch.cat([features, self.paintings])
        self.mean, self.deviation = both.mean(0), both.std(0)
        self.deviation = self.deviation.clamp(min=0.1 * float(self.deviation.mean()) + 1e-6)
        self.bandwidth = median_distance(both)
        self.apart = squared_mmd(features, self.paintings, self.bandwidth)

    def standard(self, features: Tensor) -> Tensor:
        """Features with mean 0 and deviation 1 over the held-out images of both domains."""
        return (features - self.mean) / self.deviation

    def scale(self, chances: Tensor) -> float:
        """The mean P(painting) between the anchors: 0 as the photographs', 1 as the paintings'."""
        above = float(chances.mean()) - self.photograph
        return above / max(self.painting - self.photograph, LEAST_APART)

    def nearness(self, features: Tensor) -> float:
        """1 less the squared MMD to the paintings, as a share of the photographs'."""
        distance = squared_mmd(features, self.paintings, self.bandwidth)
        return 1 - distance / max(self.apart, 1e-4)


def measure_style(
    looks: Sequence[Look], output: Tensor, recoloured: Tensor
) -> tuple[dict[str, float], Tensor]:
    """Look at N outputs and at their inputs recoloured, both N x 3 x H x W in [-1, 1].

    Each part is the least of all looks; none is cut off. `painted`: P(painting) between the
    anchors. `near`: the nearness to the paintings. `beyond`: what `painted` gains over the
    recoloured inputs. `diversity`: how far outputs are apart, over the paintings'. Also returns the
    outputs' features, N x 512, of the first look.
    """
    seen = [look(one.net, output, one.blurred) for one in looks]
    plain = [look(one.net, recoloured, one.blurred) for one in looks]
    painted = [one.scale(chances) for one, (_, chances) in zip(looks, seen, strict=True)]
    bare = [one.scale(chances) for one, (_, chances) in zip(looks, plain, strict=True)]
    features = [found for found, _ in seen]
    apart = [mean_distance(x) / max(mean_distance(one.paintings), 1e-6)
             for one, x in zip(looks, features, strict=True)]  # fmt: skip
    parts = {
        "painted": min(painted),
        "near": min(one.nearness(x) for one, x in zip(looks, features, strict=True)),
        "beyond": min(a - b for a, b in zip(painted, bare, strict=True)),
        "diversity": min(apart),
    }
    return parts, features[0]


def best_recolouring(source: Tensor, output: Tensor) -> Tensor:
    """What colours alone can do: each source by the affine map that brings it nearest its output.

    Least squares of a 3 x 3 matrix and an offset over the pixels of each pair; N x 3 x H x W in
    [-1, 1] to the same.
    """
    pixels = source.float().flatten(2).transpose(1, 2)
    pixels = torch.cat([pixels, torch.ones_like(pixels[..., :1])], 2)
    wanted = output.float().flatten(2).transpose(1, 2)
    normal = pixels.transpose(1, 2) @ pixels + RIDGE * torch.eye(pixels.shape[2])
    matrix = torch.linalg.solve(normal, pixels.transpose(1, 2) @ wanted)
    recoloured: Tensor = (pixels @ matrix).transpose(1, 2).reshape(source.shape)
    return recoloured.clamp(-1, 1)
