"""Command-line flags made from a Params model, and Params made from values a user gave."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from core.task import Params, UserError

P = TypeVar("P", bound=Params)


def add_flags(parser: argparse.ArgumentParser, params: type[Params]) -> None:
    """Add a flag a field, with its meaning, range and default; an absent flag is left out."""
    group = parser.add_argument_group(f"parameters of a trial ({params.__name__})")
    for name, info in params.model_fields.items():
        alone: dict[str, Any] = {"nargs": "?", "const": "true"} if info.annotation is bool else {}
        group.add_argument(
            flag(name),
            **alone,
            dest=f"param_{name}",
            default=argparse.SUPPRESS,
            metavar=_range(info),
            help=f"{info.description} (default {info.default})".replace("%", "%%"),
        )


def flag(name: str) -> str:
    """`lambda_cycle` -> `--lambda-cycle`."""
    return "--" + name.replace("_", "-")


def given(arguments: argparse.Namespace) -> dict[str, str]:
    """The parameters the user set by flag, still as text."""
    prefix = "param_"
    return {k.removeprefix(prefix): v for k, v in vars(arguments).items() if k.startswith(prefix)}


def make(params: type[P], values: Mapping[str, Any], where: str = "") -> P:
    """Validate values; UserError names each bad key and value (`where`: who gave them)."""
    try:
        return params(**values)
    except ValidationError as error:
        complaints = [_complaint(params, e["loc"], e["input"], e["msg"]) for e in error.errors()]
        raise UserError(
            "\n".join((f"{where}: " if where else "") + c for c in complaints)
        ) from None


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
    """What a field takes, as in `0..0.9`, `1..` or `resize|crop`."""
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


def report_mistake(error: UserError | OSError) -> int:
    """Print a user's mistake, or what the disk refused, in one line; its exit status."""
    if isinstance(error, OSError):
        error = UserError(f"{error.filename or 'disk'}: {error.strerror or error}")
    print(f"error: {error}", file=sys.stderr)
    return 2
