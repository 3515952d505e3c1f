"""The images' cache: built once, whatever stops a build, and never a reason to fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data import digests, images, pixel_cache
from core.data.decoding import Picture
from core.data.images import Preprocess, UnpairedImages, load_unpaired
from core.data.pixel_cache import PackedImages
from core.task import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "xdg" / "gantune"


@pytest.fixture
def data(domains: Path, tmp_path: Path) -> Path:
    """A copy of the small data set with one unreadable file."""
    folder = shutil.copytree(domains, tmp_path / "data")
    (folder / "trainB" / "005.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are decoded in this process."""
    paths: list[Path] = []
    decode = images.decode

    def counted(path: Path, *how: int) -> Picture:
        paths.append(path)
        return decode(path, *how)

    monkeypatch.setattr(images, "decode", counted)
    return paths


def load_anew(data: Path, size: int = 32, preprocess: Preprocess = "resize") -> UnpairedImages:
    """What another process would load."""
    images._load.cache_clear()
    return load_unpaired(str(data), size, preprocess)


def pixels(data: UnpairedImages) -> list[bytes]:
    parts = (data.a.train, data.a.validation, data.b.train, data.b.validation)
    return [image.tobytes() for part in parts for image in part]


def pixel_file(cache: Path) -> Path:
    (file,) = cache.glob("images-*/pixels.u8")
    return file


def contents(cache: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(cache.glob("images-*/*"))]


def python(code: str, *words: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, words)]


def waited(ready: Path, lines: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until some index below a folder has so many lines."""
    for _ in range(600):
        found = [p.read_bytes().count(b"\n") for p in ready.glob("images-*/index.jsonl")]
        if found and max(found) >= lines:
            return
        assert process.poll() is None
        time.sleep(0.05)
    raise AssertionError("nothing was committed in 30 s")


@pytest.mark.parametrize("preprocess", ["resize", "scale-width-and-crop", "crop"])
def test_a_second_process_decodes_nothing_and_sees_the_same(
    data: Path, decoded: list[Path], preprocess: Preprocess
) -> None:
    wide = Image.new("RGB", (90, 50), "red")
    wide.save(data / "trainA" / "000.png")
    first = load_anew(data, preprocess=preprocess)
    assert len(decoded) == 24 + 32
    decoded.clear()
    second = load_anew(data, preprocess=preprocess)
    assert not decoded
    assert second.fingerprint == first.fingerprint
    assert second.notes == first.notes
    assert "005.png (cannot identify image file" in second.notes[0]
    assert str(data / "trainB" / "005.png") in second.notes[0]
    assert pixels(second) == pixels(first)
    if preprocess == "crop":
        held_out = images.validation_names([f"{k:03}.png" for k in range(32)])
        trained = next(k for k in range(32) if f"{k:03}.png" not in held_out)
        with Image.open(data / "trainB" / f"{trained:03}.png") as plain:
            assert np.array_equal(second.b.train[0], np.asarray(plain))


def test_a_copy_elsewhere_shares_the_cache_and_names_its_own_files(
    data: Path, decoded: list[Path], tmp_path: Path
) -> None:
    first = load_anew(data)
    decoded.clear()
    copy = shutil.copytree(data, tmp_path / "copy")
    second = load_anew(copy)
    assert not decoded
    assert second.fingerprint == first.fingerprint
    assert str(copy) in second.notes[0]


def test_views_are_read_only_and_behave_as_a_sequence(data: Path) -> None:
    train = load_anew(data).a.train
    assert isinstance(train, PackedImages)
    assert not train[0].flags.writeable
    assert [x.tobytes() for x in train[::3]] == [x.tobytes() for x in list(train)[::3]]
    assert np.array_equal(train[-1], train[len(train) - 1])
    with pytest.raises(IndexError):
        train[len(train)]


def test_what_changes_pixels_has_a_cache_of_its_own(
    data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_anew(data)
    load_anew(data, size=36)
    load_anew(data, preprocess="crop")
    Image.new("RGB", (40, 40)).save(data / "trainA" / "000.png")
    load_anew(data)
    monkeypatch.setattr(pixel_cache, "VERSION", -1)
    load_anew(data)
    assert len(list(cache.glob("images-*/"))) == 5


def test_unchanged_files_are_not_read_again_and_changed_ones_are(
    data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    sha256 = digests._sha256
    monkeypatch.setattr(digests, "_sha256", lambda path: read.append(path) or sha256(path))
    before = load_anew(data).fingerprint
    assert len(read) == 56
    read.clear()
    assert load_anew(data).fingerprint == before
    assert not read
    changed = data / "trainA" / "003.png"
    state = changed.stat()
    changed.write_bytes(changed.read_bytes()[::-1])  # as long, and as old for who looks at mtime
    os.utime(changed, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert load_anew(data).fingerprint != before
    assert read == [changed]
    (kept,) = cache.glob("digests-*.json")
    for damage in (b"", b"[1]", kept.read_bytes()[:200], kept.read_bytes().replace(b"a", b"x")):
        kept.write_bytes(damage)
        fingerprint = load_anew(data).fingerprint
        assert fingerprint not in ("", before)


@pytest.mark.parametrize("damage", ["no index", "no pixels", "short", "long", "junk", "numbers"])
def test_a_damaged_cache_is_built_anew(
    data: Path, cache: Path, decoded: list[Path], damage: str
) -> None:
    good = pixels(load_anew(data))
    whole = contents(cache)
    file = pixel_file(cache)
    index = file.with_name("index.jsonl")
    if damage == "no index":
        index.unlink()
    elif damage == "no pixels":
        file.unlink()
    elif damage in ("short", "long"):
        file.write_bytes(file.read_bytes()[:-5] if damage == "short" else file.read_bytes() + b"x")
    else:
        lines = {"junk": b"\xff\xfe nothing\n", "numbers": b"[-3, 9999999999999999999, 0]\n"}
        index.write_bytes(lines[damage] * 56)
    decoded.clear()
    assert pixels(load_anew(data)) == good
    assert len(decoded) == 56
    assert contents(cache) == whole


SLOW_LOAD = """
import sys, threading, time
from core.data import images, pixel_cache
pixel_cache.COMMIT = 0.0
pixel_cache.QUIET = 0.1
decode, one_at_a_time = images.decode, threading.Lock()

def slowly(path, *how):
    with one_at_a_time:
        time.sleep(float(sys.argv[2]))
        print(path.name, flush=True)
    return decode(path, *how)

images.decode = slowly
images.load_unpaired(sys.argv[1], 32, "resize")
"""


def test_a_killed_build_goes_on_where_it_stopped(data: Path, cache: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        python(SLOW_LOAD, data, 0.05), cwd=ROOT, stdout=subprocess.DEVNULL
    ) as one:
        waited(cache, 10, one)
        one.kill()
    index = pixel_file(cache).with_name("index.jsonl")
    done = index.read_bytes().count(b"\n")
    with index.open("ab") as torn, pixel_file(cache).open("ab") as more:
        torn.write(b"[36, 3")
        more.write(b"half an image")
    again = subprocess.run(
        python(SLOW_LOAD, data, 0), cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert len(again.stdout.split()) == 56 - done
    assert 10 <= done < 56
    resumed = contents(cache)
    shutil.rmtree(cache)
    load_anew(data)
    assert contents(cache) == resumed


def test_of_two_processes_one_decodes_and_the_other_waits(data: Path, cache: Path) -> None:
    def start() -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = python(SLOW_LOAD, data, 0.05)
        return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)

    with start() as one, start() as other:
        outputs = [process.communicate(timeout=120) for process in (one, other)]
    assert one.returncode == other.returncode == 0
    assert sorted(len(out.split()) for out, _ in outputs) == [0, 56]
    assert any("another process decodes them" in said for _, said in outputs)


@pytest.fixture(params=["no folder", "full disk"])
def unwritable(request: pytest.FixtureRequest, cache: Path) -> Iterator[str]:
    """A cache in which nothing can be kept."""
    if request.param == "no folder":
        cache.parent.mkdir(parents=True)
        cache.write_text("a file where a folder should be", encoding="utf-8")
        yield "File exists"
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", full)
            yield "No space left"


def full(_: int) -> None:
    raise OSError(28, "No space left on device")


def test_images_that_cannot_be_kept_are_decoded_in_memory_with_a_note(
    data: Path, cache: Path, unwritable: str, decoded: list[Path]
) -> None:
    loaded = load_anew(data)
    skipped, note, *few = loaded.notes
    assert "005.png" in skipped
    assert note.startswith("images: decoded in memory")
    assert unwritable in note
    assert not list(cache.glob("images-*/")), "a full disk is not left full"
    assert not loaded.a.train[0].flags.writeable
    kept = pixels(loaded)
    if cache.is_file():
        cache.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        later = load_anew(data)
    assert later.notes == (skipped, *few)
    assert pixels(later) == kept


def test_errors_leave_nothing_that_a_corrected_run_meets(data: Path, cache: Path) -> None:
    with pytest.raises(UserError, match="too small for --size 96"):
        load_anew(data, size=96, preprocess="crop")
    assert not list(cache.glob("images-*/"))
    whole = {k: (data / "trainA" / f"{k:03}.png").read_bytes() for k in range(2)}
    for k in whole:
        (data / "trainA" / f"{k:03}.png").write_bytes(whole[k][: len(whole[k]) // 2])
    for _ in range(2):
        with pytest.raises(UserError, match="2 of 24 images cannot be read"):
            load_anew(data)
    for k, content in whole.items():
        (data / "trainA" / f"{k:03}.png").write_bytes(content)
    assert not load_anew(data).a.skipped


def test_a_file_that_the_system_did_not_give_is_tried_again(
    data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = images.decode

    def out_of_files(path: Path, *how: int) -> Picture:
        if path.name == "007.png" and path.parent.name == "trainA":
            raise OSError(24, "Too many open files", str(path))
        return decode(path, *how)

    monkeypatch.setattr(images, "decode", out_of_files)
    first = load_anew(data)
    assert "Too many open files" in first.notes[0]
    assert len(pixels(first)) == 54
    monkeypatch.setattr(images, "decode", decode)
    second = load_anew(data)
    assert len(pixels(second)) == 55
    assert pixels(first)[0] == pixels(second)[0], "what is mapped stays"


def test_a_large_data_set_is_never_in_memory_at_once(tmp_path: Path) -> None:
    random, count, size = np.random.default_rng(0), 2000, 128
    some = [Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)) for _ in range(20)]
    for name in ("trainA", "trainB"):
        (tmp_path / "many" / name).mkdir(parents=True)
        for k in range(count // 2):
            some[k % 20].save(tmp_path / "many" / name / f"{k:04}.bmp")
    code = """
import resource, sys
from core.data.images import load_unpaired
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data = load_unpaired(sys.argv[1], 128, "resize")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, data.a.train.flat.nbytes)
"""
    command = python(code, tmp_path / "many")
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    grown, total = map(int, ran.stdout.split())
    assert total > 100 * 2**20 > count * size**2
    assert grown * 1024 < 0.3 * total, "KiB"
