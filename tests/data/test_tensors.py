from __future__ import annotations

import numpy as np
import pytest
import torch

from core.data.tensors import from_pixels, random_crops


def plain_crops(
    images: list[np.ndarray], size: int, flip: bool, random: np.random.Generator
) -> np.ndarray:
    """What a crop is, in plain NumPy: float32 N x 3 x size x size."""
    crops = []
    for image in images:
        top = int(random.integers(image.shape[0] - size + 1))
        left = int(random.integers(image.shape[1] - size + 1))
        crop = image[top : top + size, left : left + size]
        crops.append(crop[:, ::-1] if flip and random.random() < 0.5 else crop)
    return np.stack(crops).transpose(0, 3, 1, 2).astype(np.float32) / np.float32(127.5) - 1


@pytest.mark.parametrize("flip", [True, False])
def test_crops_of_a_seed_are_the_plain_ones_bit_for_bit(flip: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20_000,), dtype=np.uint8)
    pixels.flags.writeable = False  # as a mapped file's are
    images = [pixels[k : k + h * w * 3].reshape(h, w, 3)
              for k, (h, w) in enumerate([(40, 36), (36, 36), (32, 71), (50, 32)] * 8)]  # fmt: skip
    random, plain = np.random.default_rng(7), np.random.default_rng(7)
    for _ in range(3):
        crops = random_crops(images, 32, flip, random)
        expected = torch.from_numpy(plain_crops(images, 32, flip, plain))
        assert torch.equal(crops, expected)
        assert crops.is_contiguous()
        assert crops.dtype == torch.float32
    assert random.random() == plain.random(), "and as many numbers are drawn"


def test_bytes_become_floats_without_a_change_to_the_bytes() -> None:
    pixels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(from_pixels(pixels), pixels.float() / 127.5 - 1)
    floats = pixels.float()
    assert torch.equal(from_pixels(floats), floats / 127.5 - 1)
    assert torch.equal(floats, pixels.float())
