"""What a folder of images holds: each entry is taken, or counted among those that are left out.

Training, `gantune translate` and `gantune doctor` see folders by this listing and no other.
"""

from __future__ import annotations

import importlib
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

from core.data.outputs import ENOUGH_INPUTS
from core.task import UserError

FEWEST, FEW = 20, 100  # images of a domain: fewer are refused, fewer are warned of
LAYOUT = "the layout is trainA, trainB (and testA, testB)"
SYSTEM = {"thumbs.db", "desktop.ini", "__macosx"}  # hidden, beside names with a dot in front
HEIF = {".heic", ".heif", ".hif"}
IMAGE, HIDDEN = "image", "hidden"
KINDS = 5  # at most, that are counted apart


@dataclass(frozen=True)
class Listing:
    """The images of a folder by name, sorted; "sub/x.jpg" in a sub-folder.

    `left_out` says in a sentence what else the folder holds; '' where it holds nothing else.
    """

    folder: Path
    names: tuple[str, ...]
    left_out: str = ""

    @property
    def paths(self) -> list[Path]:
        """The images' paths, in the order of the names."""
        return [self.folder / name for name in self.names]


@cache
def image_suffixes() -> frozenset[str]:
    """The suffixes of what Pillow opens, in lower case; HEIC where pillow-heif is installed."""
    with suppress(ImportError):
        importlib.import_module("pillow_heif").register_heif_opener()
    suffixes = Image.registered_extensions()  # of formats that are only written, too
    opened = {*Image.OPEN, "MPO"}  # which the JPEG reader opens
    return frozenset(suffix for suffix, kind in suffixes.items() if kind in opened)


def list_images(folder: Path, recursive: bool = False) -> Listing:
    """List a folder, and with `recursive` its sub-folders. Links to folders are followed once."""
    names, left_out = list[str](), Counter[str]()
    for name, kind in _entries(folder, image_suffixes(), "", {folder.resolve()}):
        if "/" in name and not recursive:
            left_out["images in sub-folders" if kind == IMAGE else "others in sub-folders"] += 1
        elif kind == IMAGE:
            names.append(name)
        else:
            left_out[kind] += 1
    taken = f"{folder.name}: {len(names)} images taken, left out: "
    return Listing(folder, tuple(sorted(names)), taken + _counts(left_out) if left_out else "")


def list_domain(root: Path, name: str, recursive: bool = False) -> Listing:
    """List a train folder of a data set; UserError where it is missing or has too few images."""
    folder = root / name
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; {LAYOUT}")
    listing = list_images(folder, recursive)
    if (count := len(listing.names)) < FEWEST:
        what = f"{folder}: holds {count} images, at least {FEWEST} are needed"
        raise UserError(f"{what}; {listing.left_out or LAYOUT}")
    return listing


def few_images(folder: str, count: int, held_out: int) -> str:
    """What to know of a domain of few images, `held_out` of them for validation; '' of others."""
    if count >= FEW:
        return ""
    what = f"{folder}: {count} images, {held_out} of them for validation; with fewer than {FEW}, "
    what += "scores vary much by chance"
    if held_out < ENOUGH_INPUTS:
        what += f", and with fewer than {ENOUGH_INPUTS} validation inputs collapse is recognised "
        what += "by identical or blank outputs alone"
    return f"{what}: add images"


def _entries(
    folder: Path, suffixes: frozenset[str], prefix: str, visited: set[Path]
) -> Iterator[tuple[str, str]]:
    """The name below the first folder and the kind of every entry that is no folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            _, dot, suffix = entry.name.rpartition(".")
            if entry.name.startswith(".") or entry.name.lower() in SYSTEM:
                yield name, HIDDEN
            elif entry.is_dir():
                if (real := Path(entry.path).resolve()) not in visited:
                    visited.add(real)
                    try:
                        yield from _entries(folder / entry.name, suffixes, f"{name}/", visited)
                    except PermissionError:
                        yield name, "sub-folders that may not be read"
            elif not entry.is_file():
                yield name, "broken links or no files"
            elif dot and f".{suffix.lower()}" in suffixes:
                yield name, IMAGE
            else:
                yield name, f".{suffix}" if dot else "without a suffix"


def _counts(kinds: Counter[str]) -> str:
    """`20 .HEIC (how to read them), 2 hidden`: the most frequent kinds, and how many others."""
    shown = kinds.most_common(KINDS)
    if more := kinds.total() - sum(count for _, count in shown):
        shown.append(("others", more))
    return ", ".join(f"{count} {kind}{_remedy(kind)}" for kind, count in shown)


def _remedy(kind: str) -> str:
    if kind.lower() in HEIF:
        return " (pip install pillow-heif, and they are read)"
    return " (--recursive takes them)" if kind == "images in sub-folders" else ""
