"""What lies beside the pixels in an image's file: left out where Pillow cannot read it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

from PIL import Image

from core.task import UserError

Result = TypeVar("Result")
Source = Path | io.BytesIO

PNG, PIXELS = b"\x89PNG\r\n\x1a\n", {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
TURNS = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_pixels(path: Path, read: Callable[[Source], Result]) -> tuple[Result, str]:
    """What `read` returns for a file, or for its pixels alone, with the error that it met first."""
    try:
        return read(path), ""
    except (MemoryError, UserError):
        raise  # it is the pixels that are too many
    except Exception as error:
        for exif in (True, False):
            with suppress(Exception):
                return read(_bare(path, exif)), str(error) or type(error).__name__
        raise


def _bare(path: Path, exif: bool) -> io.BytesIO:
    """A PNG or JPEG file of its pixels alone, or with its EXIF; ValueError for other formats."""
    with path.open("rb") as file:
        start = file.read(8)
        if start == PNG:
            kept = (c for kind, c in _chunks(file) if kind in PIXELS or (exif and kind == b"eXIf"))
        elif start[:2] == b"\xff\xd8":
            file.seek(len(start := start[:2]))
            kept = (c for kind, c in _segments(file) if not kind or (exif and kind == b"Exif"))
        else:
            raise ValueError("neither PNG nor JPEG")
        return io.BytesIO(start + b"".join(kept))


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG file, each after its kind."""
    while len(head := file.read(8)) == 8:
        yield head[4:], head + file.read(int.from_bytes(head[:4]) + 4)


def _segments(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The segments of a JPEG file, each after four bytes of what it holds beside pixels, or b"".

    The last one has the compressed pixels.
    """
    while len(head := file.read(4)) == 4 and head[1] != 0xDA:
        body = file.read(int.from_bytes(head[2:]) - 2)
        beside = head[1] == 0xFE or 0xE0 <= head[1] <= 0xEF
        adobe = head[1] == 0xEE and body.startswith(b"Adobe") and len(body) >= 12  # its colours
        yield body[:4] or b"empty" if beside and not adobe else b"", head + body
    yield b"", head + file.read()


def orientation(image: Image.Image) -> tuple[Image.Transpose | None, str]:
    """How EXIF says that an image is to be turned, and why that cannot be read."""
    try:
        return TURNS.get(image.getexif().get(0x0112, 1)), ""
    except Exception as error:  # whatever Pillow raises on junk
        return None, f"EXIF: {error or type(error).__name__}"


def bare_note(folder: str, files: Sequence[str]) -> str:
    """Which images were read without their metadata; '' where none were."""
    if not files:
        return ""
    some = "; ".join(files[:5]) + (f"; and {len(files) - 5} more" if len(files) > 5 else "")
    return f"{folder}: {len(files)} images read without metadata that are damaged or huge: {some}"
