"""Every entry of a folder is taken, or it is said why not."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image, ImageFile

from core.data import listing
from core.data.images import _load, load_unpaired
from core.data.listing import image_suffixes, list_images
from core.task import UserError


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("xdg")))
    _load.cache_clear()


@pytest.fixture
def data(domains: Path, tmp_path: Path) -> Path:
    """A copy of the small data set."""
    return shutil.copytree(domains, tmp_path / "data")


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_every_entry_is_counted(tmp_path: Path) -> None:
    touch(tmp_path / "a", "b.JPG", "a.png", "._a.png", ".DS_Store", "Thumbs.db", "notes.txt")
    touch(tmp_path / "a", "1.HEIC", "2.HEIC", "book.pdf", "plain", "sub/c.png", "sub/d.txt")
    touch(tmp_path / "a", "__MACOSX/x.png", ".hidden/x.png", "odd.png/x.png")
    (tmp_path / "a" / "gone.png").symlink_to("nowhere")
    found = list_images(tmp_path / "a")
    assert found.names == ("a.png", "b.JPG")
    for what in (
        "a: 2 images taken, left out: ",
        "5 hidden",
        "2 .HEIC (pip install pillow-heif, and they are read)",
        "2 images in sub-folders (--recursive takes them)",
    ):
        assert what in found.left_out
    for kind in ("1 .txt", "1 .pdf", "1 without a suffix", "1 broken link", "1 others in sub"):
        assert kind in found.left_out or ", 3 others" in found.left_out
    deep = list_images(tmp_path / "a", recursive=True)
    assert deep.names == ("a.png", "b.JPG", "odd.png/x.png", "sub/c.png")
    assert deep.paths[3] == tmp_path / "a" / "sub" / "c.png"
    assert "sub-folders" not in deep.left_out
    assert list_images(touch(tmp_path / "b", "x.png")).left_out == ""


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path / "a", "x.png")
    touch(tmp_path / "elsewhere", "y.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "more").symlink_to(tmp_path / "elsewhere")
    assert list_images(tmp_path / "a", recursive=True).names == ("more/y.png", "x.png")


def test_heic_is_read_where_pillow_heif_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stub(ImageFile.ImageFile):
        format = "STUB"

    heif = ModuleType("pillow_heif")

    def register_heif_opener() -> None:
        Image.register_open("STUB", Stub)
        Image.register_extension("STUB", ".heic")

    monkeypatch.setattr(heif, "register_heif_opener", register_heif_opener, raising=False)
    monkeypatch.setitem(sys.modules, "pillow_heif", heif)
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    monkeypatch.setattr(Image, "EXTENSION", dict(Image.EXTENSION))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    image_suffixes.cache_clear()
    assert list_images(touch(tmp_path / "a", "x.HEIC")).names == ("x.HEIC",)
    image_suffixes.cache_clear()


def test_a_large_folder_is_listed_without_a_look_at_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "a", *(f"{k}.png" for k in range(300)))
    looks: list[object] = []
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda *a, **k: looks.append(a) or stat(*a, **k))
    assert len(list_images(tmp_path / "a").names) == 300
    assert len(looks) < 10


def test_what_training_does_not_take_is_among_its_notes(data: Path) -> None:
    touch(data / "trainB", "1.HEIC", "._x.jpg")
    for k in range(8):
        (data / "trainA" / "more").mkdir(exist_ok=True)
        (data / "trainA" / f"{k:03}.png").rename(data / "trainA" / "more" / f"{k:03}.png")
    with pytest.raises(UserError, match=r"trainA: holds 16 images, at least 20 .*\(--recursive"):
        load_unpaired(str(data), 32, "resize")
    loaded = load_unpaired(str(data), 32, "resize", recursive=True)
    assert len(loaded.a.train) + len(loaded.a.validation) == 24
    notes = "\n".join(loaded.notes)
    assert "trainB: 32 images taken, left out: " in notes
    assert "1 .HEIC (pip install pillow-heif" in notes
    assert "1 hidden" in notes
    assert not loaded.b.skipped, "what macOS leaves beside a file is no image"


def test_two_files_of_one_name_in_two_sub_folders_are_two(data: Path) -> None:
    plain = load_unpaired(str(data), 32, "resize", recursive=True)
    assert plain.fingerprint == load_unpaired(str(data), 32, "resize").fingerprint
    for name in ("trainA", "trainB"):
        (data / name / "sub").mkdir()
        Image.new("RGB", (64, 64), "red" if name == "trainA" else "blue").save(
            data / name / "sub" / "000.png"
        )
    _load.cache_clear()
    before = load_unpaired(str(data), 32, "resize")
    assert before.fingerprint == plain.fingerprint
    after = load_unpaired(str(data), 32, "resize", recursive=True)
    assert len(after.a.train) + len(after.a.validation) == 25
    assert after.fingerprint != before.fingerprint
    _load.cache_clear()
    again = load_unpaired(str(data), 32, "resize", recursive=True)
    assert again.fingerprint == after.fingerprint


def test_few_images_are_said_and_too_few_are_refused(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [note for note in load_unpaired(str(data), 32, "resize").notes if "by chance" in note]
    assert [note.split(";")[0] for note in few] == [
        "trainA: 24 images, 6 of them for validation",
        "trainB: 32 images, 8 of them for validation",
    ]
    monkeypatch.setattr(listing, "FEW", 24)
    _load.cache_clear()
    assert load_unpaired(str(data), 32, "resize").notes == ()
    for k in range(5):
        (data / "trainA" / f"{k:03}.png").unlink()
    _load.cache_clear()
    with pytest.raises(UserError, match="trainA: holds 19 images, at least 20 are needed"):
        load_unpaired(str(data), 32, "resize")
    (data / "trainA" / "x.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"1 of 20 images cannot be read.*fewer than 20 left"):
        load_unpaired(str(data), 32, "resize")
