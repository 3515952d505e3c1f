"""One image file as RGB of 8 bits: what is beside the pixels never decides whether they are read.

Pillow refuses images above 179 million pixels and those with much text beside them. Here the
limit is MOST pixels, after a JPEG file has been reduced while it is decoded; large images are
decoded one at a time, and metadata that cannot be read is left out.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.data import cache_folder
from core.data.metadata import Source, orientation, read_pixels
from core.data.parallel import in_threads
from core.files import read_json, write_json
from core.task import UserError

Image.MAX_IMAGE_PIXELS = None  # for the whole process, before any thread decodes: see MOST
LARGE, MOST = 90_000_000, 250_000_000  # pixels; MOST are 1 GB in memory
WHITE = 2**16 - 1
JPEG = {".jpg", ".jpeg", ".jpe", ".jfif"}  # never of more than 8 bits
# A colour of 16 bits: Pillow reads its high byte, and the low one where the order is turned round.
LOW_BYTE = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}
_alone = threading.Lock()


class Picture(NamedTuple):
    """An RGB image, and why its metadata were left out; '' where they were not."""

    image: Image.Image
    left_out: str


def decode(path: Path, white: int = WHITE, side: int = 0) -> Picture:
    """Read any image as RGB: turned upright by EXIF, 16 bit scaled to 8, alpha put on white.

    `white` is the value that becomes 255 in images of more than 8 bits (floats: their own range).
    Images of more than LARGE pixels are reduced to sides of twice `side` or more (0: they are not).
    Raises whatever Pillow's plugins raise, and UserError for more than MOST pixels.
    """
    picture, left_out = read_pixels(path, lambda source: _decode(source, white, side))
    return Picture(picture.image, left_out or picture.left_out)


def white_level(paths: Sequence[Path], contents: Sequence[bytes] = ()) -> int:
    """The value that is white in a folder's images of more than 8 bits: 2^n - 1, 255 or more.

    It is the smallest that none of them exceeds; WHITE where there are none. With the files'
    digests as `contents` it is kept in the cache and not measured again.
    """
    paths = [path for path in paths if path.suffix.lower() not in JPEG]
    if not paths:
        return WHITE
    kept = cache_folder() / f"white-{hashlib.sha256(b''.join(contents)).hexdigest()[:16]}.json"
    if contents and isinstance(known := read_json(kept).get("white"), int) and known >= 255:
        return known
    peak = max(in_threads(_brightest, paths, "images: looking for 16 bits"))
    white = WHITE if peak < 0 else max(255, 2 ** peak.bit_length() - 1)
    if contents and all(contents):
        with suppress(OSError, RuntimeError):
            write_json(kept, {"white": white})
    return white


def white_note(folder: str, white: int) -> str:
    """What to know of a folder's white level; '' where it is that of 16 bits."""
    if white == WHITE:
        return ""
    return f"{folder}: {white:,} is white in its images of more than 8 bits: no value is above it"


def _brightest(path: Path) -> int:
    """The largest value of an image of more than 8 bits; -1 of others and of unreadable ones."""
    with suppress(Exception):
        return read_pixels(path, _peak)[0]
    return -1


def _peak(source: Source) -> int:
    with Image.open(source) as opened, _one_at_a_time(opened):
        small = opened.width * opened.height <= MOST
        values = _deep_values(opened, source) if small else None
        return -1 if values is None else max(0, int(values.max()))


def _one_at_a_time(opened: Image.Image) -> AbstractContextManager[Any]:
    """The context in which an image is decoded: large ones are decoded one after the other."""
    return _alone if opened.width * opened.height > LARGE else nullcontext()


def _decode(source: Source, white: int, side: int) -> Picture:
    with Image.open(source) as opened, _one_at_a_time(opened):
        width, height = opened.size
        side = side if width * height > LARGE else 0
        if side:
            opened.draft(None, (2 * side, 2 * side))
        if opened.width * opened.height > MOST:
            raise UserError(
                f"{width} x {height} pixels are more than the {MOST // 10**6} million that can be "
                "decoded; make it smaller, or save it as JPEG, which is reduced in decoding unless "
                "--preprocess is crop"
            )
        values = _deep_values(opened, source) if opened.mode[0] == "I" or white != WHITE else None
        opened.load()
        turn, left_out = orientation(opened)
        image = _reduced(opened, side)
        if values is not None:
            image = _scaled(values, white)
            if opened.mode == "RGBA":
                image.putalpha(opened.getchannel("A"))
            image = _reduced(image, side)
        elif image.mode == "F":
            image = _float(image)
        if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.transpose(turn) if turn is not None else image
        return Picture(image.convert("RGB"), left_out)


def _reduced(image: Image.Image, side: int) -> Image.Image:
    """A large image by a whole factor smaller, for `side` above 0."""
    factor = min(image.size) // (2 * side) if side else 1
    if factor < 2 or image.mode[0] == "I":
        return image
    if image.mode in ("1", "P", "PA"):
        image = image.convert(
            "RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB"
        )
    return image.reduce(factor)


def _deep_values(opened: Image.Image, source: Source) -> NDArray[np.generic] | None:
    """H x W or H x W x 3 integers of an image of more than 8 bits; None of others and of floats."""
    if opened.mode[0] == "I":
        return np.asarray(opened)
    with Image.open(source) as again:
        tiles = []
        for tile in again.tile:
            words = (tile.args,) if isinstance(tile.args, str) else tuple(tile.args or ("",))
            colours, _, order = str(words[0]).partition(";")
            if colours not in ("RGB", "RGBA") or order not in LOW_BYTE:
                return None
            words = (f"{colours};{LOW_BYTE[order]}", *words[1:])
            tiles.append(tile._replace(args=words[0] if isinstance(tile.args, str) else words))
        if not tiles:
            return None
        again.tile = tiles
        low = np.asarray(again)[..., :3]
    deep: NDArray[np.uint16] = np.asarray(opened)[..., :3] * np.uint16(256) + low
    return deep


def _scaled(values: NDArray[Any], white: int) -> Image.Image:
    """Integers from 0 to white as 8 bits, some rows at a time: the arrays are large."""
    pixels = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), 1024):
        rows = values[top : top + 1024].clip(0, white).astype(np.float32)
        pixels[top : top + 1024] = (rows * (255 / white)).round()
    return Image.fromarray(pixels)


def _float(image: Image.Image) -> Image.Image:
    """Floats by their own range."""
    grey = np.asarray(image, dtype=np.float64)
    low, high = float(grey.min()), float(grey.max())
    if not np.isfinite(high - low):
        raise ValueError("holds NaN or infinite pixels")
    grey = (grey - low) * (65535 / (high - low or 1.0))
    return Image.fromarray((grey.clip(0, 65535) / 257).round().astype(np.uint8))
