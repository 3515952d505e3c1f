"""A trial's networks put to use: glyphs, images, and a denoiser trained on the former."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.record import Record
from tests.conftest import TINY, TINY_GLYPHS, Run

FILED = ["--study", "s", "--trial"]


@pytest.fixture
def trained(gantune: Run, runs: Path) -> Path:
    """The folder of a finished glyph trial."""
    done = gantune(*FILED, "t", *TINY_GLYPHS, "--runs", runs, module="trials.glyph_autoencoder")
    assert done.returncode == 0, done.stderr
    return runs / "s" / "t"


def test_a_denoiser_learns_from_a_models_outputs_and_serves_another_trial(
    gantune: Run, runs: Path, trained: Path
) -> None:
    done = gantune("translate", trained)
    assert done.returncode == 0, done.stderr
    assert "test characters, which neither training nor search has seen: fixed_l1" in done.stdout
    with np.load(trained / "translations.npz") as saved:
        assert saved["output"].shape == (94, 32, 32)
        assert "".join(saved["characters"]).startswith('!"#')
    with Image.open(trained / "translations.png") as sheet:
        assert sheet.height % (3 * 32) == 0

    more = ["--outputs", trained, *TINY_GLYPHS, "--depth", "2"]
    done = gantune(*FILED, "d", *more, "--runs", runs, module="trials.glyph_denoise")
    assert done.returncode == 0, done.stderr
    tail = ["--post", "denoise", "--denoiser", runs / "s" / "d"]
    done = gantune(
        *FILED, "p", *TINY_GLYPHS, *tail, "--runs", runs, module="trials.glyph_autoencoder"
    )
    assert done.returncode == 0, done.stderr
    plain, cleaned = (Record(runs / "s" / name).epochs() for name in "tp")
    assert [e.losses for e in plain] == [e.losses for e in cleaned], "training is not touched"
    assert [e.score for e in plain] != [e.score for e in cleaned]

    other = gantune(
        *FILED, "x", *more, "--characters", "ascii+greek", "--runs", runs,
        module="trials.glyph_denoise",
    )  # fmt: skip
    assert other.returncode == 2
    assert "had other fonts, characters or another size" in other.stderr
    assert "Traceback" not in other.stderr


def test_images_are_translated_by_an_image_trial(
    gantune: Run, runs: Path, domains: Path, tmp_path: Path
) -> None:
    words = ["--data", domains, *TINY, "--epochs", "1", "--runs", runs]
    done = gantune(*FILED, "c", *words, module="trials.cyclegan")
    assert done.returncode == 0, done.stderr
    images = tmp_path / "images"
    images.mkdir()
    for name in ("000.png", "001.png"):
        shutil.copy(domains / "trainB" / name, images)
    done = gantune("translate", runs / "s" / "c", "--images", images, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    made = []
    for name in ("000.png", "001.png"):
        with Image.open(tmp_path / "out" / name) as image:
            assert image.size == (32, 32)
            made.append(image.tobytes())
    assert made[0] != made[1]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nowhere"], "holds no trial"),
        (["TRAINED", "--images", "somewhere"], "glyph trials translate their own characters"),
    ],
)
def test_mistakes_are_named(gantune: Run, trained: Path, words: list[str], complaint: str) -> None:
    done = gantune("translate", *[str(trained) if w == "TRAINED" else w for w in words])
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_trial_without_networks_is_named(gantune: Run, trained: Path) -> None:
    (trained / "best.pt").write_bytes(b"")
    done = gantune("translate", trained)
    assert done.returncode == 2
    assert "train the trial first" in done.stderr
