"""Faces of font files: found by name, checked with fontTools, drawn a glyph at a time by Pillow."""

from __future__ import annotations

import difflib
import hashlib
import itertools
import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from fontTools.ttLib import TTCollection, TTFont
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from core.data.placeholders import placeholders
from core.task import UserError

PLAIN = ("", "Regular", "Book", "Roman", "Normal")
NAME_IDS = (1, 4, 16)  # of the name table: families, and the full name
INSTANCE = 1 << 16  # the step between the indices of a variable font's instances

# Glyphs are drawn in squares of this side and averaged down to the final size: hinting, made for
# the screen, then moves and thickens little, and every size shows the same characters.
SIDE = 128
MARGIN, WITHIN_MARGIN = 1 / 16, 0.99  # of each side; the share of glyphs that keep clear of it


def find_font(name: str) -> Path:
    """The file of a font: a path, or a family, full or file name, in any case.

    Names are looked up among matplotlib's own fonts, then among the system's; of a family, the
    upright regular face is taken. `:style=Bold` after a family or a path, as fc-list writes it,
    takes another, which may be a named instance of a variable font. Raises UserError, with similar
    names, for an unknown font.
    """
    return _locate(name)[0]


@dataclass(frozen=True)
class Face:
    """One face of a font file.

    `index` is FreeType's and fontconfig's: the number of the face, and 65536 times that of a
    variable font's named instance, from 1; 0 for its default one.
    """

    path: Path
    index: int
    family: str
    style: str
    sha256: str

    @classmethod
    def open(cls, name: str, index: int = 0) -> Face:
        """Face `index` of the font that `find_font` finds; a family's name implies its index.

        Raises UserError for an unknown font or face, and for a file that is not a whole font.
        """
        path, own = _locate(name)
        if own is not None and index not in (0, own):
            raise UserError(f"{name} is face {own} of {path}: omit the index, or name the file")
        index = own or index
        try:
            content = path.read_bytes()
        except OSError as error:
            problem = f"{error.strerror or error}; name a font file that can be read"
            raise UserError(f"{path}: {problem}") from None
        family, style = _check(path, content, index)
        digest = hashlib.sha256(content).hexdigest()
        return cls(path, index, family or path.stem, style or "", digest)

    @property
    def name(self) -> str:
        """The family, with the style where it is not the plain one."""
        return self.family if self.style in PLAIN else f"{self.family} {self.style}"

    def is_same(self, other: Face) -> bool:
        """Whether the two draw the same."""
        return (self.sha256, self.index) == (other.sha256, other.index)

    def icons(self) -> str:
        """Its characters for private use, in order, where most are, as in icon fonts."""
        characters = [chr(code) for code in sorted(_glyphs(self))]
        private = [c for c in characters if unicodedata.category(c) == "Co"]
        return "".join(private) if 2 * len(private) > len(characters) else ""

    def draw(self, characters: Iterable[str], pixels: int) -> Iterator[Image.Image | None]:
        """Each character's ink at `pixels` an em: mode L, 255 ink, cut to its bounding box.

        None for a character that the face lacks or that is blank. UserError where the face cannot
        be drawn.
        """
        try:
            font = _pillow_font(self.path, self.index, pixels)
            mapped = _glyphs(self)
            for character in characters:
                yield _ink(font, character) if ord(character) in mapped else None
        except Exception as error:  # fontTools and FreeType raise many kinds for a damaged file
            raise UserError(
                f"{self.path}: cannot be drawn ({error}); the font is damaged, take another"
            ) from None

    def measure(self, characters: Sequence[str]) -> tuple[dict[str, int], str]:
        """The longer side of the ink of each character the face has, in pixels at 128 an em.

        Apart from them, the characters that it has nothing but a placeholder for.
        """
        sides, looks = {}, {}
        for character, glyph in zip(characters, self.draw(characters, SIDE), strict=True):
            if glyph:
                sides[character] = max(glyph.size)
                look = f"{glyph.size}".encode() + glyph.tobytes()
                looks[character] = hashlib.sha256(look).digest()
        empty = placeholders(looks, _glyphs(self))
        return {c: side for c, side in sides.items() if c not in empty}, empty

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


def _ink(font: ImageFont.FreeTypeFont, character: str) -> Image.Image | None:
    """What the font draws, cut to the inked pixels; None where it draws nothing."""
    left, top, right, bottom = font.getbbox(character)
    x, y = math.floor(left), math.floor(top)
    size = math.ceil(right) - x, math.ceil(bottom) - y
    if min(size) <= 0:
        return None
    image = Image.new("L", size)
    ImageDraw.Draw(image).text((-x, -y), character, fill=255, font=font)
    box = image.getbbox()
    return image.crop(box) if box else None


@lru_cache(maxsize=8)
def _glyphs(face: Face) -> dict[int, int]:
    """A hash of each glyph by Unicode code point: of its outline, else of its name.

    FreeType's own hinting draws one outline in two ways where one of the characters has a tilde.
    """
    with face.path.open("rb") as file:
        font = _fonts(file)[face.index % INSTANCE]
        mapping = font.getBestCmap() or {}
        outlines = font["glyf"].glyphs if "glyf" in font else {}
    return {
        code: hash(getattr(outlines.get(glyph), "data", glyph))
        for code, glyph in mapping.items()
        if glyph != ".notdef"
    }


def _fonts(file: BinaryIO) -> list[TTFont]:
    """The faces of an open font file, whose tables are read when they are asked for."""
    is_collection = file.read(4) == b"ttcf"
    file.seek(0)
    return TTCollection(file, lazy=True).fonts if is_collection else [TTFont(file, lazy=True)]


def _pillow_font(path: Path, index: int, pixels: int) -> ImageFont.FreeTypeFont:
    layout = ImageFont.Layout.BASIC  # Raqm shapes text: one character could become another's glyph
    return ImageFont.truetype(str(path), pixels, index, layout_engine=layout)


def _check(path: Path, content: bytes, index: int) -> tuple[str | None, str | None]:
    """The face's family and style; UserError where the file is cut short or lacks the face.

    FreeType opens a file whose last tables are missing, and draws nothing or too little.
    """
    number, instance = index % INSTANCE, index // INSTANCE
    try:
        fonts = _fonts(BytesIO(content))
        tables = [table for font in fonts for table in font.reader.tables.values()]
        end = max(table.offset + table.length for table in tables)
        styles = _styles(fonts[number]) if number < len(fonts) else []
        if number < len(fonts) and end <= len(content) and instance <= len(styles):
            return _pillow_font(path, index, SIDE).getname()  # bitmaps have few sizes
    except ImportError as error:  # brotli
        raise UserError(
            f"{path}: a web font of WOFF2, which takes another package ({error}): pip install "
            "brotli, or name a .ttf, .otf or .ttc"
        ) from None
    except Exception as error:  # fontTools raises many kinds
        raise UserError(
            f"{path}: not a scalable font, or a damaged one ({error}); name a .ttf, .otf or .ttc "
            "that has outlines"
        ) from None
    if number < len(fonts) and end > len(content):
        raise UserError(f"{path}: a font cut short after {len(content):,} bytes; get it again")
    last = len(fonts) - 1
    known = f"it has faces 0 to {last}" if last else "its one face is 0"
    if number <= last:
        listed = ", ".join(f"{k * INSTANCE} {style}" for k, style in enumerate(styles, 1))
        known = f"its instances are {listed}" if styles else "it is no variable font"
        raise UserError(f"{path}: index {index} asks for instance {instance}; {known}")
    raise UserError(f"{path}: there is no face {number}; {known}")


def _styles(font: TTFont) -> list[str]:
    """The names of a variable font's instances; none where it is not variable."""
    instances = font["fvar"].instances if "fvar" in font else []
    return [font["name"].getDebugName(i.subfamilyNameID) or "" for i in instances]


class _Installed(NamedTuple):
    """An installed face, or an instance of a variable one, and its names in lower case.

    `number` is its index, None for the only face of a file.
    """

    path: Path
    number: int | None
    family: str
    style: str
    names: frozenset[str]


def _locate(name: str) -> tuple[Path, int | None]:
    """A font's file, and the index of the face where the name implies it."""
    before, _, style = name.replace("\\-", "-").partition(":style=")
    missing = "no such file"
    with suppress(OSError, RuntimeError, ValueError):  # too long, ~nobody, a NUL
        if (path := Path(name).expanduser()).is_file():
            return path, None
        missing = "a folder and no file" if name and path.is_dir() else missing
        if (path := Path(before).expanduser()).is_file():
            return path, _index_of(path, style)
    pairs = zip(before.split(","), style.split(","), strict=False)  # fc-list lists both kinds
    wanted = {name.casefold(), *(f"{family} {own}".casefold() for family, own in pairs if own)}
    families: dict[str, str] = {}
    for files in _installed_files():
        faces = [face for file in files for face in _faces(file)]
        if found := [face for face in faces if wanted & face.names]:
            return min(found, key=_plainness)[:2]
        families |= {face.family.casefold(): face.family for face in faces}
    near = difflib.get_close_matches(before.casefold(), families, n=3)
    hint = f"; similar names are {', '.join(families[n] for n in near)}" if near else ""
    raise UserError(
        f"no font {name!r}: {missing}, and no such name among matplotlib's fonts and the "
        f"system's{hint}; name a .ttf, .otf or .ttc file, or install the font"
    )


def _plainness(face: _Installed) -> tuple[bool, int, Path, int]:
    """A key that puts the plain face first, then those with few words in their style."""
    return face.style not in PLAIN, len(face.style.split()), face.path, face.number or 0


def _index_of(path: Path, style: str) -> int | None:
    """The index of the first face or instance of this style in a file."""
    faces = _faces(path)
    for face in faces:
        if face.style.casefold() in style.casefold().split(","):
            return face.number
    known = ", ".join(dict.fromkeys(face.style for face in faces)) or "none that can be read"
    raise UserError(f"{path}: no style {style!r}; its styles are {known}")


def _installed_files() -> Iterator[list[Path]]:
    """Matplotlib's own font files, then the system's, with or without fontconfig."""
    from matplotlib import font_manager, get_data_path  # slow to import

    for folder in (f"{get_data_path()}/fonts/ttf", None):
        yield sorted(map(Path, font_manager.findSystemFonts(folder)))


@cache
def _faces(path: Path) -> tuple[_Installed, ...]:
    """The faces of a file with their names; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            fonts = _fonts(file)
            alone = len(fonts) == 1
            faces = (_installed(path, None if alone else i, f) for i, f in enumerate(fonts))
            return tuple(itertools.chain.from_iterable(faces))
    except Exception:  # fontTools raises many kinds for a damaged file
        return ()


def _installed(path: Path, number: int | None, font: TTFont) -> Iterator[_Installed]:
    """A face, then its instances."""
    table = font["name"]
    family, style = table.getDebugName(1) or path.stem, table.getBestSubFamilyName() or ""
    texts = {(r.nameID, r.toUnicode("replace").casefold()) for r in table.names}
    names = {text for kind, text in texts if kind in NAME_IDS}
    families = {family.casefold()} | {text for kind, text in texts if kind in (1, 16)}
    names |= {f"{family} {name}".casefold() for name in (style, table.getDebugName(2))}
    names.add(f"{table.getBestFamilyName() or family} {style}".casefold())
    if number is None:
        names |= {path.stem.casefold(), path.name.casefold()}
    yield _Installed(path, number, family, style, frozenset(names - {""}))
    for k, instance in enumerate(_styles(font), 1):
        own = {f"{name} {instance.casefold()}" for name in families}
        own |= families if instance in PLAIN else set()  # the default one may be thin
        yield _Installed(path, (number or 0) + k * INSTANCE, family, instance, frozenset(own))
