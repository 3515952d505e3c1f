"""Which characters: the sets that have a name, and text files."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from core.files import read_text
from core.task import UserError

NO_INK = ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp")  # controls, marks of format, spaces


def character_set(name: str) -> tuple[str, ...]:
    """The distinct characters of a named set, of a text file, or of several of both joined by `+`.

    The names are the keys of `SETS`. A file is UTF-8 with or without a byte order mark; its
    characters but for spaces and controls are taken, those for private use included, in the order
    in which they first come. Raises UserError for a name that is neither, a file that is not UTF-8,
    and when nothing is left.
    """
    pieces = [name] if _is_file(name) else name.split("+")  # a path may have a plus in it
    return tuple(dict.fromkeys(c for piece in pieces for c in _one(piece.strip())))


def _one(name: str) -> Iterable[str]:
    if name in SETS:
        return SETS[name]()
    if _is_file(name):
        return _read(Path(name).expanduser())
    raise UserError(
        f"{name!r} is no set of characters and no file; the sets are {', '.join(SETS)}; "
        "join several by +, or name a UTF-8 text file that holds the characters"
    )


def _is_file(name: str) -> bool:
    try:
        return Path(name).expanduser().is_file()
    except (OSError, RuntimeError, ValueError):  # too long, ~nobody, a NUL
        return False


def _read(path: Path) -> list[str]:
    characters = [c for c in read_text(path) if unicodedata.category(c) not in NO_INK]
    if not characters:
        raise UserError(f"{path}: holds no printable character; write the characters wanted in it")
    return characters


def _gb2312(first: int, last: int) -> Iterator[str]:
    """The characters from one double byte of GB 2312 to another; its unused ones left out."""
    for code in range(first, last + 1):
        with suppress(UnicodeDecodeError):
            yield code.to_bytes(2, "big").decode("gb2312")


def _letters(script: str, *blocks: tuple[int, int]) -> Iterator[str]:
    """The letters of blocks, last code point included, that Unicode names after the script."""
    return (c for c in _characters("L", *blocks) if unicodedata.name(c).startswith(script))


def _characters(categories: str, *blocks: tuple[int, int]) -> Iterator[str]:
    """The characters of blocks whose general category starts with one of these letters."""
    every = (chr(code) for first, last in blocks for code in range(first, last + 1))
    return (c for c in every if unicodedata.category(c)[0] in categories)


SETS: Mapping[str, Callable[[], Iterator[str]]] = {
    "gb2312-1": lambda: _gb2312(0xB0A1, 0xD7F9),
    "gb2312-2": lambda: _gb2312(0xD8A1, 0xF7FE),
    "ascii": lambda: map(chr, range(0x21, 0x7F)),
    "latin": lambda: _letters("LATIN ", (0x41, 0x24F), (0x1E00, 0x1EFF)),
    "greek": lambda: _letters("GREEK ", (0x370, 0x3FF), (0x1F00, 0x1FFF)),
    "cyrillic": lambda: _letters("CYRILLIC ", (0x400, 0x52F), (0x1C80, 0x1C8F), (0xA640, 0xA69F)),
    "private-use": lambda: map(chr, range(0xE000, 0xF900)),  # where icon fonts have theirs
    # Letters, numbers, punctuation and symbols; no marks, controls or Chinese.
    "every": lambda: _characters("LNPS", (0, 0x2FFF), (0xA640, 0xA7FF), (0xFB00, 0xFB06)),
}
