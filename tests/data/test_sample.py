"""The sample data set: what is in it, what its folders do not share, and how it is made."""

import os
from itertools import combinations, islice
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_image

from core.data import cache_folder, sample
from core.task import UserError


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache where an earlier process was killed half-way, then the sample was made."""
    cache = tmp_path_factory.mktemp("cache")
    left_over = cache / f"{sample.VERSION}.partial" / "trainA"
    left_over.mkdir(parents=True)
    (left_over / "9999.png").write_bytes(b"half a file")
    sample.sample_folder(cache)
    return cache


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """One picture of one folder: quick to make."""
    monkeypatch.setattr(sample, "COUNTS", {"testB": 1})


def coverage(name: str, picture: str) -> NDArray[np.int_]:
    """How many regions of the folder `name` cover each pixel of a scikit-learn picture."""
    counts = np.zeros(load_sample_image(picture).shape[:2], int)
    for source, (left, upper, right, lower) in sample.REGIONS[name]:
        assert 0 <= left < right
        assert 0 <= upper < lower
        if source == picture:
            assert right <= counts.shape[1]
            assert lower <= counts.shape[0]
            counts[upper:lower, left:right] += 1
    return counts


def test_counts_names_and_sizes(cache: Path) -> None:
    folder = cache / sample.VERSION
    expected = {"trainA": 300, "trainB": 400, "testA": 40, "testB": 40}
    assert {path.name for path in folder.iterdir()} == set(expected)
    for name, count in expected.items():
        files = sorted(path.name for path in (folder / name).iterdir())
        assert files == [f"{number:04d}.png" for number in range(1, count + 1)]
        for file in files:
            with Image.open(folder / name / file) as picture:
                assert (picture.format, picture.size, picture.mode) == ("PNG", (128, 128), "RGB")


@pytest.mark.parametrize("name", ["trainB", "testB"])
def test_the_same_pixels_on_each_making(cache: Path, name: str) -> None:
    for number, again in enumerate(islice(sample.render(name, 40), 5), start=1):
        with Image.open(cache / sample.VERSION / name / f"{number:04d}.png") as made:
            assert made.tobytes() == again.tobytes()


@pytest.mark.parametrize("name", ["trainA", "trainB", "testA", "testB"])
def test_no_two_pictures_of_a_folder_are_the_same(cache: Path, name: str) -> None:
    files = list((cache / sample.VERSION / name).iterdir())
    assert len({path.read_bytes() for path in files}) == len(files)


@pytest.mark.parametrize(("one", "other"), list(combinations(sample.REGIONS, 2)))
@pytest.mark.parametrize("picture", ["china.jpg", "flower.jpg"])
def test_folders_share_no_source_pixel(picture: str, one: str, other: str) -> None:
    first, second = coverage(one, picture), coverage(other, picture)
    assert first.any(), "each folder shows something of each picture"
    assert not (first * second).any()


@pytest.mark.parametrize("name", ["testA", "testB"])
def test_a_picture_shows_only_its_folders_regions(
    cache: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """With all but the folder's regions made pure red, no picture, painted or not, may change."""

    def marked(picture: str) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = np.array(load_sample_image(picture))
        pixels[coverage(name, picture) == 0] = (255, 0, 0)
        return pixels

    monkeypatch.setattr("sklearn.datasets.load_sample_image", marked)
    for number, again in enumerate(sample.render(name, sample.COUNTS[name]), start=1):
        with Image.open(cache / sample.VERSION / name / f"{number:04d}.png") as made:
            assert made.tobytes() == again.tobytes()


def test_a_second_call_does_not_remake(cache: Path) -> None:
    paths = [cache / sample.VERSION, *(cache / sample.VERSION).rglob("*")]
    before = [path.stat().st_mtime_ns for path in paths]
    assert sample.sample_folder(cache) == cache / sample.VERSION
    assert [path.stat().st_mtime_ns for path in paths] == before


def test_a_making_that_is_killed_leaves_no_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: None
) -> None:
    def killed(self: Image.Image, path: Path) -> None:
        path.write_bytes(b"half a file")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            sample.sample_folder(tmp_path)
    assert not (tmp_path / sample.VERSION).exists()
    folder = sample.sample_folder(tmp_path)
    with Image.open(folder / "testB" / "0001.png") as picture:
        picture.load()
    assert {path.name for path in tmp_path.iterdir()} <= {folder.name, f"{folder.name}.lock"}


def test_a_waiting_caller_takes_what_another_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OtherMakesItMeanwhile(FileLock):
        def __enter__(self) -> "OtherMakesItMeanwhile":
            (tmp_path / sample.VERSION).mkdir()
            super().__enter__()
            return self

    monkeypatch.setattr(sample, "FileLock", OtherMakesItMeanwhile)
    assert not list(sample.sample_folder(tmp_path).iterdir())


def test_the_default_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: None) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert sample.sample_folder() == tmp_path / "xdg" / "gantune" / sample.VERSION
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert sample.sample_folder() == tmp_path / "home" / ".cache" / "gantune" / sample.VERSION
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    monkeypatch.chdir(tmp_path)
    assert cache_folder() == tmp_path / "runs" / "cache", "a container's user without a home"


def test_a_cache_that_cannot_be_written_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=rf"{sample.VERSION}.*XDG_CACHE_HOME") as caught:
        sample.sample_folder(tmp_path / "file")
    assert os.fspath(tmp_path / "file") in str(caught.value)
