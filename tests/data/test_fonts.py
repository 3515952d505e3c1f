from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont
from fontTools.ttLib.tables.TupleVariation import TupleVariation
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from core.data.characters import character_set
from core.data.fonts import Face, find_font
from core.task import UserError

BUNDLED = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
UKAI = find_font("AR PL UKai CN")  # Debian's fonts-arphic-ukai and fonts-wqy-zenhei
ZENHEI = find_font("WenQuanYi Zen Hei")


@pytest.fixture
def no_fontconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A PATH of one empty folder: matplotlib asks fontconfig's fc-list once a process."""
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        font_manager._get_fontconfig_fonts.cache_clear()
        yield
    font_manager._get_fontconfig_fonts.cache_clear()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a test's own, in place of the system's fonts."""
    folder = tmp_path / "fonts"
    folder.mkdir()
    find = font_manager.findSystemFonts
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda f=None: find(f or str(folder)))
    return folder


def write_font(path: Path, family: str, style: str, *, other: str = "") -> None:
    """A font of one glyph, with its family's name in a second language where there is one."""
    builder = FontBuilder(1000)
    builder.setupGlyphOrder([".notdef", "A"])
    builder.setupCharacterMap({65: "A"})
    pen = TTGlyphPen(None)
    for point in ((0, 0), (0, 700), (500, 700)):
        pen.lineTo(point) if point != (0, 0) else pen.moveTo(point)
    pen.closePath()
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "A": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (500, 0), "A": (500, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": {"en": family} | ({"zh": other} if other else {}),
                            "styleName": style, "fullName": f"{family} {style}"})  # fmt: skip
    weight = {"Bold": 700}.get(style, 400)
    builder.setupOS2(usWeightClass=weight, usWidthClass=5, fsSelection=int(style == "Italic"))
    builder.setupPost()
    builder.save(path)


def write_variable(path: Path, default: str = "Regular") -> None:
    """A font of one glyph that gets wider with its weight, from 400 to 900."""
    write_font(path, "Some Font", default)
    font = TTFont(path)
    builder = FontBuilder(font=font)
    instances: list[Any] = [
        {"location": {"wght": weight}, "stylename": style}
        for style, weight in (("Regular", 500), ("Semi Bold", 600), ("Black", 900))
    ]
    builder.setupFvar([("wght", 400, 400, 900, "Weight")], instances)
    deltas = [(0, 0), (0, 0), (300, 0), *[(0, 0)] * 4]
    builder.setupGvar({".notdef": [], "A": [TupleVariation({"wght": (0, 1, 1)}, deltas)]})
    font.save(path)


def width(face: Face) -> int:
    return face.measure("A")[0]["A"]


def lacks(face: Face, characters: str) -> str:
    drawn = zip(characters, face.draw(characters, 64), strict=True)
    return "".join(c for c, glyph in drawn if glyph is None)


@pytest.mark.parametrize("name", ["DejaVu Sans", "dejavu sans", "DejaVuSans", "DejaVuSans.ttf"])
def test_a_bundled_font_is_found_by_any_of_its_names(name: str) -> None:
    assert find_font(name) == BUNDLED / "DejaVuSans.ttf"


def test_of_a_family_the_plain_face_is_taken_and_a_style_can_be_named() -> None:
    assert find_font("DejaVu Serif").name == "DejaVuSerif.ttf"
    bold = Face.open("DejaVu Serif Bold")
    assert (bold.path.name, bold.name) == ("DejaVuSerif-Bold.ttf", "DejaVu Serif Bold")
    assert Face.open(str(bold.path)) == bold


def test_a_family_of_a_collection_is_its_own_face(no_fontconfig: None) -> None:
    assert [Face.open(f"AR PL UKai {place}").index for place in ("CN", "HK", "TW")] == [0, 1, 2]
    assert Face.open(str(UKAI), 2).name == "AR PL UKai TW"
    assert Face.open("WenQuanYi Zen Hei").path == ZENHEI
    with pytest.raises(UserError, match=r"AR PL UKai TW is face 2 of .*ukai\.ttc"):
        Face.open("AR PL UKai TW", 1)


def test_the_systems_fonts_are_found_by_any_name_in_any_language(installed: Path) -> None:
    write_font(installed / "A-Bold.otf", "Some Font", "Bold")
    write_font(installed / "B-Italic.otf", "Some Font", "Italic")
    write_font(installed / "C.otf", "Some Font", "Regular", other="某字体")
    (installed / "damaged.ttf").write_bytes(b"odd")
    for name in ("Some Font", "some font", "某字体", "Some Font Regular", "c", "C.OTF"):
        assert find_font(name) == installed / "C.otf"
    assert find_font("Some Font Bold") == installed / "A-Bold.otf"
    assert Face.open("Some Font Italic").name == "Some Font Italic"
    for name in ("Some", "Sum Font"):
        with pytest.raises(UserError, match=f"no font '{name}'.*similar names are Some Font;"):
            find_font(name)


def test_an_instance_of_a_variable_font_is_found_as_the_system_lists_it(
    installed: Path, no_fontconfig: None
) -> None:
    path = installed / "variable.ttf"
    write_variable(path)
    plain, black = Face.open("Some Font"), Face.open("Some Font Black")
    assert (plain.index, plain.name) == (0, "Some Font")
    assert (black.index, black.name) == (3 << 16, "Some Font Black")
    assert not black.is_same(plain)
    assert width(black) > 1.1 * width(plain)
    for name in ("some font:style=Black", f"{path}:style=black", "Other,Some Font:style=No,Black"):
        assert Face.open(name) == black
    assert Face.open(str(path), 3 << 16) == black
    assert Face.open("Some Font Semi Bold").index == 2 << 16
    assert Face.open("Some Font:style=Regular") == plain
    with pytest.raises(UserError, match=r"Black is face 196608 of .*: omit the index, or name"):
        Face.open("Some Font Black", 1)
    with pytest.raises(UserError, match=r"no style 'Thin'; its styles are Regular, Semi Bold, Bl"):
        Face.open(f"{path}:style=Thin")
    with pytest.raises(UserError, match=r"asks for instance 4; its instances are 65536 Regular, "):
        Face.open(str(path), 4 << 16)
    with pytest.raises(UserError, match="asks for instance 1; it is no variable font"):
        Face.open("DejaVu Sans", 1 << 16)


def test_the_plain_instance_stands_for_a_family_whose_default_is_thin(
    installed: Path, no_fontconfig: None
) -> None:
    write_variable(installed / "variable.ttf", "Thin")
    assert Face.open("Some Font").index == 1 << 16
    assert Face.open("Some Font Thin").index == 0


def test_styles_with_few_words_stand_for_a_family_without_a_plain_one(installed: Path) -> None:
    write_font(installed / "A.otf", "Narrow", "Condensed Bold")
    write_font(installed / "B.otf", "Narrow", "Condensed")
    assert find_font("Narrow") == installed / "B.otf"


def test_a_font_that_is_not_there_is_never_replaced_by_another(
    installed: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as error:
        find_font("DejaVu Sanz")
    assert str(error.value) == (
        "no font 'DejaVu Sanz': no such file, and no such name among matplotlib's fonts and the "
        "system's; similar names are DejaVu Sans, DejaVu Sans Mono, DejaVu Serif; name a .ttf, "
        ".otf or .ttc file, or install the font"
    )
    for name in ("", "/no/such.ttf", "~nobody/x.ttf", "a\0b", "x" * 999):
        with pytest.raises(UserError, match="no such file"):
            Face.open(name)
    with pytest.raises(UserError, match="a folder and no file, and no such name"):
        Face.open(str(tmp_path))


def test_a_file_that_is_no_whole_font_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "font.ttf"
    whole = (BUNDLED / "DejaVuSans.ttf").read_bytes()
    for content in (b"", b"\0", b"garbage" * 1000, whole[:4] + b"x" * 5000, b"ttcf", whole[:9]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"font\.ttf: (not a scalable font|a font cut short)"):
            Face.open(str(path))
    for share in (0.1, 0.5, 0.9, 0.999):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(UserError, match=r"a font cut short after [\d,]+ bytes; get it again"):
            Face.open(str(path))


def test_a_font_of_bitmaps_alone_is_refused(tmp_path: Path) -> None:
    write_font(tmp_path / "bitmaps.ttf", "Some Font", "Regular")
    font = TTFont(tmp_path / "bitmaps.ttf")
    del font["glyf"], font["loca"]
    font.save(tmp_path / "bitmaps.ttf")
    with pytest.raises(UserError, match=r"not a scalable font.*\.ttc that has outlines"):
        Face.open(str(tmp_path / "bitmaps.ttf"))


def test_a_web_font_names_the_package_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fontTools.ttLib.woff2.haveBrotli", False)
    (tmp_path / "font.woff2").write_bytes(b"wOF2" + bytes(60))
    with pytest.raises(
        UserError, match=r"WOFF2, which takes another package .*: pip install brotl"
    ):
        Face.open(str(tmp_path / "font.woff2"))


def test_damage_that_only_drawing_finds_is_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "font.ttf"
    content = bytearray((BUNDLED / "DejaVuSans.ttf").read_bytes())
    random = np.random.default_rng(0)
    complaints = []
    for _ in range(20):
        spoilt = content.copy()
        for place in random.integers(10_000, len(content), 2000):
            spoilt[place] = random.integers(256)
        path.write_bytes(spoilt)
        try:
            Face.open(str(path)).measure(character_set("ascii"))
        except UserError as error:
            complaints.append(str(error))
    assert complaints
    for complaint in complaints:
        assert complaint.startswith(f"{path}: cannot be drawn (")
        assert complaint.endswith("the font is damaged, take another")


def test_a_face_beyond_the_last_is_refused_with_their_number() -> None:
    with pytest.raises(UserError, match=r"ukai\.ttc: there is no face 4; it has faces 0 to 3"):
        Face.open(str(UKAI), 4)
    with pytest.raises(UserError, match=r"there is no face 1; its one face is 0"):
        Face.open("DejaVu Sans", 1)


def test_what_a_font_lacks_is_told_from_what_it_draws() -> None:
    assert lacks(Face.open("DejaVu Sans"), "A中é永□\ufffd\u2800") == "中永\u2800"
    # A blank .notdef.
    assert lacks(Face.open("STIXGeneral"), "A中é永") == "中永"
    assert lacks(Face.open("AR PL UKai CN"), "永A中\U00020000") == "\U00020000"
    assert lacks(Face.open("WenQuanYi Zen Hei"), "".join(character_set("gb2312-1"))[::20]) == ""


def test_a_glyph_is_cut_to_all_of_its_ink() -> None:
    face = Face.open("DejaVu Sans")
    font = ImageFont.truetype(str(face.path), 100, layout_engine=ImageFont.Layout.BASIC)
    characters = "Ajf_.|⟿‱Ǻͅ"
    for character, glyph in zip(characters, face.draw(characters, 100), strict=True):
        assert glyph is not None
        page = Image.new("L", (600, 600))
        ImageDraw.Draw(page).text((250, 250), character, fill=255, font=font)
        assert glyph == page.crop(page.getbbox())


@pytest.mark.parametrize("size", [32, 64, 128])
def test_glyphs_share_a_scale_are_centred_and_never_clipped(size: int) -> None:
    face = Face.open("DejaVu Serif")
    longest, _ = face.measure((*character_set("ascii+latin+cyrillic"), "‱", "⟺"))
    characters = (*longest, "中")
    squares = dict(zip(characters, face.squares(characters, size, longest.values()), strict=True))
    left_out = [c for c, square in squares.items() if square is None]
    assert {"‱", "⟺", "中"} <= set(left_out)
    assert len(left_out) < 0.01 * len(characters)
    heights = {}
    for character, square in squares.items():
        if square is None:
            continue
        assert square.shape == (size, size)
        assert square.dtype == np.uint8
        rows, columns = np.nonzero(square < 255)
        assert min(rows.min(), columns.min()) > 0
        assert max(rows.max(), columns.max()) < size - 1
        for line in (rows, columns):
            assert abs((line.min() + line.max()) / 2 - (size - 1) / 2) <= 1
        heights[character] = np.ptp(rows) + 1
    assert max(heights.values()) <= size - 2
    # x-height over cap height of DejaVu Serif: 0.519 em / 0.729 em.
    assert heights["x"] / heights["X"] == pytest.approx(0.71, abs=0.08)


def test_the_file_s_content_and_the_face_make_it_the_same(tmp_path: Path) -> None:
    face = Face.open("DejaVu Sans")
    copy = Face.open(str(shutil.copy(face.path, tmp_path / "copy.ttf")))
    assert face.is_same(copy)
    assert not face.is_same(Face.open("DejaVu Serif"))
    assert not Face.open(str(UKAI), 0).is_same(Face.open(str(UKAI), 1))
