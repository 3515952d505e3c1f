"""Labelled images for tasks that make images from noise: digits, or any folder of classes.

`digits` are scikit-learn's 1,797 handwritten digits. A folder holds MNIST's own files (IDX, gzip or
not; Fashion-MNIST and EMNIST have the same form), or a folder of images for each class, under
`train` where there is one. A test part is never opened: validation images are cut from the
training ones, the same share of each class, the same ones in every trial.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from pydantic import BeforeValidator, Field
from torch import Tensor

from core.data.decoding import decode, white_level, white_note
from core.data.glyphs import whole_number
from core.data.images import UNREADABLE_SHARE
from core.data.listing import list_images
from core.data.parallel import in_threads
from core.data.tensors import from_pixels
from core.task import Params, UserError

Pixels = NDArray[np.uint8]
Indices = NDArray[np.int64]

VALIDATION_SHARE, MOST_VALIDATION = 0.2, 10_000
FEWEST = 20  # images of a class
SPLIT_SEED = 0  # the same in every trial
IMAGES, LABELS = 2051, 2049  # IDX's magic numbers: unsigned bytes in three dimensions, and in one
LAYOUT = (
    "it takes MNIST's files (such as train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz), "
    "or one folder of images for each class"
)


class DigitParams(Params):
    """The data of tasks that make images from noise."""

    data: str = Field(
        "digits",
        description="folder of MNIST's IDX files or of class folders; 'digits' are scikit-learn's",
    )
    size: Annotated[Literal[28, 32, 64], BeforeValidator(whole_number)] = Field(
        28, description="width and height of the images, in pixels; others are scaled"
    )
    channels: Annotated[Literal[1, 3], BeforeValidator(whole_number)] = Field(
        1, description="channels of the images: grey or colour"
    )


@dataclass(frozen=True)
class LabelledImages:
    """Images, N x C x H x W uint8, their classes from 0, and their split."""

    pixels: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    train: Indices
    validation: Indices
    fingerprint: str
    notes: tuple[str, ...] = ()

    def tensors(self, indices: Sequence[int] | Indices) -> tuple[Tensor, Tensor]:
        """Some images, float32 N x C x H x W in [-1, 1], and their classes, N int64."""
        chosen = torch.as_tensor(np.asarray(indices, dtype=np.int64))
        return from_pixels(self.pixels[chosen]), self.labels[chosen]


class _Found(NamedTuple):
    """What a data set holds before it is scaled."""

    images: Tensor  # N x C x H x W uint8
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def load_digits(params: DigitParams) -> LabelledImages:
    """Read, scale and split the images; kept for the process.

    Raises UserError for a folder without images, for damaged or foreign files, and for fewer than
    two classes or 20 images of a class.
    """
    try:
        return _load(params.data, params.size, params.channels)
    except (OSError, ValueError) as error:
        raise UserError(f"--data {params.data}: {error}") from None


@lru_cache(maxsize=2)
def _load(data: str, size: int, channels: int) -> LabelledImages:
    if data == "digits":
        found = _embedded()
    else:
        folder = Path(data).expanduser()
        if not folder.is_dir():
            raise UserError(f"--data {data}: no such folder; {LAYOUT}")
        images = _find(folder, "images", 3)
        found = _idx(images, folder) if images else _class_folders(folder, size, channels)
    counts = np.bincount(found.labels)
    if len(counts) < 2 or counts.min() < FEWEST:
        few = found.classes[int(counts.argmin())]
        raise UserError(
            f"--data {data}: {len(counts)} classes, {counts.min()} images of {few!r}; two classes "
            f"of {FEWEST} images are the least"
        )
    pixels = _scaled(found.images, size, channels)
    train, validation = _split(found.labels)
    digest = hashlib.sha256(f"{size} {channels} {found.classes}".encode())
    digest.update(pixels.numpy().data)
    digest.update(found.labels.data)
    return LabelledImages(
        pixels,
        torch.from_numpy(found.labels),
        found.classes,
        train,
        validation,
        digest.hexdigest()[:16],
        found.notes,
    )


def _embedded() -> _Found:
    from sklearn.datasets import load_digits as load_embedded  # slow to import

    bunch = load_embedded()
    images = torch.from_numpy((bunch.images * (255 / 16)).round().astype(np.uint8))
    margin = F.pad(images[:, None], (1, 1, 1, 1))  # they fill their 8 x 8 pixels to the edge
    return _Found(margin, bunch.target.astype(np.int64), tuple("0123456789"))


def _find(folder: Path, what: str, dimensions: int) -> Path | None:
    """The training file of images or labels in MNIST's naming."""
    pattern = f"*train*{what}?idx{dimensions}*"
    return next((path for path in sorted(folder.glob(pattern)) if path.is_file()), None)


def _idx(images: Path, folder: Path) -> _Found:
    labels = _find(folder, "labels", 1)
    if labels is None:
        raise UserError(f"{images}: no labels lie beside it (train-labels-idx1-ubyte or .gz)")
    pixels, classes = read_idx(images, IMAGES), read_idx(labels, LABELS)
    if len(pixels) != len(classes):
        raise UserError(
            f"{images}: {len(pixels)} images, but {labels.name} has {len(classes)} labels; "
            "take both from the same data set"
        )
    notes: tuple[str, ...] = ()
    if images.name.startswith("emnist"):
        pixels, notes = pixels.swapaxes(1, 2), ("EMNIST's images lie on their side: turned",)
    names, numbers = np.unique(classes, return_inverse=True)
    tensor = torch.from_numpy(pixels.copy())[:, None]
    return _Found(tensor, numbers.astype(np.int64), tuple(map(str, names)), notes)


def read_idx(path: Path, magic: int) -> Pixels:
    """An IDX file of unsigned bytes, gzip or not; UserError for any other or a damaged one.

    The format is four bytes of magic number (2051: images, 2049: labels), four for the length of
    each dimension, most significant first, and the bytes.
    """
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (EOFError, OSError, zlib.error) as error:
            raise UserError(f"{path}: is no whole gzip file ({error}); copy it again") from None
    found = int.from_bytes(raw[:4], "big")
    if found != magic:
        what = "images" if magic == IMAGES else "labels"
        raise UserError(f"{path}: holds no IDX {what}: its magic number is {found}, not {magic}")
    dimensions = magic % 256
    shape = [int.from_bytes(raw[4 * i : 4 * i + 4], "big") for i in range(1, dimensions + 1)]
    expected = 4 + 4 * dimensions + int(np.prod(shape, dtype=np.int64))
    if len(raw) != expected:
        raise UserError(
            f"{path}: {len(raw):,} bytes instead of the {expected:,} of "
            f"{' x '.join(map(str, shape))}; copy it again"
        )
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def _class_folders(folder: Path, size: int, channels: int) -> _Found:
    root = folder / "train" if (folder / "train").is_dir() else folder
    homes = [list_images(home) for home in sorted(p for p in root.iterdir() if p.is_dir())]
    homes = [home for home in homes if home.names]
    paths = [path for home in homes for path in home.paths]
    if not paths:
        raise UserError(f"--data {folder}: holds no class folders; {LAYOUT}")
    labels = np.repeat(np.arange(len(homes)), [len(home.names) for home in homes])
    white = white_level(paths)

    def read(path: Path) -> Pixels | str:
        try:
            image = decode(path, white, size)[0].resize((size, size), Image.Resampling.BICUBIC)
        except Exception as error:  # whatever Pillow's plugins raise on a damaged file
            return f"{path.parent.name}/{path.name} ({error})"
        return np.asarray(image if channels == 3 else image.convert("L"))

    found = list(in_threads(read, paths, "images: decoding"))
    bad = [each for each in found if isinstance(each, str)]
    if len(bad) > UNREADABLE_SHARE * len(paths):
        raise UserError(f"--data {folder}: {len(bad)} images cannot be read: {'; '.join(bad[:3])}")
    images = np.stack([np.atleast_3d(each) for each in found if not isinstance(each, str)])
    kept = np.array([not isinstance(each, str) for each in found])
    notes = [home.left_out for home in homes] + [white_note(root.name, white)]
    notes += [f"{len(bad)} images skipped, unreadable: {'; '.join(bad)}"] if bad else []
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    names = tuple(home.folder.name for home in homes)
    return _Found(pixels, labels[kept].astype(np.int64), names, tuple(filter(None, notes)))


def _scaled(images: Tensor, size: int, channels: int) -> Tensor:
    """Uint8 N x C x H x W to N x channels x size x size."""
    if images.shape[1] < channels:
        images = images.expand(-1, channels, -1, -1)
    if images.shape[2:] == (size, size):
        return images.contiguous()
    parts = [
        F.interpolate(part.float(), (size, size), mode="bicubic", antialias=True)
        for part in torch.split(images, 1024)
    ]
    return torch.cat([part.clamp_(0, 255).round_().to(torch.uint8) for part in parts])


def _split(labels: NDArray[np.int64]) -> tuple[Indices, Indices]:
    """Training and validation indices: a fifth of each class, at most 10,000 in all."""
    share = min(VALIDATION_SHARE, MOST_VALIDATION / len(labels))
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    held_out = []
    for label in np.unique(labels):
        mine = order[labels[order] == label]
        held_out.append(mine[: max(1, round(share * len(mine)))])
    validation = np.sort(np.concatenate(held_out))
    return np.setdiff1d(np.arange(len(labels)), validation), validation
