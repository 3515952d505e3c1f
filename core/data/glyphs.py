"""Pairs of glyphs: the same characters drawn in two fonts, split by character.

    characters and faces, resolved from GlyphParams -> both drawn -> split -> Glyphs

A character's hash alone decides its part, so it is on the same side in every set and font. What is
drawn is kept in `$XDG_CACHE_HOME/gantune` (or `~/.cache/gantune`), by the content of the fonts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import __version__ as pillow
from PIL import features
from pydantic import BeforeValidator, Field

from core.data import cache_folder
from core.data.characters import character_set
from core.data.fonts import Face, find_font
from core.data.outputs import few_inputs_note
from core.files import atomic_write
from core.task import Params, UserError

if TYPE_CHECKING:
    from torch import Tensor

Pixels = NDArray[np.uint8]
Indices = NDArray[np.int64]

VERSION = 3  # part of the cache's key: change it with anything that changes the pairs
LEAST = 50  # fewer pairs teach nothing
CHINESE = ("WenQuanYi Zen Hei", "AR PL UKai CN")
WESTERN = ("DejaVu Sans", "DejaVu Serif")
TRAIN, VALIDATION = 0.8, 0.9  # hashes below them are for training, validation; others for the test


def whole_number(value: object) -> object:
    """The whole number that text or a float is: pydantic's literals take no other form of it."""
    if isinstance(value, str | int | float):
        with suppress(ValueError, OverflowError):
            return int(value) if int(value) == float(value) else value
    return value


class GlyphParams(Params):
    """The data of every glyph task: two fonts, the characters, and how they are drawn."""

    source_font: str = Field(
        "auto",
        description="font to translate from, a file or a name; auto: WenQuanYi Zen Hei to AR PL "
        "UKai CN where both are installed and the characters, or the other font, are Chinese, else "
        "DejaVu Sans to DejaVu Serif",
    )
    target_font: str = Field("auto", description="font to translate to; auto: see --source-font")
    source_index: int = Field(
        0,
        ge=0,
        lt=2**31,
        description="face of a source font collection, and 65536 times a variable font's instance, "
        "as fontconfig counts them; its name chooses it as well: FILE:style=Bold",
    )
    target_index: int = Field(
        0, ge=0, lt=2**31, description="face of a target font: see --source-index"
    )
    characters: str = Field(
        "auto",
        description="gb2312-1, gb2312-2, ascii, latin, greek, cyrillic, private-use, every or a "
        "UTF-8 text file, several joined by +; auto: gb2312-1 where both fonts are Chinese, else "
        "every",
    )
    size: Annotated[Literal[32, 64, 128], BeforeValidator(whole_number)] = Field(
        64, description="width and height of the glyphs' squares, in pixels"
    )
    channels: Annotated[Literal[1, 3], BeforeValidator(whole_number)] = Field(
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

    Raises UserError for unknown fonts or characters, the same face twice, and fewer than 50 pairs.
    """
    source, target, characters = _resolve(params)
    if source.is_same(target):
        raise UserError(
            f"--source-font, --target-font: both are {source.name} ({source.path}, face "
            f"{source.index}); name two different fonts"
        )
    return _load(source, target, characters, params.size, params.channels, params.data_fraction)


def _resolve(params: GlyphParams) -> tuple[Face, Face, tuple[str, ...]]:
    """The two faces and the characters to draw, with each `auto` decided."""
    try:
        chosen = () if params.characters == "auto" else character_set(params.characters)
    except UserError as error:
        raise UserError(f"--characters: {error}") from None
    han = [c for c in chosen or character_set("gb2312-1") if "\u4e00" <= c <= "\u9fff"]
    source = _open_face("--source-font", params.source_font, params.source_index)
    target = _open_face("--target-font", params.target_font, params.target_index)
    if not (source and target):
        first, second = _default_faces([face for face in (source, target) if face], han)
        source = source or (second if target and target.is_same(first) else first)
        target = target or (first if source.is_same(second) else second)
    if not chosen:
        chinese = _has_enough(source, han) and _has_enough(target, han)
        chosen = character_set("gb2312-1" if chinese else "every")
    return source, target, chosen


def _open_face(flag: str, font: str, index: int) -> Face | None:
    """The face that a flag names, None for auto."""
    if font == "auto":
        if index:
            raise UserError(f"{flag}: auto has no face {index} to choose; name the font file")
        return None
    try:
        return Face.open(font, index)
    except UserError as error:
        raise UserError(f"{flag}: {error}") from None


def _default_faces(chosen: Sequence[Face], han: Sequence[str]) -> tuple[Face, Face]:
    """What auto stands for: a Chinese pair where the fonts already chosen have these characters."""
    names = WESTERN
    if len(han) >= LEAST and all(_has_enough(face, han) for face in chosen):
        with suppress(UserError):
            names = CHINESE if all(map(find_font, CHINESE)) else WESTERN
    return Face.open(names[0]), Face.open(names[1])


def _has_enough(face: Face, characters: Sequence[str]) -> bool:
    """Whether the face has at least LEAST of the characters, placeholders apart."""
    drawn = zip(characters, face.draw(characters, 32), strict=True)
    found = list(islice((character for character, glyph in drawn if glyph), 2 * LEAST))
    return len(face.measure(found)[0]) >= LEAST


@lru_cache(maxsize=4)
def _load(
    source: Face, target: Face, chosen: tuple[str, ...], size: int, channels: int, fraction: float
) -> Glyphs:
    drawn = _draw_cached(source, target, chosen, size)
    characters = tuple(drawn.characters)
    if len(characters) < LEAST:
        raise UserError(_too_few(source, target, len(chosen), drawn))
    train, validation, test = _split(characters)
    used = _share(characters, train, fraction)
    digest = hashlib.sha256(f"{drawn.characters} {channels}".encode())
    for array in (drawn.source, drawn.target, used, validation, test):
        digest.update(array.tobytes())
    of = f" of {len(train):,}" if len(used) < len(train) else ""
    summary = (
        f"glyphs: {source.name} -> {target.name}, {len(characters):,} characters at {size} x "
        f"{size} ({len(used):,}{of} train, {len(validation):,} validation, {len(test):,} test)"
    )
    few = few_inputs_note(len(validation), "name more --characters")
    notes = (
        summary,
        *_why_left_out(source, target, size, drawn.left_out),
        *([f"glyphs: {few}"] if few else []),
    )
    pictures, split = (drawn.source, drawn.target), (used, validation, test)
    return Glyphs(characters, *pictures, *split, digest.hexdigest()[:16], notes)


def _split(characters: Sequence[str]) -> tuple[Indices, Indices, Indices]:
    """Training, validation and test characters by their hashes, some 80, 10 and 10 % of them."""
    hashes = np.array([_hash("split", c) for c in characters])
    part = np.searchsorted((TRAIN, VALIDATION), hashes, side="right")
    train, validation, test = (np.flatnonzero(part == k) for k in range(3))
    for name, indices in (("training", train), ("validation", validation), ("test", test)):
        if not len(indices):
            raise UserError(
                f"--characters: of {len(characters)} none is for {name}, as their hashes have it; "
                "ask for more"
            )
    return train, validation, test


def _share(characters: Sequence[str], train: Indices, fraction: float) -> Indices:
    """Some of the training characters, at least one; a larger fraction has them all and more."""
    hashes = np.array([_hash("share", characters[i]) for i in train])
    used: Indices = train[(hashes < fraction) | (hashes == hashes.min())]
    return used


def _hash(purpose: str, character: str) -> float:
    """A number in [0, 1) that depends on nothing but the two."""
    digest = hashlib.sha256(character.encode() + purpose.encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


class _Drawn(NamedTuple):
    """A string of the characters that were drawn, and their pictures, N x H x W.

    `left_out` are six more strings: what the source and the target lack, what they have nothing but
    a placeholder for, the too large, and those that look like an earlier one.
    """

    characters: str
    source: Pixels
    target: Pixels
    left_out: tuple[str, ...]


def _why_left_out(source: Face, target: Face, size: int, left_out: Sequence[str]) -> Iterator[str]:
    """A sentence for each reason."""
    reasons = (
        f"{source.name} lacks",
        f"{target.name} lacks",
        f"{source.name} has nothing but a placeholder for",
        f"{target.name} has nothing but a placeholder for",
        f"{size} x {size} at the others' scale is too small for",
        "an earlier one looks the same in both fonts as",
    )
    for reason, characters in zip(reasons, left_out, strict=True):
        more = f" and {len(characters) - 10:,} more" if len(characters) > 10 else ""
        first = (c if c.isprintable() else f"U+{ord(c):04X}" for c in characters[:10])
        some = f"{len(characters):,} characters ({' '.join(first)}{more})"
        if characters:
            yield f"glyphs: {reason} {some}, left out"


def _too_few(source: Face, target: Face, count: int, drawn: _Drawn) -> str:
    *missing, large, alike = map(len, drawn.left_out)
    has, icons = [], ""
    for face, lacking, empty in zip((source, target), missing[:2], missing[2:], strict=True):
        more = f" (and a placeholder for {empty:,} more)" if empty else ""
        has.append(f"{face.name} has {count - lacking - empty:,}{more}")
        if private := face.icons():
            icons += (
                f"; {face.name} has {len(private):,} characters for private use, from "
                f"U+{ord(private[0]):04X} to U+{ord(private[-1]):04X}, as icon fonts do: take "
                "--characters private-use, or write those wanted into a file"
            )
    return (
        f"glyphs: {len(drawn.characters)} pairs, and at least {LEAST} are needed: of {count:,} "
        f"characters asked, {' and '.join(has)}, {large} are too large, {alike} look like another; "
        "name other --characters, or fonts that have them (Debian's fonts-wqy-zenhei and "
        f"fonts-arphic-ukai have Chinese){icons}"
    )


def _draw_cached(source: Face, target: Face, chosen: tuple[str, ...], size: int) -> _Drawn:
    """What `_draw` draws, from the cache where it is kept; one that cannot be written is no error.

    A damaged file is drawn anew.
    """
    versions = f"{VERSION} {pillow} {features.version('freetype2')}"
    faces = [(face.sha256, face.index) for face in (source, target)]
    key = hashlib.sha256(f"{versions} {faces} {size} {''.join(chosen)}".encode()).hexdigest()[:16]
    path = cache_folder() / f"glyphs-{key}.npz"
    with suppress(Exception):  # whatever zipfile and NumPy raise on a damaged file
        with path.open("rb") as file, np.load(file) as kept:
            characters, *left_out = map(str, kept["texts"])
            drawn = _Drawn(characters, kept["source"], kept["target"], tuple(left_out))
        if drawn.source.shape == drawn.target.shape == (len(characters), size, size):
            return drawn
    drawn = _draw(source, target, chosen, size)
    texts = np.array([drawn.characters, *drawn.left_out])
    save = partial(np.savez_compressed, texts=texts, source=drawn.source, target=drawn.target)
    with suppress(OSError):
        atomic_write(path, save)
    return drawn


def _draw(source: Face, target: Face, chosen: tuple[str, ...], size: int) -> _Drawn:
    """Draw the characters both faces have, all at one pixel size (see `Face.squares`).

    Left out are those too large for the square, since shrinking one would thin its strokes, and
    those that look in both fonts like an earlier one, as Latin and Greek A may: the test would ask
    for what training showed.
    """
    measures, empty = zip(*(face.measure(chosen) for face in (source, target)), strict=True)
    common = [c for c in chosen if all(c in measured for measured in measures)]
    longest = [max(measured[c] for measured in measures) for c in common]
    squares = [face.squares(common, size, longest) for face in (source, target)]
    large = alike = ""
    kept: dict[bytes, tuple[str, Pixels, Pixels]] = {}
    for character, s, t in zip(common, *squares, strict=True):
        if s is None or t is None:
            large += character
        elif (look := s.tobytes() + t.tobytes()) in kept:
            alike += character
        else:
            kept[look] = (character, s, t)
    lacking = (
        "".join(c for c in chosen if c not in measured and c not in boxes)
        for measured, boxes in zip(measures, empty, strict=True)
    )
    characters = "".join(c for c, _, _ in kept.values())
    pixels = np.array([(s, t) for _, s, t in kept.values()], np.uint8).reshape(-1, 2, size, size)
    source_pixels, target_pixels = np.ascontiguousarray(pixels.swapaxes(0, 1))
    return _Drawn(characters, source_pixels, target_pixels, (*lacking, *empty, large, alike))
