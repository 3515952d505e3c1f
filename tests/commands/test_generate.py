from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Run

TINY = ["--width", "4", "--epochs", "1", "--threads", "1", "--device", "cpu", "--compile", "off"]


@pytest.fixture
def trial(gantune: Run, runs: Path) -> Path:
    """A DCGAN after one epoch."""
    done = gantune(*TINY, "--trial", "one", "--runs", str(runs), module="trials.dcgan")
    assert done.returncode == 0, done.stderr
    return next(runs.glob("*/one"))


def test_images_are_made_shown_on_a_sheet_and_nothing_else_is_written_over(
    gantune: Run, trial: Path, tmp_path: Path
) -> None:
    done = gantune("generate", trial, "--n", "12", "--output", tmp_path / "new")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        *(f"{i:02}.png" for i in range(12)),
        "sheet.png",
    ]
    sheet = np.asarray(Image.open(tmp_path / "new" / "sheet.png"))
    assert sheet.shape == (2 * 28, 10 * 28)
    assert np.array_equal(sheet[28:, :28], np.asarray(Image.open(tmp_path / "new" / "10.png")))
    again = gantune("generate", trial, "--n", "12", "--output", tmp_path / "again")
    assert again.returncode == 0
    for name in ("03.png", "sheet.png"):
        first, second = (tmp_path / folder / name for folder in ("new", "again"))
        assert first.read_bytes() == second.read_bytes()
    other = gantune("generate", trial, "--n", "12", "--seed", "5", "--output", tmp_path / "again")
    assert other.returncode == 0, "its own pictures may be written over"
    assert first.read_bytes() != second.read_bytes()

    # a picture that is not gantune's, and numbers out of their range
    Image.new("L", (3, 3)).save(tmp_path / "4.png")
    before = (tmp_path / "4.png").read_bytes()
    for flags, message in (
        (["--n", "9", "--output", str(tmp_path)], "4.png: is not gantune's"),
        (["--n", "0"], "--n 0: takes 1"),
        (["--seed", "-1"], "--seed -1: takes 0"),
    ):
        refused = gantune("generate", trial, *flags)
        assert refused.returncode == 2
        assert message in refused.stderr
    assert (tmp_path / "4.png").read_bytes() == before
    assert not (tmp_path / "0.png").exists()
