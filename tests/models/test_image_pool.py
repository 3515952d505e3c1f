from __future__ import annotations

import numpy as np
import torch

from core.models.image_pool import ImagePool


def images(*values: float) -> torch.Tensor:
    return torch.tensor(values).reshape(-1, 1, 1, 1)


def test_a_pool_fills_first_then_returns_the_past_half_of_the_time() -> None:
    pool, random = ImagePool(50), np.random.default_rng(0)
    first = images(*range(50))
    assert torch.equal(pool.exchange(first, random), first)
    out = torch.cat([pool.exchange(images(float(k)), random) for k in range(100, 1100)])
    old = (out.flatten() != torch.arange(100, 1100)).float().mean()
    assert 0.45 < old < 0.55
    assert len(pool.images) == 50


def test_no_pool_returns_the_batch() -> None:
    batch = images(1, 2)
    assert ImagePool(0).exchange(batch, np.random.default_rng(0)) is batch


def test_a_pool_keeps_its_own_copy() -> None:
    pool, batch = ImagePool(2), images(1, 2)
    pool.exchange(batch, np.random.default_rng(0))
    batch.zero_()
    assert [float(image) for image in pool.images] == [1, 2]
