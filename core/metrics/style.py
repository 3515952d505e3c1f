"""How far outputs have come from photographs to paintings, as a classifier sees it."""

from __future__ import annotations

import math
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from core.metrics.cache import kept_features
from core.metrics.painting_net import PaintingNet
from core.metrics.similarity import mean_distance


class Style:
    """A classifier, anchored on held-out paintings (M x 3 x H x W) that it never trained on."""

    def __init__(self, net: PaintingNet, paintings: Tensor, folder: Path) -> None:
        self.net, backbone = net, net.backbone
        sources = [paintings, *backbone.state_dict().values()]
        features = kept_features(
            folder, backbone.mean.device, sources, lambda: backbone.features(paintings)
        )
        self.log_likelihood = _log_likelihood(net.logits(features))
        self.mean = [depth.mean(0) for depth in features]
        self.deviation = [
            depth.std(0, correction=0) + 1e-3 * depth.abs().mean() for depth in features
        ]
        self.apart = [mean_distance(depth) for depth in self._standard(features)]

    def __call__(self, output: Tensor) -> dict[str, float]:
        """`painted` and `diversity` of N x 3 x H x W outputs in [-1, 1]."""
        features, log_likelihood = self._look(output)
        spread = zip(self._standard(features), self.apart, strict=True)
        return {
            "painted": math.exp(log_likelihood - self.log_likelihood),
            "diversity": min(mean_distance(depth) / max(apart, 1e-6) for depth, apart in spread),
        }

    def _look(self, images: Tensor) -> tuple[list[Tensor], float]:
        """Features of N x 3 x H x W images, and their log likelihood."""
        features, logits = self.net.look(images)
        return features, _log_likelihood(logits)

    def _standard(self, features: list[Tensor]) -> list[Tensor]:
        """Features with mean 0 and deviation 1 over the held-out paintings."""
        depths = zip(features, self.mean, self.deviation, strict=True)
        return [(depth - mean) / deviation for depth, mean, deviation in depths]


def _log_likelihood(logits: Tensor) -> float:
    """The mean over N x 2 logits of being a painting, summed over both heads."""
    return float(F.logsigmoid(logits.cpu()).mean(0).sum())
