"""How like two pictures are, by the field's usual measure."""

from __future__ import annotations

from torch import Tensor


def ssim(a: Tensor, b: Tensor) -> float:
    """Structural similarity (Wang et al. 2004) of N x C x H x W images in [-1, 1]: at most 1."""
    # here, for torchmetrics takes seconds to import
    from torchmetrics.functional.image import structural_similarity_index_measure

    found = structural_similarity_index_measure(a, b, data_range=2.0)
    assert isinstance(found, Tensor)
    return float(found)
