from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from core.data.characters import character_set
from core.data.fonts import Face, find_font
from core.data.glyphs import GlyphParams, Glyphs, load_glyphs
from core.data.placeholders import placeholders
from core.params import validate_params
from core.task import UserError

LATIN = character_set("latin")


def write_font(path: Path, glyphs: Mapping[str, str], *, copies: bool = False) -> None:
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
    builder.setupNameTable({"familyName": "Boxed", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)


def load(target: Path, characters: str = "latin") -> Glyphs:
    values = {"source_font": "DejaVu Sans", "target_font": str(target), "size": "32"}
    return load_glyphs(validate_params(GlyphParams, values | {"characters": characters}))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("copies", [False, True])
def test_a_box_for_many_characters_is_no_glyph(tmp_path: Path, copies: bool) -> None:
    boxes = LATIN[-333:]
    glyphs = {c: "box" if c in boxes else f"u{ord(c)}" for c in LATIN}
    write_font(tmp_path / "boxed.ttf", glyphs, copies=copies)
    data = load(tmp_path / "boxed.ttf")
    assert not set(boxes) & set(data.characters)
    assert len(data.characters) > 300
    (note,) = (note for note in data.notes if "placeholder" in note)
    some = " ".join(boxes[:10])
    assert note == (
        "glyphs: Boxed has nothing but a placeholder for 333 characters "
        f"({some} and 323 more), left out"
    )


def test_of_few_characters_a_box_is_known_by_the_others_that_share_it(tmp_path: Path) -> None:
    boxes = LATIN[-333:]
    write_font(tmp_path / "boxed.ttf", {c: "box" if c in boxes else f"u{ord(c)}" for c in LATIN})
    few = tmp_path / "few.txt"
    few.write_text("".join(LATIN[:150]) + "".join(boxes[:5]), encoding="utf-8")
    data = load(tmp_path / "boxed.ttf", str(few))
    assert not set(boxes) & set(data.characters)
    assert any("a placeholder for 5 characters" in note for note in data.notes)


def test_a_font_of_boxes_alone_is_refused_with_their_number(tmp_path: Path) -> None:
    write_font(tmp_path / "boxed.ttf", dict.fromkeys(LATIN, "box") | {"A": "A"})
    more = rf"Boxed has 1 \(and a placeholder for {len(LATIN) - 1} more\)"
    with pytest.raises(UserError, match=more):
        load(tmp_path / "boxed.ttf")


def test_characters_that_are_alike_by_design_are_no_placeholders() -> None:
    dots = "".join(chr(0x2800 + (1 << k)) for k in range(8))
    accents = "".join(c for c in LATIN if c in "AaÀÁÂÃÄÅĀĂĄǍǞǠǺȀȂȦàáâãäåāăąǎạảấầẩẫậ")
    for alike in (dots, accents, "AΑАᎪ", "-‐‑−", "IlΙІӀӏⅠⅼ", ".·˙܁܂࠰ॱൎ་༌᎐ᐧᣟᱸᱹ․‧⋅⸳"):
        looks = dict.fromkeys(alike, b"one")
        assert placeholders(looks, {ord(c): 0 for c in alike}) == ""
    nine = "abcdefghi"
    assert placeholders(dict.fromkeys(nine, b"one"), {ord(c): ord(c) for c in nine}) == nine


@pytest.mark.parametrize("name", ["DejaVu Sans", "DejaVu Serif", "STIXGeneral", "cmr10"])
def test_good_fonts_have_none(name: str) -> None:
    assert Face.open(name).measure(character_set("every"))[1] == ""


def test_chinese_fonts_have_none() -> None:
    face = Face.open(str(find_font("AR PL UKai CN")))
    assert face.measure(character_set("gb2312-1+every"))[1] == ""
