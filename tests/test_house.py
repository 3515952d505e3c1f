"""The house plan's numbers and words: budgets a folder, lengths of files and functions, names."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Lines at most, Python and templates. A budget is a question: is this two subjects, does a library
# do it? Raising one is a commit of its own, with its reason.
BUDGETS = {
    "core": 1390,
    "core/training": 1305,
    "core/models": 2250,
    "core/data": 2490,
    "core/metrics": 1720,
    "core/search": 3615,
    "core/replicates": 550,
    "core/report": 3490,
    "core/commands": 1540,
    "core/doctor": 485,
    "benchmarks": 2500,
}
LONGEST_FILE, LONGEST_FUNCTION = 350, 50
READING_PATH = (
    "core/task.py",
    "core/record.py",
    "core/models/cyclegan.py",
    "trials/cyclegan.py",
    "core/training/run.py",
    "core/training/loop.py",
    "core/search/config.py",
    "core/search/space.py",
    "core/search/study.py",
)
SOURCES = ("gantune.py", "core", "evaluators", "trials", "benchmarks")
# Names that say nothing, or that a user of PyTorch and Optuna would have to translate.
NAMES = {
    *("told", "given", "made", "there", "so", "judge", "judges", "unseen", "judged_anew"),
    *("standing", "setting", "surroundings", "crew", "lane", "lanes", "course", "signs"),
    "bury_the_dead",
}
FUNCTIONS = {"use", "make", "given", "named", "parts", "block", "standing"}
PHRASES = re.compile(r"who proposes|bury the dead|the dead let it go|judged anew", re.IGNORECASE)


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *patterns],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def python_files() -> list[Path]:
    return [p for p in tracked(*SOURCES) if p.suffix == ".py"]


@pytest.mark.parametrize("folder", BUDGETS)
def test_a_folder_keeps_its_budget(folder: str) -> None:
    counted = [p for p in tracked(folder) if p.suffix in (".py", ".j2", ".css", ".js", ".html")]
    own = [p for p in counted if folder != "core" or p.parent == ROOT / "core"]
    sizes = {str(p.relative_to(ROOT)): lines(p) for p in own}
    assert sum(sizes.values()) <= BUDGETS[folder], sizes


@pytest.mark.parametrize(("folder", "most"), [("trials", 120), ("evaluators", 200)])
def test_trials_and_evaluators_are_short_files(folder: str, most: int) -> None:
    sizes = {p.name: lines(p) for p in tracked(folder)}
    assert not {name: size for name, size in sizes.items() if size > most}


def test_no_file_and_no_function_is_long() -> None:
    long = [f"{p.relative_to(ROOT)}: {lines(p)} lines" for p in python_files()
            if lines(p) > LONGEST_FILE]  # fmt: skip
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    long.append(f"{path.relative_to(ROOT)}:{node.name}: {length} lines")
    assert not long


def test_the_machine_can_be_read_along_one_path() -> None:
    sizes = {name: lines(ROOT / name) for name in READING_PATH}
    assert sum(sizes.values()) <= 2000, sizes


def names_in(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Every name that the code defines, and whether it is a function's or a class's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, True
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, False
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            yield node.arg, False
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).rpartition(".")[2], False


def test_names_are_the_field_s() -> None:
    found = []
    for path in python_files():
        text = path.read_text(encoding="utf-8")
        place = path.relative_to(ROOT)
        if path.stem.lower() in NAMES | FUNCTIONS:
            found.append(str(place))
        for name, defined in names_in(ast.parse(text)):
            bare = name.strip("_").lower()
            if bare in NAMES or (defined and bare in FUNCTIONS):
                found.append(f"{place}: {name}")
        found += [f"{place}: {phrase}" for phrase in PHRASES.findall(text)]
    assert not found
