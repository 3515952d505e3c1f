"""Unpaired images in CycleGAN's layout, decoded once: see core/data/pixel_cache.py.

`trainA trainB testA testB` hold the two domains. A validation split is cut from each train
folder by a hash of the file name: the same files give the same split, on any machine. Every
score is computed on it. Test folders are never opened.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from core.data.digests import file_digests
from core.data.outputs import ENOUGH_INPUTS, few_inputs_note
from core.data.pixel_cache import Decoded, Skipped, decode_once
from core.data.pixel_cache import Pixels as Pixels
from core.data.sample import sample_folder
from core.task import UserError

Preprocess = Literal["resize", "scale-width-and-crop", "crop"]

UNREADABLE_SHARE = 0.05
VALIDATION_SHARE, VALIDATION_LEAST, VALIDATION_MOST = 0.10, 100, 0.25
CROP_MARGIN = 286 / 256


@dataclass(frozen=True)
class Domain:
    """The images of one domain, H x W x 3 uint8, read-only: for training with a margin to crop.

    `validation` images are already cut to size x size.
    """

    train: Sequence[Pixels]
    validation: Sequence[Pixels]
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class UnpairedImages:
    """Two domains A and B at one size, and a fingerprint of everything they were made from."""

    a: Domain
    b: Domain
    size: int
    fingerprint: str
    cache_note: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be read or is few in each domain, and why none are kept on disk."""
        skipped = {name: self.domain(name).skipped for name in "AB"}
        unreadable = (
            f"train{name}: {len(files)} images skipped, unreadable: {'; '.join(files)}"
            for name, files in skipped.items()
            if files
        )
        remedy = f"add images, {round(ENOUGH_INPUTS / VALIDATION_MOST)} are enough"
        few = (
            f"train{name}: {note}"
            for name in "AB"
            if (note := few_inputs_note(len(self.domain(name).validation), remedy))
        )
        return (*unreadable, *few, *filter(None, [self.cache_note]))

    def domain(self, name: str) -> Domain:
        """Domain "A" or "B"."""
        return self.a if name == "A" else self.b


def load_unpaired(data: str, size: int, preprocess: Preprocess) -> UnpairedImages:
    """Decode the train folders of a data set ('sample': the embedded one); kept for the process.

    Raises UserError for a missing or empty domain, for images smaller than needed, and when more
    than 5 % of a domain cannot be read.
    """
    try:
        folder = sample_folder() if data == "sample" else Path(data).expanduser()
        return _load(folder.resolve(), size, preprocess)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"--data {data}: {error}") from None


@lru_cache(maxsize=2)
def _load(folder: Path, size: int, preprocess: Preprocess) -> UnpairedImages:
    domains = {name: _files(folder, f"train{name}") for name in "AB"}
    paths = [path for files in domains.values() for path in files]
    contents = file_digests(folder, paths)
    digest = hashlib.sha256(f"{size} {preprocess}".encode())
    for path, content in zip(paths, contents, strict=True):
        digest.update(path.parent.name[-1].encode() + os.fsencode(path.name) + content)
    validation = {path for files in domains.values() for path in _held_out(files)}

    def read(index: int) -> Pixels | Skipped:
        path = paths[index]
        load = size if path in validation else round(size * CROP_MARGIN)
        try:
            image = decode(path)
        except Exception as error:  # whatever Pillow's plugins raise on a damaged file
            system = isinstance(error, MemoryError) or getattr(error, "errno", None) is not None
            reason = f"{path.name} ({error or type(error).__name__})"
            return Skipped(reason, lasting=not (system and contents[index]))
        return _view(image, path, size, load, preprocess)

    decoded = decode_once(digest.hexdigest(), paths, read)
    count = len(domains["A"])
    a = _domain(domains["A"], 0, validation, decoded)
    b = _domain(domains["B"], count, validation, decoded)
    return UnpairedImages(a, b, size, digest.hexdigest()[:16], decoded.note)


def _files(root: Path, name: str) -> list[Path]:
    folder, suffixes = root / name, Image.registered_extensions()
    layout = "the layout is trainA, trainB (and testA, testB)"
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; {layout}")
    with os.scandir(folder) as listed:
        entries = [(folder / entry.name, entry) for entry in sorted(listed, key=lambda e: e.name)]
        paths = [p for p, entry in entries if p.suffix.lower() in suffixes and entry.is_file()]
    if len(paths) < 2:
        raise UserError(f"{folder}: holds {len(paths)} images, at least 2 are needed; {layout}")
    return paths


def validation_names(names: list[str]) -> set[str]:
    """The names cut off for validation: those with the smallest hashes.

    A tenth of them, or as many more as make 100, but never above a quarter (and at least one).
    """
    by_hash = sorted(names, key=lambda name: hashlib.sha256(os.fsencode(name)).digest())
    most = int(len(names) * VALIDATION_MOST)
    count = max(int(len(names) * VALIDATION_SHARE), min(VALIDATION_LEAST, most), 1)
    return set(by_hash[:count])


def _held_out(paths: list[Path]) -> Iterator[Path]:
    names = validation_names([path.name for path in paths])
    return (path for path in paths if path.name in names)


def _domain(paths: list[Path], first: int, held_out: set[Path], decoded: Decoded) -> Domain:
    """The domain of these files, the first of which is image number `first`."""
    folder = paths[0].parent
    train, validation, skipped = list[int](), list[int](), list[str]()
    for index, path in enumerate(paths, first):
        if index in decoded.skipped:
            skipped.append(decoded.skipped[index])
        else:
            (validation if path in held_out else train).append(index)
    if len(skipped) > UNREADABLE_SHARE * len(paths):
        raise UserError(
            f"{folder}: {len(skipped)} of {len(paths)} images cannot be read, more than "
            f"{UNREADABLE_SHARE:.0%}; repair or remove them: {'; '.join(skipped[:5])}"
        )
    if not train or not validation:
        raise UserError(f"{folder}: too few readable images to train and validate with; add more")
    images = decoded.images
    return Domain(images.take(train), images.take(validation), tuple(skipped))


def decode(path: Path) -> Image.Image:
    """Read any image as RGB: turned upright by EXIF, 16 bit scaled to 8, alpha put on white."""
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith(("I", "F")):
            return _deep(image)
        if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert("RGB")


def _deep(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits: 16-bit integers by their full range, floats by their own."""
    grey = np.asarray(image, dtype=np.float64)
    if image.mode == "F":
        low, high = float(grey.min()), float(grey.max())
        if not np.isfinite(high - low):
            raise ValueError("holds NaN or infinite pixels")
        grey = (grey - low) * (65535 / (high - low or 1.0))
    return Image.fromarray((grey.clip(0, 65535) / 257).round().astype(np.uint8)).convert("RGB")


def _view(image: Image.Image, path: Path, size: int, load: int, preprocess: Preprocess) -> Pixels:
    """Scale one image; with load == size the result is size x size, cut from the centre.

    `load` > size leaves the margin that training crops from (286 for 256). Scaling by width never
    makes a wide image lower than `size`: it then scales by height, where CycleGAN's code stretches.
    """
    width, height = image.size
    if preprocess == "resize":
        image = image.resize((load, load), Image.Resampling.BICUBIC)
    elif preprocess == "scale-width-and-crop":
        scale = max(load / width, size / height)
        scaled = (round(width * scale), round(height * scale))
        image = image.resize(scaled, Image.Resampling.BICUBIC)
    if min(image.size) < size:
        raise UserError(
            f"{path}: {width} x {height} pixels are too small for --size {size} with --preprocess "
            f"{preprocess}; choose a smaller size or --preprocess resize"
        )
    pixels = np.asarray(image)
    if load > size:
        return pixels
    top, left = (pixels.shape[0] - size) // 2, (pixels.shape[1] - size) // 2
    return np.ascontiguousarray(pixels[top : top + size, left : left + size])
