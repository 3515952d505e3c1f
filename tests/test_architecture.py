"""The house plan, kept by machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("core", "evaluators", "trials")


def lint_imports(checkout: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command"
    command = [sys.executable, "-c", f"{code}; lint_imports_command(['--no-cache'])"]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=60)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the code alone."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_layers_hold(checkout: Path) -> None:
    result = lint_imports(checkout)
    assert result.returncode == 0, result.stdout
    assert "3 kept, 0 broken" in result.stdout


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("core/record.py", "import core.training.run"),
        ("core/search/space.py", "import core.report.page"),
        ("core/metrics/exam.py", "import core.models.losses"),
        ("core/models/networks.py", "import evaluators.painting"),
        ("evaluators/painting.py", "import trials.cyclegan"),
        ("trials/another.py", "import trials.cyclegan"),
    ],
)
def test_a_planted_violation_is_caught(checkout: Path, file: str, line: str) -> None:
    with (checkout / file).open("a") as source:
        source.write(f"\n{line}\n")
    result = lint_imports(checkout)
    assert result.returncode != 0
    assert line.removeprefix("import ") in result.stdout


@pytest.mark.parametrize(
    "module", ["core.cli", "core.report", "core.record", "core.search.space", "core.search.study"]
)
def test_help_reports_and_engines_start_without_torch(module: str) -> None:
    heavy = "{'torch', 'torchvision', 'nni', 'matplotlib', 'sklearn'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.stdout == "[]\n", result.stderr


def test_a_wheel_holds_all_the_command_needs(tmp_path: Path) -> None:
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(".*", "runs", "*.egg-info", "build", "__pycache__")
    shutil.copytree(ROOT, source, ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*command, "-w", tmp_path, source], check=True, timeout=120)
    (wheel,) = tmp_path.glob("gantune-*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(path.relative_to(ROOT))
        for folder in (*PACKAGES, "search_spaces")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= held
    assert not any(name.startswith(("tests/", "runs/")) for name in held)
