"""Pictures of samples, as a trial leaves them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from core.data.tensors import to_pixels
from core.record import replace

SHOWN = 8


def save_strip(path: Path, images: Tensor) -> None:
    """Save the first 8 of N x C x H x W images in [-1, 1] side by side, as PNG."""
    tiles = to_pixels(images[:SHOWN]).permute(0, 2, 3, 1).numpy()
    strip = np.concatenate(list(tiles), axis=1)
    picture = Image.fromarray(strip.squeeze(-1) if strip.shape[-1] == 1 else strip)
    replace(path, lambda file: picture.save(file, "PNG"))
