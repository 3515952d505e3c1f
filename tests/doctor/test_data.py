"""What training would take of a data set, said without training."""

from __future__ import annotations

from pathlib import Path

from core.doctor import data
from tests.doctor.test_command import doctor


def test_what_would_be_left_out_is_a_warning_and_too_few_images_an_error(domains: Path) -> None:
    lines = [str(finding) for finding in data.check(domains, recursive=False)]
    assert lines[0].startswith(f"warning: --data {domains}: trainA: 24 images, 6 of them for")
    assert lines[1].startswith(f"note: --data {domains}: trainA: 24 images, 6 of them")
    assert len(lines) == 4


def test_each_domain_is_looked_at(tmp_path: Path) -> None:
    for k in range(22):
        path = tmp_path / "trainB" / "walk" / f"{k}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    a, b = data.check(tmp_path, recursive=False)
    assert "trainA: no such folder" in str(a)
    assert "trainB: holds 0 images, at least 20 are needed; trainB: 0 images taken" in str(b)
    assert "22 images in sub-folders (--recursive takes them)" in str(b)
    assert {a.level, b.level} == {"error"}
    assert "22 images" in str(data.check(tmp_path, recursive=True)[-1])


def test_the_command_takes_a_data_set(tmp_path: Path) -> None:
    status, lines = doctor(tmp_path, "--data", "nowhere")
    assert status == 1
    assert "error: --data nowhere: nowhere/trainA: no such folder" in lines[0]
