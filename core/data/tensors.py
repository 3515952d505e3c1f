"""Between uint8 pixels and the tensors that networks see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from core.data.images import Pixels

CPU = torch.device("cpu")
RGB = np.dtype("V3")


def to_tensor(images: Sequence[Pixels]) -> Tensor:
    """Equal-sized H x W x 3 uint8 images to float32 N x 3 x H x W in [-1, 1]."""
    stack = torch.from_numpy(np.stack(images))
    return from_pixels(stack.permute(0, 3, 1, 2).contiguous())


def in_batches(images: Sequence[Pixels], size: int = 32) -> Iterator[Tensor]:
    """The same in batches of `size`: a large data set would not fit as one tensor."""
    for start in range(0, len(images), size):
        yield to_tensor(images[start : start + size])


def from_pixels(pixels: Tensor) -> Tensor:
    """Uint8 of any shape to float32 in [-1, 1]."""
    return _scaled(pixels.to(torch.float32, copy=True))


def _scaled(pixels: Tensor) -> Tensor:
    """Float32 in [0, 255] to [-1, 1], in place."""
    return pixels.div_(127.5).sub_(1)


def to_pixels(images: Tensor) -> Tensor:
    """N x C x H x W in [-1, 1] to uint8, rounded: what a saved picture would hold."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def random_crops(
    images: Sequence[Pixels],
    size: int,
    flip: bool,
    random: np.random.Generator,
    device: torch.device = CPU,
) -> Tensor:
    """A random size x size crop of each image, mirrored half of the time if `flip`.

    Float32 N x 3 x size x size in [-1, 1] on the device, to which the crops travel as bytes.
    """
    pinned = device.type == "cuda"
    crops = torch.empty(len(images), size, size, 3, dtype=torch.uint8, pin_memory=pinned)
    pixels = crops.numpy().view(RGB)  # whole pixels are mirrored several times faster than bytes
    for image, target in zip(images, pixels, strict=True):
        top, left = (int(random.integers(n - size + 1)) for n in image.shape[:2])
        crop = image[top : top + size, left : left + size].view(RGB)
        target[:] = crop[:, ::-1] if flip and random.random() < 0.5 else crop
    planes = crops.to(device, non_blocking=pinned).permute(0, 3, 1, 2)
    return _scaled(planes.to(torch.float32, memory_format=torch.contiguous_format))


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on the CPU to the device; a GPU takes it when it comes to it, nobody waits."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def centre_crops(images: Sequence[Pixels], size: int) -> list[Pixels]:
    """The middle size x size pixels of each image."""
    corners = [((i.shape[0] - size) // 2, (i.shape[1] - size) // 2) for i in images]
    return [i[y : y + size, x : x + size] for i, (y, x) in zip(images, corners, strict=True)]
