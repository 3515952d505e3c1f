"""Placeholders: the one drawing, such as a box, that a font has for many characters."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping

ALIKE = 8  # Braille's single dots, cut to their ink: the most that are drawn alike by design


def placeholders(looks: Mapping[str, bytes], glyphs: Mapping[int, int]) -> str:
    """The characters with a drawing that more than 8 of one script share, case and accents aside.

    `looks` has a hash of each character's drawing; `glyphs` one of each glyph by code point, since
    characters that nobody asked for may share a glyph as well. Latin, Greek and Cyrillic A,
    hyphens, dots and radicals are alike in good fonts: Unifont's 57,000 characters have 7 in a
    script at most.
    """
    users: defaultdict[int, str] = defaultdict(str)
    for code, glyph in glyphs.items():
        users[glyph] += chr(code)
    groups: defaultdict[bytes, str] = defaultdict(str)
    for character, look in looks.items():
        groups[look] += character
    found = ""
    for group in groups.values():
        drawn_by = {glyphs[ord(character)] for character in group}
        if _most("".join(users[glyph] for glyph in drawn_by)) > ALIKE:
            found += group
    return found


def _most(characters: str) -> int:
    """How many letters, or other characters, of one script there are, of the commonest one."""
    letters = {(_script(c), unicodedata.normalize("NFKD", c)[0].casefold()) for c in characters}
    return max(Counter(script for script, _ in letters).values())


def _script(character: str) -> str:
    """The first word of its name; of one without a name, as for private use, its 256 neighbours."""
    return unicodedata.name(character, f"{ord(character) >> 8:x}").partition(" ")[0]
