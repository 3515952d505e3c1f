"""Tasks found by their files; their Params as command-line flags, and back from values."""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from core.task import Params, Task, UserError

P = TypeVar("P", bound=Params)
PREFIX = "param_"


def task_summaries() -> dict[str, str]:
    """The tasks under trials/, with the first line of each file's docstring; imports none."""
    spec = find_spec("trials")
    folders = spec.submodule_search_locations if spec else None
    files = sorted(p for f in folders or () for p in Path(f).glob("[!_]*.py"))
    return {path.stem: _first_line(path) for path in files}


def _first_line(path: Path) -> str:
    try:
        source = path.read_text(encoding="utf-8")
        return (ast.get_docstring(ast.parse(source)) or "").split("\n")[0]
    except (SyntaxError, ValueError) as error:
        return f"cannot be read: {error}"


def load_task(name: str) -> Task:
    """The TASK of trials/<name>.py; UserError, with the names of all tasks, for an unknown one."""
    if name not in task_summaries():
        raise UserError(f"no task {name!r}; there are: {', '.join(task_summaries())}")
    task: Task = importlib.import_module(f"trials.{name}").TASK
    return task


def add_param_flags(parser: argparse.ArgumentParser, params: type[Params]) -> None:
    """Add a flag a field, with its meaning, range and default; an absent flag is left out."""
    group = parser.add_argument_group(f"parameters of a trial ({params.__name__})")
    for name, info in params.model_fields.items():
        switch: dict[str, Any] = {"nargs": "?", "const": "true"} if info.annotation is bool else {}
        default = "empty" if info.default == "" else info.default
        group.add_argument(
            flag(name),
            **switch,
            dest=PREFIX + name,
            default=argparse.SUPPRESS,
            metavar=_range(info),
            help=f"{info.description} (default: {default})".replace("%", "%%"),
        )


def flag(name: str) -> str:
    """`lambda_cycle` -> `--lambda-cycle`."""
    return "--" + name.replace("_", "-")


def cli_overrides(arguments: argparse.Namespace) -> dict[str, str]:
    """The parameters that the user set by flags, still as text."""
    flags = vars(arguments).items()
    return {k.removeprefix(PREFIX): v for k, v in flags if k.startswith(PREFIX)}


def validate_params(params: type[P], values: Mapping[str, Any], source: str = "") -> P:
    """Validate values; UserError names each bad key and value (`source`: where they come from)."""
    try:
        return params(**values)
    except ValidationError as error:
        complaints = [_complaint(params, e["loc"], e["input"], e["msg"]) for e in error.errors()]
        prefix = f"{source}: " if source else ""
        raise UserError("\n".join(prefix + c for c in complaints)) from None


def _complaint(params: type[Params], location: Iterable[Any], value: Any, message: str) -> str:
    name = ".".join(map(str, location))
    if not name:
        return message.removeprefix("Value error, ")
    if name not in params.model_fields:
        known = ", ".join(sorted(params.model_fields))
        return f"{name}: no such parameter; there are {known}"
    allowed = _range(params.model_fields[name])
    return f"{flag(name)}: {value!r} is refused ({message}); it takes {allowed}"


def _range(info: FieldInfo) -> str:
    """The values of a field, as in `0..0.9`, `1..` or `resize|crop`."""
    if get_origin(info.annotation) is Literal:
        return "|".join(map(str, get_args(info.annotation)))
    limits: dict[str, Any] = {}
    for constraint in info.metadata:
        for bound in ("ge", "gt", "le", "lt"):
            if hasattr(constraint, bound):
                limits[bound] = getattr(constraint, bound)
    low = f"{limits['ge']:g}" if "ge" in limits else f">{limits['gt']:g}" if "gt" in limits else ""
    high = f"{limits['le']:g}" if "le" in limits else f"<{limits['lt']:g}" if "lt" in limits else ""
    return f"{low}..{high}" if limits else info.annotation.__name__.upper()  # type: ignore[union-attr]


def print_user_error(error: UserError | OSError) -> int:
    """Print a user's mistake, or the system's error, in one line; return its exit status, 2."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        error = UserError(f"{where}{error.strerror or error}")
    print(f"error: {error}", file=sys.stderr)
    return 2
