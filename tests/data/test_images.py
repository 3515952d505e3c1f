from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from core.data.images import _load, load_unpaired, validation_names
from core.task import UserError


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier version decoded is no answer to these tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("xdg")))
    _load.cache_clear()


def test_the_validation_split_is_by_name_stable_and_of_the_promised_size() -> None:
    names = [f"{k:04}.jpg" for k in range(1000)]
    held_out = validation_names(names)
    assert len(held_out) == 100
    assert validation_names(names[::-1]) == held_out
    assert len(validation_names([f"{k}.jpg" for k in range(3000)])) == 300
    assert len(validation_names(names[:100])) == 25
    assert len(validation_names(names[:2])) == 1
    grown = validation_names([*names, "new.jpg"])
    assert len(held_out - grown) <= 1


@pytest.mark.parametrize("preprocess", ["resize", "scale-width-and-crop", "crop"])
def test_no_image_is_on_both_sides_and_shapes_are_as_promised(
    domains: Path, preprocess: str
) -> None:
    data = load_unpaired(str(domains), 32, preprocess)  # type: ignore[arg-type]
    assert (len(data.a.train), len(data.a.validation)) == (18, 6)
    assert (len(data.b.train), len(data.b.validation)) == (24, 8)
    assert {image.shape for image in data.b.validation} == {(32, 32, 3)}
    side = {"resize": 36, "scale-width-and-crop": 36, "crop": 64}[preprocess]
    assert {image.shape for image in data.a.train} == {(side, side, 3)}


def test_a_wide_picture_is_scaled_by_its_height_and_keeps_its_proportions(tmp_path: Path) -> None:
    for name in ("trainA", "trainB"):
        (tmp_path / name).mkdir()
        for k in range(20):
            Image.new("RGB", (100, 50), (k, 0, 0)).save(tmp_path / name / f"{k}.png")
    data = load_unpaired(str(tmp_path), 32, "scale-width-and-crop")
    assert {image.shape for image in data.a.train} == {(32, 64, 3)}


def test_the_fingerprint_follows_the_content(domains: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(domains, tmp_path / "copy")
    before = load_unpaired(str(domains), 32, "resize").fingerprint
    assert load_unpaired(str(copy), 32, "resize").fingerprint == before
    other = shutil.copytree(domains, tmp_path / "other")
    Image.new("RGB", (40, 40)).save(other / "trainA" / "000.png")
    assert load_unpaired(str(other), 32, "resize").fingerprint != before
    assert load_unpaired(str(domains), 36, "resize").fingerprint != before


def test_an_unreadable_image_is_named_and_skipped(domains: Path, tmp_path: Path) -> None:
    data = shutil.copytree(domains, tmp_path / "data")
    (data / "trainB" / "005.png").write_bytes(b"no picture")
    (data / "trainB" / "notes.txt").write_text("not counted")
    loaded = load_unpaired(str(data), 32, "resize")
    assert len(loaded.b.train) + len(loaded.b.validation) == 31
    (skipped,) = loaded.b.skipped
    assert skipped.startswith("005.png (cannot identify")


def test_odd_names_and_files_nobody_may_read_are_no_traceback(
    domains: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(domains, tmp_path / "data with spaces é")
    latin = os.fsdecode(b"caf\xe9.png")
    (data / "trainA" / "000.png").rename(data / "trainA" / latin)
    (data / "trainB" / "000.png").unlink()
    (data / "trainB" / "000.png").symlink_to(data / "trainB" / "001.png")
    loaded = load_unpaired(str(data), 32, "resize")
    assert not loaded.a.skipped
    assert not loaded.b.skipped
    few = next(note for note in loaded.notes if note.startswith("trainA"))
    assert "fewer than 8 validation inputs" in few
    with pytest.raises(UserError, match="--data ~nobody-here/x"):
        load_unpaired("~nobody-here/x", 32, "resize")


def test_many_unreadable_images_are_an_error(domains: Path, tmp_path: Path) -> None:
    data = shutil.copytree(domains, tmp_path / "data")
    whole = (data / "trainA" / "000.png").read_bytes()
    for k in range(2):
        (data / "trainA" / f"{k:03}.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"trainA: 2 of 24 images cannot be read.*000\.png"):
        load_unpaired(str(data), 32, "resize")


def test_missing_empty_and_small_domains_are_one_clear_error(domains: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="trainA: no such folder; the layout is"):
        load_unpaired(str(tmp_path), 32, "resize")
    (tmp_path / "trainA").mkdir()
    with pytest.raises(UserError, match="holds 0 images"):
        load_unpaired(str(tmp_path), 32, "resize")
    with pytest.raises(UserError, match=r"64 x 64 pixels are too small for --size 96"):
        load_unpaired(str(domains), 96, "crop")
