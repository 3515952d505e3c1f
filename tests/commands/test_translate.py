"""A trial's networks put to use: glyphs, images, and a denoiser trained on the former."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from core.checkpoint import save_checkpoint
from core.commands.translate import _images, add_flags, output_names, run
from core.data.pictures import refuse_to_overwrite
from core.params import load_task
from core.record import Record
from core.task import UserError
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


def test_what_is_not_translated_is_said_and_sub_folders_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, output = tmp_path / "images", tmp_path / "out"
    (images / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/a.png", "sub/b.png"):
        Image.new("RGB", (8, 8)).save(images / name)
    for name in ("._a.png", "1.HEIC"):
        (images / name).write_bytes(b"")
    params = load_task("cyclegan").params(size=32)
    _images(params, Negative(), images, output)
    assert [path.name for path in output.iterdir()] == ["a.png"]
    said = capsys.readouterr().out
    assert "1 .HEIC (pip install pillow-heif" in said
    assert "2 images in sub-folders (--recursive takes them)" in said
    _images(params, Negative(), images, output, recursive=True)
    found = sorted(path.relative_to(output).as_posix() for path in output.rglob("*.png"))
    assert found == ["a.png", "sub/a.png", "sub/b.png"]
    with pytest.raises(UserError, match="--recursive would translate what it holds"):
        _images(params, Negative(), images, images / "out", recursive=True)
    (images / "a.png").unlink()
    with pytest.raises(UserError, match=r"holds no images; .*1 \.HEIC"):
        _images(params, Negative(), images, output)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A trial's folder as another machine left it: its device and its data are not here."""
    task = load_task("cyclegan")
    params = task.params(size=32, width=4, blocks=1, data="/gone", device="cpu", precision="tf32")
    assert task.inference
    record = Record(tmp_path / "trial")
    save_checkpoint(record.best, task.inference(params, torch.device("cpu")), 1)
    lacking = "mps" if torch.cuda.is_available() else "cuda"
    record.begin({"task": "cyclegan", "params": {**params.model_dump(), "device": lacking}})
    (tmp_path / "images").mkdir()
    Image.new("RGB", (40, 40), "red").save(tmp_path / "images" / "a.png")
    return record.folder


def test_a_trial_translates_without_the_device_and_the_data_of_its_training(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(elsewhere), "--images", str(elsewhere.parent / "images")]
    assert translate(*words) == 0
    said = capsys.readouterr().out
    assert "where the trial was trained: using " in said
    with Image.open(elsewhere / "translations" / "a.png") as image:
        assert image.size == (32, 32)
    assert translate(*words, "--device", "cpu") == 0
    assert "where the trial was trained" not in capsys.readouterr().out
    lacking = "mps" if torch.cuda.is_available() else "cuda"
    with pytest.raises(UserError, match=f"--device {lacking}: this machine has none; it has"):
        translate(*words, "--device", lacking)


def test_data_that_a_glyph_trial_lacks_are_one_error(tmp_path: Path) -> None:
    params = load_task("glyph_autoencoder").params(source_font="/gone/a.ttf", device="cpu")
    Record(tmp_path).begin({"task": "glyph_autoencoder", "params": params.model_dump()})
    message = "glyph_autoencoder needs its data: .*a.ttf"
    with pytest.raises(UserError, match=message):
        translate(str(tmp_path))


def translate(*words: str) -> int:
    """`gantune translate` in this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    add_flags(parser, list(words))
    return run(parser.parse_args(words))


class Negative:
    """Translates images into their negatives."""

    def translate(self, images: Tensor) -> Tensor:
        return -images


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@settings(max_examples=30, deadline=None)
@given(
    names=st.sets(
        st.builds("{}.{}".format, st.sampled_from(["a", "B", "b", "a.jpg", "é"]),
                  st.sampled_from(["png", "jpg", "JPG", "bmp", "PNG"])),
        min_size=1,
    ),
    inside=st.booleans(),
)  # fmt: skip
def test_translate_writes_over_no_file_that_it_did_not_make(names: set[str], inside: bool) -> None:
    with TemporaryDirectory() as folder:
        images = Path(folder, "images")
        images.mkdir()
        for shade, name in enumerate(sorted(names)):
            picture = Image.new("RGB", (8, 8), (shade, 0, 0))
            picture.save(images / name, Image.registered_extensions()[Path(name).suffix.lower()])
        before = contents(images)
        output = images if inside else Path(folder, "out")
        params = load_task("cyclegan").params(size=32)
        if inside and names & set(output_names(sorted(names))):
            with pytest.raises(UserError, match="is not gantune's and would be lost"):
                _images(params, Negative(), images, output)
            assert contents(images) == before
            return
        _images(params, Negative(), images, output)
        assert before.items() <= contents(images).items()
        new = contents(output).keys() - (before.keys() if inside else set())
        assert len(new) == len(names)
        if not inside:
            _images(params, Negative(), images, output)  # again, over its own
            assert contents(output).keys() == new


def test_translate_leaves_other_peoples_glyphs_alone(tmp_path: Path) -> None:
    (tmp_path / "translations.npz").write_text("mine")
    with pytest.raises(UserError, match="would be lost"):
        refuse_to_overwrite(tmp_path / "translations.npz")
    np.savez(tmp_path / "translations.npz", characters=np.array("a"), output=np.zeros(3))
    refuse_to_overwrite(tmp_path / "translations.npz")


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
