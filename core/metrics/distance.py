"""How far two sets of images are apart, by features of theirs.

The squared maximum mean discrepancy (Gretton et al. 2012, "A kernel two-sample test", JMLR 13,
equation 3) with a Gaussian kernel: unbiased, about 0 for two samples of one distribution, a little
below it by chance.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def squared_mmd(x: Tensor, y: Tensor, bandwidth: float) -> float:
    """Unbiased estimate from N x D and M x D features; of a single image the biased one."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return torch.exp(-torch.cdist(a, b).square() / (2 * bandwidth**2))

    def within(a: Tensor) -> float:
        n = len(a)
        if n == 1:
            return 1.0
        return float(kernel(a, a).sum() - n) / (n * (n - 1))

    return within(x) + within(y) - 2 * float(kernel(x, y).mean())


def median_distance(features: Tensor) -> float:
    """The median distance between two of N x D features: the usual bandwidth; above 0."""
    return max(float(torch.pdist(features).median()), 1e-6) if len(features) > 1 else 1.0


def mean_distance(features: Tensor) -> float:
    """The mean distance between two of N x D features; 0 where there is but one."""
    return float(torch.pdist(features).mean()) if len(features) > 1 else 0.0


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """FID's formula (Heusel et al. 2017) on N x D and M x D features: >= 0, biased for few."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=_given(x))
    metric.update(y, real=True)
    metric.update(x, real=False)
    return float(metric.compute())


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """KID's formula (Binkowski et al. 2018, arXiv 1801.01401) on the same: unbiased."""
    from torchmetrics.image.kid import poly_mmd

    return float(poly_mmd(y, x))


def _given(features: Tensor) -> nn.Module:
    """What torchmetrics takes for a feature extractor, where the features are there already."""
    extractor = nn.Identity()
    extractor.num_features = features.shape[1]  # type: ignore[assignment]
    return extractor
