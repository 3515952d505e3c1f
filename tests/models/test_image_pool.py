from __future__ import annotations

import numpy as np
import pytest
import torch

from core.models.image_pool import ImagePool


def images(*values: float) -> torch.Tensor:
    return torch.tensor(values).reshape(-1, 1, 1, 1)


def exchange(pool: ImagePool, batch: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    return pool.exchange(batch, pool.draw(len(batch), random))


def published(
    pool: list[torch.Tensor], capacity: int, batch: torch.Tensor, random: np.random.Generator
) -> torch.Tensor:
    """The published pool, one image after the other."""
    shown = []
    for image in batch:
        if len(pool) < capacity:
            pool.append(image.clone())
        elif random.random() < 0.5:
            k = int(random.integers(capacity))
            image, pool[k] = pool[k], image.clone()
        shown.append(image)
    return torch.stack(shown)


@pytest.mark.parametrize("capacity", [1, 3, 10, 50])
@pytest.mark.parametrize("size", [1, 4, 7])
def test_a_pool_is_the_published_one(capacity: int, size: int) -> None:
    """Also where a batch meets its own images in the pool, or fills its last places."""
    pool, theirs = ImagePool(capacity), list[torch.Tensor]()
    ours, random = np.random.default_rng(0), np.random.default_rng(0)
    for k in range(60):
        batch = torch.arange(k * size, (k + 1) * size).float().reshape(-1, 1, 1, 1)
        expected = published(theirs, capacity, batch, random)
        assert torch.equal(exchange(pool, batch, ours), expected)
    assert torch.equal(pool.state_dict()["images"], torch.stack(theirs))


def test_a_pool_fills_first_then_returns_the_past_half_of_the_time() -> None:
    pool, random = ImagePool(50), np.random.default_rng(0)
    first = images(*range(50))
    assert torch.equal(exchange(pool, first, random), first)
    out = torch.cat([exchange(pool, images(float(k)), random) for k in range(100, 1100)])
    old = (out.flatten() != torch.arange(100, 1100)).float().mean()
    assert 0.45 < old < 0.55
    assert len(pool.state_dict()["images"]) == 50


def test_no_pool_returns_the_batch() -> None:
    batch = images(1, 2)
    assert exchange(ImagePool(0), batch, np.random.default_rng(0)) is batch


def test_a_pool_keeps_its_own_copy() -> None:
    pool, batch = ImagePool(2), images(1, 2)
    exchange(pool, batch, np.random.default_rng(0))
    batch.zero_()
    assert torch.equal(pool.state_dict()["images"], images(1, 2))


def test_a_pool_goes_on_from_its_state_and_from_one_kept_as_a_list() -> None:
    pool, random = ImagePool(3), np.random.default_rng(0)
    exchange(pool, images(1, 2), random)
    for kept in (pool.state_dict()["images"], list(images(1, 2))):
        again = ImagePool(3)
        again.load_state_dict({"images": kept})
        assert again.count == 2
        exchange(again, images(3), random)
        assert torch.equal(again.state_dict()["images"], images(1, 2, 3))
