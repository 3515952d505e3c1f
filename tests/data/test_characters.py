from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from core.data.characters import SETS, character_set
from core.task import UserError


def test_gb2312_has_the_counts_and_the_order_of_the_standard() -> None:
    first, second = character_set("gb2312-1"), character_set("gb2312-2")
    assert (len(first), len(second)) == (3755, 3008)
    assert (first[0], first[-1], second[0], second[-1]) == ("啊", "座", "亍", "齄")
    assert not set(first) & set(second)
    assert character_set("gb2312-1+gb2312-2") == first + second


def test_the_sets_of_letters_hold_their_scripts_and_no_other() -> None:
    assert len(character_set("ascii")) == 94
    assert {"A", "z", "é", "Ł", "ƒ", "ệ"} < set(character_set("latin"))
    assert not set("µ×1α") & set(character_set("latin"))
    assert {"α", "Ω", "ᾷ"} < set(character_set("greek"))
    assert {"Ж", "ё", "ꙗ"} < set(character_set("cyrillic"))
    assert character_set("ascii+greek") == character_set("ascii") + character_set("greek")


@pytest.mark.parametrize("name", SETS)
def test_every_set_is_of_distinct_single_characters_with_ink(name: str) -> None:
    characters = character_set(name)
    assert len(set(characters)) == len(characters) > 90
    kinds = {unicodedata.category(c) for c in characters}
    assert kinds == {"Co"} if name == "private-use" else {k[0] for k in kinds} <= set("LNPS")
    assert character_set(name) == characters


def test_a_file_gives_its_printable_characters_in_order(tmp_path: Path) -> None:
    path = tmp_path / "mine+yours.txt"
    path.write_text("\ufeff永 和\r\n九\u3000年永\u200b\x07A\uf015", encoding="utf-8")
    assert character_set(str(path)) == ("永", "和", "九", "年", "A", "\uf015")
    with_name = tmp_path / "mine.txt"
    with_name.write_text("字A", encoding="utf-8")
    assert character_set(f"ascii+{with_name}") == (*character_set("ascii"), "字")


def test_a_file_in_another_encoding_is_refused_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"abc" + "永和九年".encode("gb18030"))
    with pytest.raises(UserError, match=r"list\.txt: not UTF-8 from byte 3 on; save the file as"):
        character_set(str(path))
    path.write_bytes("永和九年".encode("utf-16"))
    assert character_set(str(path)) == tuple("永和九年"), "it says what it is"


def test_nothing_to_draw_and_unknown_names_are_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    for text in ("", " \n\t\u3000"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=r"empty\.txt: holds no printable character"):
            character_set(str(path))
    sets = "gb2312-1, gb2312-2, ascii, latin, greek, cyrillic, private-use, every"
    for name in (
        "gb2312",
        "ascii+",
        "ascii+klingon",
        str(tmp_path),
        "~nobody/x",
        "a\0b",
        "x" * 999,
    ):
        with pytest.raises(UserError, match=f"is no set of characters and no file; .*{sets}"):
            character_set(name)
