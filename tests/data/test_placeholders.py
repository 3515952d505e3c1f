from __future__ import annotations

from pathlib import Path

import pytest

from core.data.characters import character_set
from core.data.fonts import Face, find_font
from core.data.glyphs import GlyphParams, Glyphs, load_glyphs
from core.data.placeholders import placeholders
from core.params import validate_params
from core.task import UserError
from tests.data.rectangles import write_rectangles

LATIN = character_set("latin")


def load(target: Path, characters: str = "latin") -> Glyphs:
    source = "auto" if characters == "auto" else "DejaVu Sans"
    values = {"source_font": source, "target_font": str(target), "size": "32"}
    return load_glyphs(validate_params(GlyphParams, values | {"characters": characters}))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("copies", [False, True])
def test_a_box_for_many_characters_is_no_glyph(tmp_path: Path, copies: bool) -> None:
    boxes = LATIN[-333:]
    glyphs = {c: "box" if c in boxes else f"u{ord(c)}" for c in LATIN}
    write_rectangles(tmp_path / "boxed.ttf", glyphs, copies=copies)
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
    glyphs = {c: "box" if c in boxes else f"u{ord(c)}" for c in LATIN}
    write_rectangles(tmp_path / "boxed.ttf", glyphs)
    few = tmp_path / "few.txt"
    few.write_text("".join(LATIN[:150]) + "".join(boxes[:5]), encoding="utf-8")
    data = load(tmp_path / "boxed.ttf", str(few))
    assert not set(boxes) & set(data.characters)
    assert any("a placeholder for 5 characters" in note for note in data.notes)


def test_boxes_for_chinese_make_no_chinese_font(tmp_path: Path) -> None:
    boxes = dict.fromkeys(character_set("gb2312-1")[:500], "box")
    glyphs = {c: f"u{ord(c)}" for c in character_set("ascii")}
    write_rectangles(tmp_path / "boxed.ttf", boxes | glyphs)
    data = load(tmp_path / "boxed.ttf", "auto")
    assert len(data.characters) > 60
    assert set(data.characters) <= set(glyphs)


def test_a_font_of_boxes_alone_is_refused_with_their_number(tmp_path: Path) -> None:
    write_rectangles(tmp_path / "boxed.ttf", dict.fromkeys(LATIN, "box") | {"A": "A"})
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
