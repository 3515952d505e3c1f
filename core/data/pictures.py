"""Pictures of outputs, as a trial leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from core.data.tensors import to_pixels
from core.files import atomic_write
from core.task import UserError

SHOWN = 8
MAKER = "gantune"  # in the Software field of a PNG: what may be written over


def save_picture(path: Path, picture: Image.Image) -> None:
    """Save a picture as PNG, marked as gantune's."""
    mark = PngInfo()
    mark.add_text("Software", MAKER)
    atomic_write(path, lambda file: picture.save(file, "PNG", pnginfo=mark))


def refuse_to_overwrite(path: Path) -> None:
    """UserError where a file is in the way that gantune did not save: a PNG, or glyphs as npz."""
    own = not path.exists()
    with suppress(Exception):  # whatever a foreign file raises
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as saved:
                own = {"characters", "output"} <= set(saved.files)
        else:
            with Image.open(path) as picture:
                own = picture.info.get("Software") == MAKER
    if not own:
        raise UserError(f"{path}: is not gantune's and would be lost; name another folder")


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
    save_picture(path, Image.fromarray(sheet.squeeze(-1) if sheet.shape[-1] == 1 else sheet))
