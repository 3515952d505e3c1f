"""Faces of font files: found by name, opened, and drawn a glyph at a time with Pillow."""

from __future__ import annotations

import difflib
import hashlib
import math
import os
import shutil
import struct
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from core.task import UserError

# Where Debian's packages put the fonts of the default task: found without fontconfig too.
DEBIAN = (
    Path("/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc"),
    Path("/usr/share/fonts/truetype/arphic/ukai.ttc"),
)
PLAIN = ("Regular", "Book", "Roman", "Normal")

# Noncharacters: what a font draws for them is what it draws for whatever it lacks.
UNMAPPED = ("\uffff", "\U0010ffff")

# Glyphs are drawn in squares of this side, then averaged down to the size asked for: hinting, made
# for the screen, then moves and thickens little, and every size shows the same characters.
SIDE = 128

# Of each side; this share of the glyphs keeps clear of it, the others of the half of it.
MARGIN, WITHIN_MARGIN = 1 / 16, 0.99


def find_font(name: str) -> Path:
    """The file of a font: a path, or a family, full or file name, in any case.

    Names are looked up among matplotlib's fonts, then among those fontconfig knows (where it is
    installed) and Debian's default ones; of a family, the upright regular face. Raises UserError,
    with names that are near, where there is no such font.
    """
    return _locate(name)[0]


@dataclass(frozen=True)
class Face:
    """One face of a font file."""

    path: Path
    index: int
    family: str
    style: str
    sha256: str

    @classmethod
    def open(cls, name: str, index: int = 0) -> Face:
        """Face `index` of the font that `find_font` finds; a family's name tells its own index.

        Raises UserError for no such font or face, and a file that is no whole font.
        """
        path, own = _locate(name)
        if own is not None and index not in (0, own):
            raise UserError(
                f"{name} is face {own} of {path}: leave its index away, or name the file"
            )
        index = own or index
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path}: {error.strerror or error}") from None
        _check(path, content, index)
        family, style = _font(path, index, 16).getname()
        return cls(
            path, index, family or path.stem, style or "", hashlib.sha256(content).hexdigest()
        )

    @property
    def name(self) -> str:
        """The family, with the style where it is not the plain one."""
        return self.family if self.style in ("", *PLAIN) else f"{self.family} {self.style}"

    def is_same(self, other: Face) -> bool:
        """Whether the two draw the same."""
        return (self.sha256, self.index) == (other.sha256, other.index)

    def draw(self, characters: Iterable[str], pixels: int) -> Iterator[Image.Image | None]:
        """Each character's ink at `pixels` an em: mode L, 255 ink, cut to its bounding box.

        None for a character the face lacks: one that is blank or drawn as .notdef. UserError where
        the face cannot be drawn.
        """
        font = _font(self.path, self.index, pixels)
        lacking: list[_Ink | None] = [None]
        try:
            lacking += [_ink(font, c) for c in UNMAPPED]
            for character in characters:
                ink = _ink(font, character)
                yield None if ink is None or ink in lacking else ink.image
        except OSError as error:
            raise UserError(
                f"{self.path}: cannot be drawn ({error}); the font is damaged, take another"
            ) from None

    def measure(self, characters: Sequence[str]) -> dict[str, int]:
        """The longer side of the ink of each character the face has, in pixels at 128 an em."""
        drawn = zip(characters, self.draw(characters, SIDE), strict=True)
        return {c: max(glyph.size) for c, glyph in drawn if glyph}

    def squares(
        self, characters: Sequence[str], size: int, longest: Iterable[int]
    ) -> Iterator[NDArray[np.uint8] | None]:
        """Each character, size x size uint8, 255 paper and 0 ink, centred by its ink; size <= 128.

        All are drawn at one pixel size, the largest at which 99 % of glyphs with these `measure`s
        leave a margin of a sixteenth on each side. The others may take half of the margin; None
        for one that needs more, or that the face lacks.
        """
        if not characters:
            return
        usual = float(np.quantile(list(longest), WITHIN_MARGIN))
        pixels = max(int(SIDE * SIDE * (1 - 2 * MARGIN) / usual), 1)
        for glyph in self.draw(characters, pixels):
            if glyph is None or max(glyph.size) > SIDE * (1 - MARGIN):
                yield None
                continue
            square = Image.new("L", (SIDE, SIDE))
            square.paste(glyph, ((SIDE - glyph.width) // 2, (SIDE - glyph.height) // 2))
            yield 255 - np.asarray(square.reduce(SIDE // size))


@dataclass(frozen=True)
class _Ink:
    """A glyph's picture, and where its left upper corner is from the origin."""

    left: int
    top: int
    image: Image.Image


def _ink(font: ImageFont.FreeTypeFont, character: str) -> _Ink | None:
    """What the font draws, cut to the inked pixels; None where it draws nothing."""
    left, top, right, bottom = font.getbbox(character)
    x, y = math.floor(left), math.floor(top)
    size = math.ceil(right) - x, math.ceil(bottom) - y
    if min(size) <= 0:
        return None
    image = Image.new("L", size)
    ImageDraw.Draw(image).text((-x, -y), character, fill=255, font=font)
    box = image.getbbox()
    return _Ink(x + box[0], y + box[1], image.crop(box)) if box else None


def _font(path: Path, index: int, pixels: int) -> ImageFont.FreeTypeFont:
    # Raqm, where Pillow has it, shapes text: one character could become another's glyph.
    layout = ImageFont.Layout.BASIC
    try:
        return ImageFont.truetype(str(path), pixels, index, layout_engine=layout)
    except OSError as error:
        raise UserError(
            f"{path}: not a scalable font, or a damaged one ({error}); name a .ttf, .otf or .ttc"
        ) from None


def _check(path: Path, content: bytes, index: int) -> None:
    """UserError for a face the file does not have, and for a file cut short.

    FreeType opens a file whose last tables are missing, and draws nothing or too little.
    """
    try:
        faces, start = 1, 0
        if content[:4] == b"ttcf":
            (faces,) = struct.unpack_from(">I", content, 8)
        if index >= faces:
            there = "its one face is 0" if faces == 1 else f"it has faces 0 to {faces - 1}"
            raise UserError(f"{path}: there is no face {index}; {there}")
        if content[:4] == b"ttcf":
            (start,) = struct.unpack_from(">I", content, 12 + 4 * index)
        if content[start : start + 4] not in (b"\0\1\0\0", b"OTTO", b"true"):
            return
        (tables,) = struct.unpack_from(">H", content, start + 4)
        needed = 0
        for k in range(tables):
            offset, length = struct.unpack_from(">II", content, start + 20 + 16 * k)
            needed = max(needed, offset + length)
    except struct.error:
        needed = len(content) + 1
    if needed > len(content):
        raise UserError(f"{path}: a font cut short after {len(content):,} bytes; get it again")


@dataclass(frozen=True)
class _Installed:
    """A face that has names, and how far it is from its family's upright regular one."""

    path: Path
    index: int | None
    names: tuple[str, ...]
    distance: float


def _locate(name: str) -> tuple[Path, int | None]:
    """A font's file, and the index of the face where the name tells it."""
    try:
        path = Path(name).expanduser()
        if path.is_file():
            return path, None
    except (OSError, RuntimeError, ValueError):  # too long, ~nobody, a NUL
        pass
    known: dict[str, str] = {}
    for group in (_bundled(), _fontconfig(), _debian()):
        wanted = [f for f in group if name.casefold() in map(str.casefold, f.names)]
        if wanted:
            best = min(wanted, key=lambda f: (f.distance, f.path, f.index or 0))
            return best.path, best.index
        known |= {f.names[0].casefold(): f.names[0] for f in group}
    near = difflib.get_close_matches(name.casefold(), known, n=3)
    hint = f"; near it are {', '.join(known[n] for n in near)}" if near else ""
    absent = "" if shutil.which("fc-list") else " (which is not installed)"
    raise UserError(
        f"no font {name!r}: no such file, and no such name among matplotlib's fonts and those of "
        f"fontconfig{absent}{hint}; name a .ttf, .otf or .ttc file, or install the font"
    )


def _bundled() -> list[_Installed]:
    """Matplotlib's own fonts."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return [
        _Installed(face.path, None, (*face.names, path.stem, path.name), face.distance)
        for path in sorted(folder.glob("*.ttf"))
        for face in _faces(path, 1)
    ]


def _debian() -> list[_Installed]:
    """The faces of `DEBIAN` that are there."""
    return [face for path in DEBIAN if path.is_file() for face in _faces(path, 16)]


def _faces(path: Path, most: int) -> Iterator[_Installed]:
    """The first faces of a file, by family and by family with style."""
    for index in range(most):
        try:
            family, style = _font(path, index, 16).getname()
        except UserError:
            return
        if family:
            names = (family, f"{family} {style}")
            yield _Installed(path, index, names, float(style not in PLAIN))


def _fontconfig() -> list[_Installed]:
    """What `fc-list` knows, by family and by full name; nothing where it is not installed."""
    program = shutil.which("fc-list")
    fields = ("file", "index", "slant", "width", "weight", "family", "fullname")
    line = "\t".join(f"%{{{field}}}" for field in fields) + "\n"
    if not program:
        return []
    try:
        listed = subprocess.run([program, "--format", line], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    found = []
    for text in listed.stdout.splitlines():
        values = os.fsdecode(text).split("\t")
        # From 65536 on are the named instances of a variable font; Pillow draws its default one.
        if len(values) == len(fields) and int(values[1]) < 1 << 16:
            path, index, *style, families, names = values
            distance = sum(map(_distance, style, (0, 100, 80)))
            both = (*families.split(","), *names.split(","))
            found.append(_Installed(Path(path), int(index), both, distance))
    return found


def _distance(value: str, regular: float) -> float:
    """How far fontconfig's number is from a regular face's; 0 for a variable font's range."""
    try:
        return abs(float(value) - regular)
    except ValueError:
        return 0.0
