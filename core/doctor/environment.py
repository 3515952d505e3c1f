"""Python and the packages beside it: what nnictl and PyTorch need to be imported at all."""

from __future__ import annotations

import importlib
import platform
import warnings
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from core.doctor.finding import Finding, error, first_line

WHY = {"setuptools": "; nnictl imports pkg_resources, which later ones lack"}


def check() -> list[Finding]:
    """Python's version, gantune's requirements, pkg_resources, and torchvision's own torch."""
    wrong = [*_python(), *_requirements()]
    told = {finding.where for finding in wrong}
    return wrong + [f for f in (*_pkg_resources(), *_pairing()) if f.where not in told]


def _python() -> list[Finding]:
    try:
        wanted = metadata.metadata("gantune")["Requires-Python"] or ""
    except metadata.PackageNotFoundError:
        return []
    here = platform.python_version()
    if SpecifierSet(wanted).contains(here, prereleases=True):
        return []
    return [error("python", f"{here} runs, gantune needs {wanted}", "make PYTHON=python3.11")]


def _requirements() -> list[Finding]:
    """What gantune's metadata asks for and this environment does not have."""
    try:
        asked = metadata.requires("gantune") or []
    except metadata.PackageNotFoundError:
        return []
    return [found for text in asked for found in _unmet(Requirement(text), "gantune")]


def _unmet(requirement: Requirement, asker: str) -> list[Finding]:
    if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
        return []
    name, wanted = requirement.name, str(requirement.specifier)
    remedy = f"pip install '{name}{wanted}'"
    try:
        there = metadata.version(name)
    except metadata.PackageNotFoundError:
        return [error(name, f"not installed, and {asker} needs it", remedy)]
    if requirement.specifier.contains(there, prereleases=True):
        return []
    why = WHY.get(name, "")
    return [error(name, f"{there} is installed, {asker} needs {wanted}{why}", remedy)]


def _pkg_resources() -> list[Finding]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("pkg_resources")
    except Exception as problem:
        what = f"nnictl cannot import pkg_resources ({first_line(problem)})"
        return [error("setuptools", what, "pip install 'setuptools<81'")]
    return []


def _pairing() -> list[Finding]:
    """A torchvision says in its own metadata which torch it was built for."""
    try:
        asked = [Requirement(text) for text in metadata.requires("torchvision") or []]
        there = metadata.version("torchvision")
    except metadata.PackageNotFoundError:
        return []
    return [
        found for r in asked if r.name == "torch" for found in _unmet(r, f"torchvision {there}")
    ]
