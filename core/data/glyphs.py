"""Pairs of glyphs: the same characters drawn in two fonts, split by character.

    characters and faces, resolved from GlyphParams -> both drawn -> split -> Glyphs

A character's hash alone decides its part, so it is on the same side in every set and font. What is
drawn is kept in `$XDG_CACHE_HOME/gantune` (or `~/.cache/gantune`), by the content of the fonts.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import __version__ as pillow
from PIL import features
from pydantic import BeforeValidator, Field

from core.data.characters import character_set
from core.data.fonts import Face, find_font
from core.files import atomic_write
from core.task import Params, UserError

if TYPE_CHECKING:
    from torch import Tensor

Pixels = NDArray[np.uint8]
Indices = NDArray[np.int64]

# Part of the cache's key. Change it with anything that changes a pixel.
VERSION = 2

# Fewer pairs than this teach nothing.
LEAST = 50

CHINESE = ("WenQuanYi Zen Hei", "AR PL UKai CN")
WESTERN = ("DejaVu Sans", "DejaVu Serif")

# The first tenths of the hash are for training, the next for validation, the rest for the test.
TRAIN, VALIDATION = 0.8, 0.9


def _number(value: object) -> object:
    """The whole number that text or a float is: pydantic's literals take no other form of it."""
    if isinstance(value, str | int | float):
        with suppress(ValueError, OverflowError):
            return int(value) if int(value) == float(value) else value
    return value


class GlyphParams(Params):
    """What every glyph task is told of its data."""

    source_font: str = Field(
        "auto",
        description="font to translate from, a file or a name; auto: WenQuanYi Zen Hei to AR PL "
        "UKai CN where both are installed and the characters, or the other font, are Chinese, else "
        "DejaVu Sans to DejaVu Serif",
    )
    target_font: str = Field("auto", description="font to translate to; auto: see --source-font")
    source_index: int = Field(0, ge=0, le=1023, description="face of a source font collection")
    target_index: int = Field(0, ge=0, le=1023, description="face of a target font collection")
    characters: str = Field(
        "auto",
        description="gb2312-1, gb2312-2, ascii, latin, greek, cyrillic, every or a UTF-8 text "
        "file, several joined by +; auto: gb2312-1 where both fonts are Chinese, else every",
    )
    size: Annotated[Literal[32, 64, 128], BeforeValidator(_number)] = Field(
        64, description="width and height of the glyphs' squares, in pixels"
    )
    channels: Annotated[Literal[1, 3], BeforeValidator(_number)] = Field(
        1, description="channels of the images: grey, or the same three times"
    )
    data_fraction: float = Field(
        1.0, gt=0, le=1, description="share of the training characters to use"
    )


@dataclass(frozen=True)
class Glyphs:
    """Two drawings of each character, N x H x W uint8, 255 paper and 0 ink, and their split."""

    characters: tuple[str, ...]
    source: Pixels
    target: Pixels
    train: Indices
    validation: Indices
    test: Indices
    fingerprint: str
    notes: tuple[str, ...]

    def tensors(self, indices: Sequence[int] | Indices, channels: int) -> tuple[Tensor, Tensor]:
        """Source and target of some characters: float32 N x C x H x W in [-1, 1], paper +1."""
        import torch

        chosen = np.asarray(indices, dtype=np.int64)

        def tensor(pixels: Pixels) -> Tensor:
            grey = torch.from_numpy(pixels[chosen]).float().unsqueeze(1) / 127.5 - 1
            return grey.repeat(1, channels, 1, 1)

        return tensor(self.source), tensor(self.target)


def load_glyphs(params: GlyphParams) -> Glyphs:
    """Draw, or load, the pairs and split them; kept for the process.

    Raises UserError for fonts or characters there are none of, the same face twice, and fewer than
    50 pairs.
    """
    source, target, characters = _resolve(params)
    if source.is_same(target):
        raise UserError(
            f"--source-font, --target-font: both are {source.name} ({source.path}, face "
            f"{source.index}); name two different fonts"
        )
    return _load(source, target, characters, params.size, params.channels, params.data_fraction)


def _resolve(params: GlyphParams) -> tuple[Face, Face, tuple[str, ...]]:
    """The two faces and the characters asked for, with each `auto` decided."""
    try:
        asked = () if params.characters == "auto" else character_set(params.characters)
    except UserError as error:
        raise UserError(f"--characters: {error}") from None
    han = [c for c in asked or character_set("gb2312-1") if "\u4e00" <= c <= "\u9fff"]
    source = _named("--source-font", params.source_font, params.source_index)
    target = _named("--target-font", params.target_font, params.target_index)
    if not (source and target):
        first, second = _pair([face for face in (source, target) if face], han)
        source = source or (second if target and target.is_same(first) else first)
        target = target or (first if source.is_same(second) else second)
    if not asked:
        chinese = _has(source, han) and _has(target, han)
        asked = character_set("gb2312-1" if chinese else "every")
    return source, target, asked


def _named(flag: str, font: str, index: int) -> Face | None:
    """The face a flag names, None for auto."""
    if font == "auto":
        if index:
            raise UserError(f"{flag}: auto has no face {index} to choose; name the font file")
        return None
    try:
        return Face.open(font, index)
    except UserError as error:
        raise UserError(f"{flag}: {error}") from None


def _pair(named: Sequence[Face], han: Sequence[str]) -> tuple[Face, Face]:
    """What auto stands for beside the fonts already named, where these are the Chinese asked."""
    first, second = WESTERN
    if len(han) >= LEAST and all(_has(face, han) for face in named):
        with suppress(UserError):
            for name in CHINESE:
                find_font(name)
            first, second = CHINESE
    return Face.open(first), Face.open(second)


def _has(face: Face, characters: Sequence[str]) -> bool:
    """Whether the face has at least LEAST of the characters."""
    count = 0
    for glyph in face.draw(characters, 32):
        count += glyph is not None
        if count == LEAST:
            return True
    return False


@lru_cache(maxsize=4)
def _load(
    source: Face,
    target: Face,
    asked: tuple[str, ...],
    size: int,
    channels: int,
    fraction: float,
) -> Glyphs:
    drawn = _cached(source, target, asked, size)
    characters = tuple(drawn.characters)
    if len(characters) < LEAST:
        raise UserError(_too_few(source, target, len(asked), drawn))
    train, validation, test = _split(characters)
    used = _share(characters, train, fraction)
    digest = hashlib.sha256(f"{drawn.characters} {channels}".encode())
    for array in (drawn.source, drawn.target, used, validation, test):
        digest.update(array.tobytes())
    of = f" of {len(train):,}" if len(used) < len(train) else ""
    about = (
        f"glyphs: {source.name} -> {target.name}, {len(characters):,} characters at {size} x "
        f"{size} ({len(used):,}{of} train, {len(validation):,} validation, {len(test):,} test)"
    )
    return Glyphs(
        characters,
        drawn.source,
        drawn.target,
        used,
        validation,
        test,
        digest.hexdigest()[:16],
        (about, *_why_left_out(source, target, size, drawn.left_out)),
    )


def _split(characters: Sequence[str]) -> tuple[Indices, Indices, Indices]:
    """Training, validation and test characters by their hashes, some 80, 10 and 10 % of them."""
    where = np.array([_hash("split", c) for c in characters])
    parts = (
        np.flatnonzero(where < TRAIN),
        np.flatnonzero((where >= TRAIN) & (where < VALIDATION)),
        np.flatnonzero(where >= VALIDATION),
    )
    for name, part in zip(("training", "validation", "test"), parts, strict=True):
        if not len(part):
            raise UserError(
                f"--characters: of {len(characters)} none is for {name}, as their hashes have it; "
                "ask for more"
            )
    return parts


def _share(characters: Sequence[str], train: Indices, fraction: float) -> Indices:
    """Some of the training characters, at least one; a larger fraction has them all and more."""
    where = np.array([_hash("share", characters[i]) for i in train])
    used: Indices = train[(where < fraction) | (where == where.min())]
    return used


def _hash(purpose: str, character: str) -> float:
    """A number in [0, 1) that depends on nothing but the two."""
    digest = hashlib.sha256(character.encode() + purpose.encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


@dataclass(frozen=True)
class _Drawn:
    """The characters that were drawn, a string of them, and their pictures.

    `left_out` are four more strings: what the source and the target lack, the too large, and those
    that look like an earlier one.
    """

    characters: str
    source: Pixels
    target: Pixels
    left_out: tuple[str, ...]


def _why_left_out(source: Face, target: Face, size: int, left_out: Sequence[str]) -> list[str]:
    """A sentence for each reason."""
    reasons = (
        f"{source.name} lacks",
        f"{target.name} lacks",
        f"{size} x {size} at the others' scale is too small for",
        "an earlier one looks the same in both fonts as",
    )
    lines = []
    for reason, which in zip(reasons, left_out, strict=True):
        more = f" and {len(which) - 10:,} more" if len(which) > 10 else ""
        some = f"{len(which):,} characters ({' '.join(which[:10])}{more})"
        lines += [f"glyphs: {reason} {some}, left out"] if which else []
    return lines


def _too_few(source: Face, target: Face, asked: int, drawn: _Drawn) -> str:
    lacking_source, lacking_target, large, alike = map(len, drawn.left_out)
    return (
        f"glyphs: {len(drawn.characters)} pairs, and at least {LEAST} are needed: of {asked:,} "
        f"characters asked, {source.name} has {asked - lacking_source:,} and {target.name} has "
        f"{asked - lacking_target:,}, {large} are too large, {alike} look like another; name other "
        "--characters, or fonts that have them (Debian's fonts-wqy-zenhei and fonts-arphic-ukai "
        "have Chinese)"
    )


def _cached(source: Face, target: Face, asked: tuple[str, ...], size: int) -> _Drawn:
    """What `_draw` draws, from the cache if there; one that cannot be written is no error."""
    drawers = f"{VERSION} {pillow} {features.version('freetype2')}"
    faces = [(face.sha256, face.index) for face in (source, target)]
    key = hashlib.sha256(f"{drawers} {faces} {size} {''.join(asked)}".encode()).hexdigest()[:16]
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    folder = (base if base.is_absolute() else Path.home() / ".cache") / "gantune"
    path = folder / f"glyphs-{key}.npz"
    drawn = _read(path, size)
    if drawn is None:
        drawn = _draw(source, target, asked, size)
        texts = np.array([drawn.characters, *drawn.left_out])
        save = partial(np.savez_compressed, texts=texts, source=drawn.source, target=drawn.target)
        with suppress(OSError):
            atomic_write(path, save)
    return drawn


def _read(path: Path, size: int) -> _Drawn | None:
    """A file of the cache; None where there is none, or a damaged one."""
    try:
        with path.open("rb") as file, np.load(file) as saved:
            characters, *left_out = map(str, saved["texts"])
            drawn = _Drawn(characters, saved["source"], saved["target"], tuple(left_out))
    except Exception:  # whatever zipfile and NumPy raise on a damaged file
        return None
    shape = (len(characters), size, size)
    return drawn if drawn.source.shape == drawn.target.shape == shape else None


def _draw(source: Face, target: Face, asked: tuple[str, ...], size: int) -> _Drawn:
    """Draw the characters both faces have, all at one pixel size (see `Face.squares`).

    Left out are those too large for the square, since shrinking one would thin its strokes, and
    those that look in both fonts like an earlier one, as Latin and Greek A may: the test would ask
    for what training showed.
    """
    measures = [face.measure(asked) for face in (source, target)]
    common = [c for c in asked if all(c in measured for measured in measures)]
    large = alike = ""
    kept: dict[bytes, tuple[str, Pixels, Pixels]] = {}
    longest = [max(measured[c] for measured in measures) for c in common]
    squares = [face.squares(common, size, longest) for face in (source, target)]
    for character, s, t in zip(common, *squares, strict=True):
        if s is None or t is None:
            large += character
        elif (look := s.tobytes() + t.tobytes()) in kept:
            alike += character
        else:
            kept[look] = (character, s, t)
    lacking = ("".join(c for c in asked if c not in measured) for measured in measures)
    blank = np.empty((0, size, size), np.uint8)
    characters = "".join(c for c, _, _ in kept.values())
    sources = np.stack([s for _, s, _ in kept.values()]) if kept else blank
    targets = np.stack([t for _, _, t in kept.values()]) if kept else blank
    return _Drawn(characters, sources, targets, (*lacking, large, alike))
