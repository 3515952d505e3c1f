from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.data.digits import DigitParams, LabelledImages, load_digits
from core.task import UserError


def load(folder: Path | str, **values: Any) -> LabelledImages:
    return load_digits(DigitParams(data=str(folder), **values))


def idx(array: np.ndarray) -> bytes:
    header = (0x800 + array.ndim).to_bytes(4, "big")
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """120 images of 28 x 28 of three classes, as MNIST's files; one of them gzip."""
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (120, 28, 28), np.uint8)
    labels = np.repeat(np.arange(3, dtype=np.uint8), 40)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(labels))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(b"never opened")
    return tmp_path


def test_the_embedded_digits_are_ten_classes_split_alike_each_time() -> None:
    data = load("digits", size=32)
    assert data.pixels.shape == (1797, 1, 32, 32)
    assert data.classes == tuple("0123456789")
    assert not set(data.train) & set(data.validation)
    assert len(data.train) + len(data.validation) == 1797
    shares = np.bincount(data.labels[data.validation]) / np.bincount(data.labels)
    assert np.allclose(shares, 0.2, atol=0.01)
    again = load("digits", size=28)
    assert np.array_equal(again.validation, data.validation)
    assert again.fingerprint != data.fingerprint
    images, labels = data.tensors([0, 1])
    assert images.min() == -1
    assert labels.tolist() == [0, 1]


def test_mnist_files_are_read_as_they_are(mnist: Path) -> None:
    data = load(mnist)
    images = np.frombuffer(
        gzip.decompress((mnist / "train-images-idx3-ubyte.gz").read_bytes())[16:], np.uint8
    )
    assert np.array_equal(data.pixels.numpy().ravel(), images)
    assert data.labels.tolist() == [0] * 40 + [1] * 40 + [2] * 40
    assert load(mnist, channels=3).pixels.shape == (120, 3, 28, 28)


def test_emnist_is_turned_upright(mnist: Path) -> None:
    upright = load(mnist).pixels
    for file in mnist.glob("train-*"):
        file.rename(mnist / f"emnist-digits-{file.name}")
    turned = load(mnist.rename(mnist.with_name("emnist")))
    assert np.array_equal(turned.pixels.numpy(), upright.numpy().swapaxes(2, 3))
    assert "turned" in turned.notes[0]


def test_class_folders_are_scaled_and_damaged_images_named(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for i in range(25):
            pixels = random.integers(0, 255, (40, 30, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "train" / name / f"{i}.png")
    (tmp_path / "train" / "cat" / "bad.png").write_bytes(b"no image")
    data = load(tmp_path, channels=3, size=32)
    assert data.pixels.shape == (50, 3, 32, 32)
    assert data.classes == ("cat", "dog")
    assert "bad.png" in data.notes[0]


def damage(mnist: Path, how: str) -> None:
    images, labels = mnist / "train-images-idx3-ubyte.gz", mnist / "train-labels-idx1-ubyte"
    if how == "gzip":
        images.write_bytes(images.read_bytes()[:-100])
    elif how == "magic":
        images.write_bytes(labels.read_bytes())
    elif how == "short":
        labels.write_bytes(labels.read_bytes()[:-1])
    elif how == "mismatch":
        labels.write_bytes(idx(np.zeros(119, np.uint8)))
    elif how == "absent":
        labels.unlink()
    elif how == "few":
        labels.write_bytes(idx(np.repeat(np.arange(40, dtype=np.uint8), 3)))
    else:
        images.unlink()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("gzip", "no whole gzip file"),
        ("magic", "magic number is 2049, not 2051"),
        ("short", "131 bytes|127 bytes instead of the 128 of 120"),
        ("mismatch", "120 images, but train-labels-idx1-ubyte has 119 labels"),
        ("absent", "no labels lie beside it"),
        ("few", "3 images of"),
        ("nothing", "class folders"),
    ],
)
def test_damaged_or_foreign_files_are_one_clear_error(mnist: Path, how: str, message: str) -> None:
    damage(mnist, how)
    with pytest.raises(UserError, match=message) as error:
        load(mnist)
    assert str(mnist) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_folder_is_named() -> None:
    with pytest.raises(UserError, match="no such folder"):
        load("nowhere")
