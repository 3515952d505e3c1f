"""Packages that do not fit, planted where Python looks first; a port that is in use."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
import torchvision

from core.doctor import environment
from core.doctor.finding import Level
from tests.conftest import free_port


def plant(folder: Path, name: str, version: str, *requires: str) -> None:
    """Metadata of an installed package, as pip leaves it."""
    home = folder / f"{name}-{version}.dist-info"
    home.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {text}" for text in requires]
    (home / "METADATA").write_text("\n".join(lines) + "\n")


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where a child Python looks for packages before all others."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_this_environment_is_well() -> None:
    assert environment.check_packages() == []
    assert environment.check_pytorch() == []


def test_a_setuptools_without_pkg_resources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkg_resources", None)
    (found,) = environment.check_packages()
    assert found.level is Level.ERROR
    assert "nnictl imports pkg_resources" in found.what
    assert found.remedy == "pip install 'setuptools<81'"


def test_what_pip_check_says(first: Path) -> None:
    plant(first, "optuna", "4.1.0")
    plant(first, "gantune", "0.1.0", "optuna<6,>=5", "nosuchpackage>=1", 'rich>=99; extra == "dev"')
    plant(first, "torchvision", "0.21.0", "torch==2.6.0")
    findings = {finding.what: finding.level for finding in environment.check_packages()}
    (old,) = (what for what in findings if "optuna 4.1.0" in what and "gantune" in what)
    (missing,) = (what for what in findings if "nosuchpackage" in what)
    (pair,) = (what for what in findings if what.startswith("torchvision 0.21.0"))
    assert findings[old] is findings[missing] is Level.ERROR
    assert findings[pair] is Level.WARNING
    assert "torch==2.6.0" in pair
    assert not any("rich" in what for what in findings)


@pytest.mark.parametrize("name", ["torch", "torchvision"])
def test_a_pair_that_breaks_at_import(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    (found,) = environment.check_pytorch()
    assert found.level is Level.ERROR
    assert f"import of {name} halted" in found.what
    assert "--force-reinstall torch torchvision" in found.remedy


def test_a_torchvision_whose_operators_do_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def nms(*_: object) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(torchvision.ops, "nms", nms)
    (found,) = environment.check_pytorch()
    assert "operator torchvision::nms does not exist" in found.what


@pytest.mark.parametrize("address", ["127.0.0.1", ""])
def test_a_port_in_use(address: str) -> None:
    with socket.create_server((address, 0)) as listener:
        port = listener.getsockname()[1]
        (found,) = environment.check_port(port, Level.ERROR)
        assert found.level is Level.ERROR
        assert found.where == f"port {port}"
        assert "in use" in found.what
        assert environment.check_port(port, Level.WARNING)[0].level is Level.WARNING
    assert environment.check_port(free_port(), Level.ERROR) == []
