"""Packages in versions that do not fit: planted where Python looks first."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from core.doctor import environment, probe
from core.doctor.finding import Level


def plant(folder: Path, name: str, version: str, *requires: str) -> None:
    """Metadata of an installed package, as pip leaves it."""
    home = folder / f"{name}-{version}.dist-info"
    home.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {text}" for text in requires]
    (home / "METADATA").write_text("\n".join(lines) + "\n")


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where Python looks for packages before all others."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_this_environment_is_well() -> None:
    assert environment.check() == []


def test_a_setuptools_without_pkg_resources(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (first / "pkg_resources.py").write_text("raise ModuleNotFoundError('no pkg_resources')\n")
    monkeypatch.delitem(sys.modules, "pkg_resources", raising=False)
    (found,) = environment.check()
    assert found.level is Level.ERROR
    assert "nnictl cannot import pkg_resources" in found.what
    assert found.remedy == "pip install 'setuptools<81'"
    plant(first, "setuptools", "82.0.1")
    (found,) = environment.check()
    assert str(found).startswith("error: setuptools: 82.0.1 is installed, gantune needs <81;")
    assert "nnictl imports pkg_resources" in found.what


def test_a_torchvision_made_for_another_torch(first: Path) -> None:
    plant(first, "torchvision", "0.21.0", "torch==2.6.0")
    (found,) = environment.check()
    assert "torchvision 0.21.0 needs ==2.6.0" in found.what
    assert found.remedy == "pip install 'torch==2.6.0'"


def test_a_package_too_old_and_one_missing(first: Path) -> None:
    plant(first, "optuna", "4.1.0")
    plant(first, "gantune", "0.1.0", "optuna<6,>=5", "nosuchpackage>=1", 'rich>=99; extra == "dev"')
    told = [str(found) for found in environment.check()]
    assert len(told) == 2
    assert "optuna: 4.1.0 is installed, gantune needs <6,>=5" in told[0]
    assert "nosuchpackage: not installed" in told[1]


def test_a_python_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """The version is made up: the tests run in the one there is."""
    monkeypatch.setattr(platform, "python_version", lambda: "3.9.1")
    (found,) = environment.check()
    assert "3.9.1 runs, gantune needs >=3.11" in found.what


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise RuntimeError('operator torchvision::nms does not exist')", "nms does not exist"),
        ("import os; os.abort()", "import torchvision ended the process (Aborted)"),
    ],
)
def test_a_torchvision_that_breaks_at_import(first: Path, code: str, told: str) -> None:
    noise = "import os; os.write(1, b'17, says a compiled library\\n')\n"
    (first / "torchvision.py").write_text(noise + code + "\n")
    (first / "torch.py").write_text(STAND_IN)
    with probe.start() as child:
        learnt = probe.finish(child, [])
    (found,) = learnt.findings
    assert found.level is Level.ERROR
    assert told in found.what
    assert "--force-reinstall torch torchvision" in found.remedy
    assert learnt.torch["version"] == "2.6.0"


# As much of PyTorch as is asked before torchvision is: the real one takes seconds to import.
STAND_IN = """
__version__ = "2.6.0"
class version: cuda = hip = None
class cuda:
    is_available = lambda: False
    device_count = lambda: 0
class backends:
    class mps: is_available = lambda: False
"""
