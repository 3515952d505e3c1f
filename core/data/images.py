"""Unpaired images in CycleGAN's layout, decoded once: see core/data/pixel_cache.py.

`trainA trainB testA testB` hold the two domains. A validation split is cut from each train
folder by a hash of the file name (with the sub-folder's, where it lies in one): the same files give
the same split, on any machine. Every score is computed on it. Test folders are never opened.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from core.data.decoding import WHITE, decode, white_level, white_note
from core.data.digests import file_digests
from core.data.listing import FEWEST, Listing, few_images, list_domain
from core.data.metadata import bare_note
from core.data.pixel_cache import Decoded, Reading, decode_once
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

    `validation` images are already cut to size x size. `notes` say what else its folder holds.
    """

    train: Sequence[Pixels]
    validation: Sequence[Pixels]
    skipped: tuple[str, ...]
    notes: tuple[str, ...] = ()


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
        """The images of each domain that were not read, and why none are kept on disk."""
        skipped = {name: self.domain(name).skipped for name in "AB"}
        unreadable = (
            f"train{name}: {len(files)} images skipped, unreadable: {'; '.join(files)}"
            for name, files in skipped.items()
            if files
        )
        return (*unreadable, *filter(None, [self.cache_note]), *self.a.notes, *self.b.notes)

    def domain(self, name: str) -> Domain:
        """Domain "A" or "B"."""
        return self.a if name == "A" else self.b


def load_unpaired(
    data: str, size: int, preprocess: Preprocess, recursive: bool = False
) -> UnpairedImages:
    """Decode the train folders of a data set ('sample': the embedded one); kept for the process.

    Raises UserError for a missing domain, for one of fewer than 20 images, for images smaller than
    needed, and when more than 5 % of a domain cannot be read.
    """
    try:
        folder = sample_folder() if data == "sample" else Path(data).expanduser()
        return _load(folder.resolve(), size, preprocess, recursive)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"--data {data}: {error}") from None


@lru_cache(maxsize=2)
def _load(folder: Path, size: int, preprocess: Preprocess, recursive: bool) -> UnpairedImages:
    domains = {name: list_domain(folder, f"train{name}", recursive) for name in "AB"}
    paths = [path for listing in domains.values() for path in listing.paths]
    names = [(domain, name) for domain, listing in domains.items() for name in listing.names]
    contents = file_digests(folder, paths)
    digest = hashlib.sha256(f"{size} {preprocess}".encode())
    for (domain, name), content in zip(names, contents, strict=True):
        digest.update(domain.encode() + os.fsencode(name) + content)
    count = len(domains["A"].names)
    parts = {"A": slice(0, count), "B": slice(count, None)}
    whites = {name: white_level(paths[part], contents[part]) for name, part in parts.items()}
    for name, white in whites.items():
        digest.update(f"white of {name} {white}".encode() if white != WHITE else b"")
    held_out = {domain: validation_names(listing.names) for domain, listing in domains.items()}

    def read(index: int) -> Reading:
        path, (domain, name) = paths[index], names[index]
        load = size if name in held_out[domain] else round(size * CROP_MARGIN)
        try:
            image, left_out = decode(path, whites[domain], 0 if preprocess == "crop" else load)
        except Exception as error:  # whatever Pillow's plugins raise on a damaged file
            system = isinstance(error, MemoryError) or getattr(error, "errno", None) is not None
            reason = f"{name} ({error or type(error).__name__})"
            return Reading(remark=reason, lasting=not (system and contents[index]))
        pixels = _view(image, path, size, load, preprocess)
        return Reading(pixels, f"{name} ({left_out})" if left_out else "")

    decoded = decode_once(digest.hexdigest(), paths, read)
    a, b = (
        _domain(domains[name], parts[name].start, held_out[name], decoded, whites[name])
        for name in "AB"
    )
    return UnpairedImages(a, b, size, digest.hexdigest()[:16], decoded.note)


def validation_names(names: Sequence[str]) -> set[str]:
    """The names cut off for validation: those with the smallest hashes.

    A tenth of them, or as many more as make 100, but never above a quarter (and at least one).
    """
    by_hash = sorted(names, key=lambda name: hashlib.sha256(os.fsencode(name)).digest())
    most = int(len(names) * VALIDATION_MOST)
    count = max(int(len(names) * VALIDATION_SHARE), min(VALIDATION_LEAST, most), 1)
    return set(by_hash[:count])


def _domain(
    listing: Listing, first: int, held_out: set[str], decoded: Decoded, white: int
) -> Domain:
    """The domain of these files, the first of which is image number `first`."""
    folder, count = listing.folder, len(listing.names)
    train, validation, skipped = list[int](), list[int](), list[str]()
    for index, name in enumerate(listing.names, first):
        if index in decoded.skipped:
            skipped.append(decoded.skipped[index])
        else:
            (validation if name in held_out else train).append(index)
    if len(skipped) > UNREADABLE_SHARE * count or count - len(skipped) < FEWEST:
        raise UserError(
            f"{folder}: {len(skipped)} of {count} images cannot be read, more than "
            f"{UNREADABLE_SHARE:.0%} or fewer than {FEWEST} left; repair or remove them: "
            f"{'; '.join(skipped[:5])}"
        )
    few = few_images(folder.name, len(train) + len(validation), len(validation))
    bare = [decoded.remarks[i] for i in range(first, first + count) if i in decoded.remarks]
    notes = (listing.left_out, few, white_note(folder.name, white), bare_note(folder.name, bare))
    images = decoded.images
    return Domain(
        images.take(train), images.take(validation), tuple(skipped), tuple(filter(None, notes))
    )


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
