"""The tasks under trials/, found by their files: a new one is a new file, and nothing else."""

from __future__ import annotations

import ast
import importlib
from importlib.util import find_spec
from pathlib import Path

from core.task import Task, UserError


def task_summaries() -> dict[str, str]:
    """The tasks under trials/, with the first line of each file; nothing is imported."""
    spec = find_spec("trials")
    folders = spec.submodule_search_locations if spec else None
    files = sorted(p for f in folders or () for p in Path(f).glob("[!_]*.py"))
    return {path.stem: _first_line(path) for path in files}


def _first_line(path: Path) -> str:
    try:
        return (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0]
    except (SyntaxError, ValueError) as error:
        return f"cannot be read: {error}"


def load_task(name: str) -> Task:
    """The TASK of trials/<name>.py; UserError, with the tasks there are, when there is none."""
    if name not in task_summaries():
        raise UserError(f"no task {name!r}; there are: {', '.join(task_summaries())}")
    task: Task = importlib.import_module(f"trials.{name}").TASK
    return task
