"""The folder of records: files in its way, a full disk, a small one."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from core.doctor import disk
from core.doctor.finding import Finding, Level

Usage = namedtuple("Usage", "total used free")  # what shutil.disk_usage returns


def faults(findings: list[Finding]) -> list[Finding]:
    return [f for f in findings if f.level is not Level.NOTE]


def test_a_folder_made_or_not_is_well_and_left_as_it_was(tmp_path: Path) -> None:
    runs = tmp_path / "deep" / "runs"
    assert faults(disk.check(runs)) == []
    assert not runs.parent.exists()
    runs.mkdir(parents=True)
    assert faults(disk.check(runs)) == []
    assert list(runs.iterdir()) == []


def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    for runs in (tmp_path / "runs", tmp_path / "runs" / "deeper"):
        (found,) = disk.check(runs)
        assert found.level is Level.ERROR
        assert f"{tmp_path}/runs is a file" in found.what


def test_a_folder_nobody_can_write(tmp_path: Path) -> None:
    """/proc/self holds no new files, not even root's."""
    (found,) = disk.check(Path("/proc/self/runs"))
    assert found.level is Level.ERROR
    assert "cannot be written" in found.what


@pytest.mark.parametrize(
    ("free", "level"), [(50e6, Level.ERROR), (500e6, Level.WARNING), (5e9, Level.NOTE)]
)
def test_a_disk_nearly_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, level: Level
) -> None:
    """What is free is made up: not everybody may mount a small disk to fill."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10e9, 10e9 - free, int(free)))
    (found,) = disk.check(tmp_path / "runs")
    assert found.level is level
    assert ("5.0 GB" if free > 1e9 else f"{free / 1e6:.0f} MB") in found.what


def test_trials_too_large_for_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10e9, 8e9, int(2e9)))
    for trial, megabytes in (("a/0000", 1), ("b/0001", 150)):
        folder = tmp_path / trial
        folder.mkdir(parents=True)
        for name in ("checkpoint.pt", "best.pt"):
            with (folder / name).open("wb") as file:
                file.truncate(megabytes * 1_000_000)
    (found,) = disk.check(tmp_path)
    assert found.level is Level.WARNING
    assert "room for 6 trials as large as b/0001 (300 MB)" in found.what
    shutil.rmtree(tmp_path / "b")
    assert faults(disk.check(tmp_path)) == []
