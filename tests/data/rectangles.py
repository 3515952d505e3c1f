"""Fonts made up of rectangles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen


def write_rectangles(
    path: Path, glyphs: Mapping[str, str], *, family: str = "Boxed", copies: bool = False
) -> None:
    """A font that draws each character by the glyph of this name, a rectangle of its own.

    With `copies` each character has a glyph of its own, drawn like the others of its name.
    """
    mapped = {ord(c): f"{name}.{ord(c)}" if copies else name for c, name in glyphs.items()}
    order = [".notdef", *dict.fromkeys(mapped.values())]
    names = sorted({name.split(".")[0] for name in order[1:]})
    builder = FontBuilder(1000)
    builder.setupGlyphOrder(order)
    builder.setupCharacterMap(mapped)
    outlines = {".notdef": TTGlyphPen(None).glyph()}
    for glyph in order[1:]:
        pen, number = TTGlyphPen(None), names.index(glyph.split(".")[0])
        right, top = 100 + 30 * (number % 28), 100 + 30 * (number // 28)
        pen.moveTo((0, 0))
        for point in ((0, top), (right, top), (right, 0)):
            pen.lineTo(point)
        pen.closePath()
        outlines[glyph] = pen.glyph()
    builder.setupGlyf(outlines)
    builder.setupHorizontalMetrics(dict.fromkeys(order, (900, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
