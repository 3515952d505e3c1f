"""Search-space files: NNI's JSON, read into dimensions; every mistake is named with its remedy.

A choice is nested when its items are objects with a `_name`; what else an item holds is searched
under that name alone. The name is the value of the choice's field, and the inner keys are fields
like those of the top level, wherever they lie:

    {"adversarial": {"_type": "choice", "_value": [
        {"_name": "lsgan"},
        {"_name": "wgan", "d_steps_per_g": {"_type": "randint", "_value": [1, 6]}}]}}
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core.files import read_text
from core.search.distributions import KINDS, NAME, NORMAL, Dimension
from core.task import UserError

LARGEST = 2**53
DEEPEST = 32
SHOWN = 200


def read_json(path: Path) -> Any:
    """The JSON of a file; UserError where there is none, or it says a thing twice."""
    try:
        return json.loads(read_text(path), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return read


def _no_number(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")


def read(source: Any, where: str, within: str = "") -> tuple[Dimension, ...]:
    """The dimensions an object declares, in its order; `where` names the file in errors."""
    if within.count("/") > DEEPEST:
        raise UserError(f"{where}: choices are nested more than {DEEPEST} deep")
    return tuple(_dimension(key, spec, where, within) for key, spec in source.items())


def every(
    dimensions: tuple[Dimension, ...], under: Mapping[str, Any] | None = None
) -> Iterator[tuple[Dimension, dict[str, Any]]]:
    """All dimensions in NNI's order, each with the choices under which it is searched."""
    for dimension in dimensions:
        above = dict(under or {})
        yield dimension, above
        for name, branch in zip(dimension.args, dimension.branches, strict=False):
            yield from every(branch, {**above, dimension.name: name})


def refuse_clashes(dimensions: tuple[Dimension, ...], where: str) -> None:
    """UserError for a field that two dimensions would set at once."""
    seen: dict[str, list[tuple[Dimension, dict[str, Any]]]] = {}
    for dimension, under in every(dimensions):
        for other, elsewhere in seen.setdefault(dimension.name, []):
            if all(elsewhere[name] == under[name] for name in under.keys() & elsewhere.keys()):
                raise UserError(
                    f"{where}: {dimension.name!r} is searched twice at once, as {other.key!r} and "
                    f"as {dimension.key!r}; keep one, or put them into branches of one choice"
                )
        seen[dimension.name].append((dimension, under))


def single_values(dimensions: tuple[Dimension, ...], where: str) -> list[str]:
    """A sentence for each dimension with one possible value; UserError where all have only one."""
    found = [dimension for dimension, _ in every(dimensions)]
    single = [dimension for dimension in found if dimension.single]
    if single == found:
        keys = ", ".join(repr(dimension.key) for dimension in single)
        raise UserError(
            f"{where}: has one point, as each of {keys} has one possible value, and all trials "
            "would be the same; widen a _value, or train it by `gantune sweep`"
        )
    return [
        f"{where}: {d.key!r} has one possible value, {_shown(d.first)}, so it is not searched; "
        f"widen its _value {_shown(list(d.args))} to search it"
        for d in single
    ]


def _dimension(key: str, spec: Any, where: str, within: str) -> Dimension:
    at = f"{where}: {within + key!r}"
    if not isinstance(spec, dict) or set(spec) != {"_type", "_value"}:
        raise UserError(f'{at}: must be {{"_type": ..., "_value": [...]}}, not {_shown(spec)}')
    kind, args = spec["_type"], spec["_value"]
    if kind not in KINDS:
        raise UserError(f"{at}: unsupported _type {kind!r}; use one of {', '.join(KINDS)}")
    if not isinstance(args, list):
        raise UserError(f"{at}: _value must be a list, not {_shown(args)}")
    if kind == "choice":
        if not args:
            raise UserError(f"{at}: _value must list at least one choice")
        if any(isinstance(a, dict) and NAME in a for a in args):
            return _nested(key, args, where, within)
    else:
        _refuse_odd_numbers(at, kind, args)
    dimension = Dimension(key, kind, tuple(args), within)
    try:
        dimension.probes()
    except OverflowError:
        raise UserError(f"{at}: its values overflow; narrow {_shown(args)}") from None
    return dimension


def _nested(key: str, items: list[Any], where: str, within: str) -> Dimension:
    at = f"{where}: {within + key!r}"
    names: list[Any] = []
    for item in items:
        if not isinstance(item, dict) or NAME not in item:
            raise UserError(f'{at}: one choice has a "_name", so all must, but not {_shown(item)}')
        name = item[NAME]
        if not isinstance(name, str | int | float | bool):
            raise UserError(f'{at}: a "_name" is a string, a number or a boolean, not {name!r}')
        if any(name == other or str(name) == str(other) for other in names):
            raise UserError(f"{at}: two choices are named {name!r}; put them into one")
        names.append(name)
    branches = []
    for name, item in zip(names, items, strict=True):
        inner = {k: v for k, v in item.items() if k != NAME}
        branches.append(read(inner, where, f"{within}{key}={_escaped(name)}/"))
    return Dimension(key, "choice", tuple(names), within, tuple(branches))


def _escaped(name: Any) -> str:
    """A branch's name without the characters that latent names are made with."""
    return str(name).replace("%", "%25").replace("/", "%2F").replace("=", "%3D")


def _refuse_odd_numbers(at: str, kind: str, args: list[Any]) -> None:
    form = "[mu, sigma" if kind in NORMAL else "[low, high"
    form += ", q]" if kind.startswith("q") else "]"
    number = int if kind == "randint" else (int, float)
    if len(args) != form.count(",") + 1 or any(
        isinstance(a, bool) or not isinstance(a, number) or not abs(a) <= LARGEST for a in args
    ):
        noun = "integers" if kind == "randint" else "numbers"
        raise UserError(f"{at}: {kind} takes {noun} {form} of at most 2^53, not {_shown(args)}")
    if kind in NORMAL and args[1] <= 0:
        raise UserError(f"{at}: sigma must be above 0, not {args[1]}")
    if kind not in NORMAL and args[0] >= args[1]:
        raise UserError(f"{at}: low must be below high, not {args[0]} and {args[1]}")
    if kind in ("loguniform", "qloguniform") and args[0] <= 0:
        raise UserError(f"{at}: low must be above 0 on a log scale, not {args[0]}")
    if kind.startswith("q") and args[2] <= 0:
        raise UserError(f"{at}: q must be above 0, not {args[2]}")


def _shown(value: Any) -> str:
    return json.dumps(value)[:SHOWN]
