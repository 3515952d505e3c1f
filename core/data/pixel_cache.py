"""Decoded images on disk, shared by every process that wants the same ones.

<cache folder>/images-<key>/pixels.u8     the images' bytes, one after the other
                           /index.jsonl   a line an image: [height, width, remark]
<cache folder>/images-<key>.lock          held by the process that builds

Pixels are written and synced before their lines, and lines are only appended: whatever stops a
build, those that are there are true, and the next build goes on after them. Pixels are never
changed once all lines are there, since processes have the file mapped; a damaged cache is removed
and built anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
from filelock import AcquireReturnProxy, FileLock, Timeout
from numpy.typing import NDArray
from PIL import __version__ as pillow

from core.data import cache_folder
from core.data.parallel import QUIET, in_threads, say

Pixels = NDArray[np.uint8]
Row = tuple[int, int, str]  # height, width (0 where it was skipped), and why, or what it lacks
NOTHING = np.empty((0, 0, 3), np.uint8)

VERSION = 2  # part of the cache's key: change it with anything that changes a pixel
COMMIT = 1.0  # seconds of work, at most, that a killed build loses
DECODING = "images: decoding"
FOLDER = "\0"  # stands for the images' folder in remarks: a copy elsewhere has another


class Reading(NamedTuple):
    """An image, with a remark where it lacks something; NOTHING, and why, where it is skipped.

    An image that is skipped may be read another time where this is not `lasting`.
    """

    pixels: Pixels = NOTHING
    remark: str = ""
    lasting: bool = True


Read = Callable[[int], Reading]


class PackedImages(Sequence[Pixels]):
    """Images of any size in one flat array (a mapped file): each is an H x W x 3 read-only view.

    `rows` are N offsets, heights and widths.
    """

    def __init__(self, flat: Pixels, rows: NDArray[np.int64]) -> None:
        self.flat, self.rows = flat, rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Pixels: ...
    @overload
    def __getitem__(self, index: slice) -> PackedImages: ...
    def __getitem__(self, index: int | slice) -> Pixels | PackedImages:
        if isinstance(index, slice):
            return PackedImages(self.flat, self.rows[index])
        offset, height, width = self.rows[index].tolist()
        return self.flat[offset : offset + height * width * 3].reshape(height, width, 3)

    def take(self, indices: Sequence[int]) -> PackedImages:
        """The images at these indices, in their order."""
        return PackedImages(self.flat, self.rows[np.asarray(indices, np.int64)])


@dataclass(frozen=True)
class Decoded:
    """All images (0 x 0 where skipped); by index why they are, and remarks on others; a note."""

    images: PackedImages
    skipped: Mapping[int, str]
    remarks: Mapping[int, str]
    note: str = ""


def decode_once(key: str, paths: Sequence[Path], read: Read) -> Decoded:
    """What `read` gives for the index of each path: from the cache, or decoded into it now.

    `key` tells the files' content and the preprocessing from any other. Of several processes one
    decodes and the others wait. Where the cache folder cannot be written, or the disk is full, the
    images are decoded in memory, and the note says so. What `read` raises ends the build.
    """
    name = hashlib.sha256(f"{VERSION} {pillow} {key}".encode()).hexdigest()[:16]
    try:
        home = cache_folder() / f"images-{name}"
        return _open(home, paths) or _build(home, paths, read)
    except (OSError, RuntimeError) as error:  # RuntimeError: no home folder, no locks
        note = f"images: decoded in memory, since they cannot be kept on disk ({error})"
    buffer, rows = bytearray(), list[Row]()
    for image in in_threads(read, range(len(paths)), DECODING):
        rows.append((*image.pixels.shape[:2], image.remark))
        buffer += image.pixels.data
    return _decoded(np.frombuffer(buffer, np.uint8), rows, paths, note)


def _open(home: Path, paths: Sequence[Path]) -> Decoded | None:
    """The images of a complete cache; None where it is missing, unfinished or damaged."""
    rows, _ = _read_index(home)
    file, size = home / "pixels.u8", _size(rows)
    if len(rows) != len(paths) or not file.is_file() or file.stat().st_size != size:
        return None
    flat = np.memmap(file, np.uint8, "r").view(np.ndarray) if size else np.empty(0, np.uint8)
    return _decoded(flat, rows, paths)


def _decoded(flat: Pixels, rows: Sequence[Row], paths: Sequence[Path], note: str = "") -> Decoded:
    flat.flags.writeable = False
    shapes = np.array([row[:2] for row in rows], np.int64).reshape(-1, 2)
    lengths = shapes.prod(1) * 3
    offsets = np.cumsum(lengths) - lengths
    skipped, remarks = dict[int, str](), dict[int, str]()
    for i, (path, (height, _, remark)) in enumerate(zip(paths, rows, strict=True)):
        if remark:
            (remarks if height else skipped)[i] = remark.replace(FOLDER, str(path.parent))
    return Decoded(PackedImages(flat, np.column_stack([offsets, shapes])), skipped, remarks, note)


def _size(rows: Sequence[Row]) -> int:
    return sum(height * width * 3 for height, width, _ in rows)


def _read_index(home: Path) -> tuple[list[Row], int]:
    """The committed rows and their length in bytes: none of a damaged index, no torn last line."""
    try:
        text = (home / "index.jsonl").read_bytes()
        text = text[: text.rfind(b"\n") + 1]
        lines = json.loads(b"[" + b",".join(text.splitlines()) + b"]")
        rows = [(int(height), int(width), str(remark)) for height, width, remark in lines]
    except (OSError, ValueError, TypeError):
        return [], 0
    return (rows, len(text)) if all(min(row[:2]) >= 0 for row in rows) else ([], 0)


def _build(home: Path, paths: Sequence[Path], read: Read) -> Decoded:
    """Decode what is missing, under the lock. After an error nothing of the cache is left."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with _hold(f"{home}.lock"):
        if (found := _open(home, paths)) is not None:
            return found
        try:
            lasting = _write(home, paths, read)
            if (found := _open(home, paths)) is None:
                raise OSError(f"{home}: changed while it was written")
        except Exception:
            shutil.rmtree(home, ignore_errors=True)
            raise
        if not lasting:  # the next process tries again; the map of this one stays valid
            shutil.rmtree(home, ignore_errors=True)
        return found


def _hold(path: str) -> AcquireReturnProxy:
    lock = FileLock(path)
    try:
        return lock.acquire(timeout=QUIET)
    except Timeout:
        say("images: another process decodes them; waiting for it")
        return lock.acquire()


def _write(home: Path, paths: Sequence[Path], read: Read) -> bool:
    """Append the images that are missing; whether all that was skipped would be skipped again.

    From the first that would not be on, nothing is committed before the end.
    """
    rows, length = _read_index(home)
    file, size = home / "pixels.u8", _size(rows)
    if len(rows) >= len(paths) or not file.is_file() or file.stat().st_size < size:
        shutil.rmtree(home, ignore_errors=True)
        rows, length, size = [], 0, 0
    home.mkdir(exist_ok=True)
    done, lasting, lines, committed = len(rows), True, list[str](), time.monotonic()
    with file.open("ab") as pixels, (home / "index.jsonl").open("ab") as index:
        pixels.truncate(size)
        index.truncate(length)

        def commit() -> None:
            for stream, content in ((pixels, b""), (index, "".join(lines).encode())):
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            lines.clear()

        images = in_threads(read, range(done, len(paths)), DECODING, done)
        for i, image in enumerate(images, done):
            lasting = lasting and image.lasting
            remark = image.remark.replace(str(paths[i].parent), FOLDER)
            pixels.write(image.pixels.data)
            lines.append(json.dumps([*image.pixels.shape[:2], remark]) + "\n")
            if lasting and time.monotonic() - committed >= COMMIT:
                commit()
                committed = time.monotonic()
        commit()
    return lasting
