"""Good pixels are read, whatever lies beside them and however many they are."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from core.data import decoding
from core.data.decoding import WHITE, decode, white_level
from core.data.images import _load, load_unpaired
from core.task import UserError


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("xdg")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    _load.cache_clear()
    return folder / "gantune"


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def save_deep(path: Path, values: np.ndarray, more: bytes = b"") -> None:
    """A PNG of 16 bits: H x W grey, H x W x 3 colours or with alpha; `more` before its pixels."""
    height, width, channels = (*values.shape, 1)[:3]
    kind = {1: 0, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    body = chunk(b"IHDR", header) + more + chunk(b"IDAT", zlib.compress(rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b""))


def test_every_kind_of_image_decodes_to_upright_rgb(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 12 * 8).reshape(8, 12).astype(np.uint8)
    rgb = Image.fromarray(np.stack([ramp, ramp[::-1], ramp], -1))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees
    rgb.save(tmp_path / "turned.jpg", exif=exif)
    rgb.save(tmp_path / "rgb.png")
    rgb.convert("L").save(tmp_path / "grey.png")
    rgb.convert("P").save(tmp_path / "palette.gif")
    rgb.convert("CMYK").save(tmp_path / "print.jpg")
    Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(ramp.astype(np.float32) / 255).save(tmp_path / "float.tiff")
    clear = rgb.convert("RGBA")
    clear.putalpha(0)
    clear.save(tmp_path / "clear.png")
    rgb.convert("1").save(tmp_path / "bits.png")
    for path in tmp_path.iterdir():
        image, left_out = decode(path)
        assert left_out == ""
        assert image.mode == "RGB", path.name
        assert image.size == ((8, 12) if path.name == "turned.jpg" else (12, 8)), path.name
    assert np.array_equal(np.asarray(decode(tmp_path / "rgb.png").image), np.asarray(rgb))
    for name in ("deep.png", "float.tiff"):
        assert (
            np.abs(np.asarray(decode(tmp_path / name).image)[..., 0].astype(int) - ramp).max() <= 1
        )
    assert (np.asarray(decode(tmp_path / "clear.png").image) == 255).all()


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 3), (6, 8, 4)])
def test_a_folder_of_twelve_bits_is_read_by_its_own_range(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    values = np.random.default_rng(0).integers(0, 4096, shape)
    values.flat[0] = 4095
    if shape[-1] == 4:
        values[..., 3] = WHITE
    dark, bright = tmp_path / "dark.png", tmp_path / "bright.png"
    save_deep(bright, values)
    save_deep(dark, np.minimum(values, 100) if len(shape) == 2 else values)
    white = white_level([dark, bright])
    assert white == 4095
    found = np.asarray(decode(bright, white).image).astype(int)
    expected = np.rint(values.reshape(6, 8, -1)[..., :3] * 255 / 4095)
    assert np.array_equal(found, np.broadcast_to(expected, (6, 8, 3)))
    if len(shape) == 2:
        assert np.asarray(decode(dark, white).image).max() == 6, "by the folder's range"


def test_eight_bits_and_full_sixteen_keep_the_range_they_had(tmp_path: Path) -> None:
    Image.new("L", (4, 4), 9).save(tmp_path / "eight.png")
    Image.new("L", (4, 4), 9).save(tmp_path / "eight.jpg")
    save_deep(tmp_path / "full.png", np.full((4, 4), 40_000))
    (tmp_path / "damaged.png").write_bytes(b"no picture")
    names = ("eight.png", "eight.jpg", "damaged.png")
    assert white_level([tmp_path / name for name in names]) == WHITE
    assert white_level([tmp_path / "full.png", tmp_path / "eight.png"]) == WHITE
    save_deep(tmp_path / "black.png", np.zeros((4, 4)))
    assert white_level([tmp_path / "black.png"]) == 255


def test_training_takes_each_domains_range_once_and_says_so(
    domains: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shutil.copytree(domains, tmp_path / "data")
    eight_bits = load_unpaired(str(data), 32, "resize")
    for path in (data / "trainA").iterdir():
        grey = np.asarray(Image.open(path).convert("L")).astype(int)
        save_deep(path, grey * 4095 // 255)
    _load.cache_clear()
    loaded = load_unpaired(str(data), 32, "resize")
    assert max(image.max() for image in loaded.a.train) > 100, "not black"
    assert [n for n in loaded.notes if "white" in n] == [
        "trainA: 4,095 is white in its images of more than 8 bits: no value is above it"
    ]
    assert all(map(np.array_equal, loaded.b.train, eight_bits.b.train))
    monkeypatch.setattr(decoding, "_brightest", lambda path: pytest.fail("measured again"))
    _load.cache_clear()
    assert load_unpaired(str(data), 32, "resize").fingerprint == loaded.fingerprint


def huge_text() -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "x" * 2_000_000, zip=True)
    return text


def test_metadata_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    image = Image.fromarray(random.integers(0, 255, (6, 8, 3), np.uint8))
    image.save(tmp_path / "text.png", pnginfo=huge_text())
    image.save(tmp_path / "profile.png", icc_profile=b"x" * 3_000_000)
    image.save(tmp_path / "exif.png", exif=b"Exif\0\0junkjunkjunk")
    image.save(tmp_path / "exif.webp", exif=b"Exif\0\0junkjunkjunk", lossless=True)
    for path in tmp_path.iterdir():
        found, left_out = decode(path)
        assert np.array_equal(np.asarray(found), np.asarray(image)), path.name
        assert left_out, path.name
    turned = Image.Exif()
    turned[0x0112] = 6
    image.save(tmp_path / "turned.png", pnginfo=huge_text(), exif=turned)
    assert decode(tmp_path / "turned.png").image.size == (6, 8)
    image.save(tmp_path / "plain.jpg", exif=turned, quality=95)
    content = (tmp_path / "plain.jpg").read_bytes()
    junk = b"\xff\xe2\x00\x0eICC_PROFILE\x00"  # which part of how many it is, is missing
    (tmp_path / "profile.jpg").write_bytes(content[:2] + junk + content[2:])
    found, left_out = decode(tmp_path / "profile.jpg")
    assert np.array_equal(np.asarray(found), np.asarray(decode(tmp_path / "plain.jpg").image))
    assert "cannot identify" in left_out
    (tmp_path / "torn.jpg").write_bytes(content[:-100])
    with pytest.raises(OSError, match="truncated"):
        decode(tmp_path / "torn.jpg")
    whole = (tmp_path / "text.png").read_bytes()
    (tmp_path / "torn.png").write_bytes(whole[:-60])
    with pytest.raises((OSError, SyntaxError, ValueError)):
        decode(tmp_path / "torn.png")


def test_images_without_their_metadata_are_named_and_not_skipped(
    domains: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(domains, tmp_path / "data")
    Image.new("RGB", (40, 40), "red").save(data / "trainA" / "003.png", pnginfo=huge_text())
    for _ in range(2):  # decoded, then from the cache
        _load.cache_clear()
        loaded = load_unpaired(str(data), 32, "resize")
        assert not loaded.a.skipped
        (note,) = [n for n in loaded.notes if "metadata" in n]
        assert note.startswith("trainA: 1 images read without metadata")
        assert "003.png (Decompressed data too large" in note


def test_a_scan_of_182_megapixels_is_read(tmp_path: Path) -> None:
    Image.new("L", (13_500, 13_500), 77).save(tmp_path / "scan.jpg")
    found = decode(tmp_path / "scan.jpg", side=286).image
    assert 2 * 286 <= min(found.size) < 2000
    assert np.asarray(found).max() == 77
    Image.new("1", (13_500, 13_500), 1).save(tmp_path / "scan.png")
    found = decode(tmp_path / "scan.png", side=286).image
    assert min(found.size) >= 2 * 286
    assert np.asarray(found).min() == 255


def test_the_limit_is_named_and_reduced_images_are_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    image = Image.fromarray(random.integers(0, 255, (400, 400), np.uint8)).resize((800, 800))
    image.save(tmp_path / "x.jpg")
    image.save(tmp_path / "x.png")
    as_it_is = np.asarray(decode(tmp_path / "x.jpg", side=50).image.resize((50, 50)))
    monkeypatch.setattr(decoding, "LARGE", 100_000)
    monkeypatch.setattr(decoding, "MOST", 300_000)
    found = decode(tmp_path / "x.jpg", side=50).image
    assert found.size == (100, 100)
    assert np.abs(np.asarray(found.resize((50, 50))).astype(int) - as_it_is).mean() < 8
    for path, side in ((tmp_path / "x.png", 50), (tmp_path / "x.jpg", 0)):
        with pytest.raises(UserError, match="800 x 800 pixels are more than the 0 million that"):
            decode(path, side=side)
