"""Pictures of outputs, as a trial leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from core.data.tensors import to_pixels
from core.files import atomic_write

SHOWN = 8


def save_strip(path: Path, images: Tensor) -> None:
    """Save the first 8 of N x C x H x W images in [-1, 1] side by side, as PNG."""
    save_sheet(path, [images[:SHOWN]])


def save_sheet(path: Path, rows: Sequence[Tensor]) -> None:
    """Save rows of N x C x H x W images in [-1, 1], one below the other, as PNG.

    A row shorter than the first is filled up with white.
    """
    strips = [np.concatenate(list(to_pixels(r).permute(0, 2, 3, 1).numpy()), axis=1) for r in rows]
    sheet = np.full((sum(len(s) for s in strips), *strips[0].shape[1:]), 255, np.uint8)
    top = 0
    for strip in strips:
        sheet[top : top + len(strip), : strip.shape[1]] = strip
        top += len(strip)
    picture = Image.fromarray(sheet.squeeze(-1) if sheet.shape[-1] == 1 else sheet)
    atomic_write(path, lambda file: picture.save(file, "PNG"))
