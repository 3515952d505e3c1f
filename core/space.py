"""Search spaces: NNI's JSON, checked against a task's Params, with the same meaning in Optuna.

NNI draws each value from a latent variable and then transforms it. Optuna draws the same latent
variable (`Dimension.distribution`), and `Dimension.value` is NNI's transformation:

    choice        an item; items that are lists or objects are drawn by index
    randint       an integer from [low, high)
    uniform       [low, high]                     quniform     clip(round(x / q) * q, low, high)
    loguniform    exp(uniform)                    qloguniform  the same of a loguniform x
    normal        mu + sigma * z                  qnormal      round(x / q) * q
    lognormal     exp(normal)                     qlognormal   round(x / q) * q

The normal kinds are drawn by inversion of a uniform latent within 6 sigma.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import NormalDist
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import ValidationError

from core.task import Params, UserError

UNIFORM = ("uniform", "quniform", "loguniform", "qloguniform")
NORMAL = ("normal", "qnormal", "lognormal", "qlognormal")
KINDS = ("choice", "randint", *UNIFORM, *NORMAL)
TAIL = NormalDist().cdf(-6.0)
EVERY = 4096
LARGEST = 2**53


@dataclass(frozen=True)
class Dimension:
    """One parameter of a search space: NNI's `_type` (kind) and `_value` (args)."""

    name: str
    kind: str
    args: tuple[Any, ...]

    @property
    def step(self) -> float | None:
        """The q of a quantised kind."""
        return float(self.args[2]) if self.kind.startswith("q") else None

    @cached_property
    def plain(self) -> bool:
        """Whether every choice is a scalar, so that Optuna can show the choice itself."""
        return all(isinstance(a, str | int | float | bool | None) for a in self.args)

    @property
    def distribution(self) -> BaseDistribution:
        """Optuna's distribution of the latent variable."""
        if self.kind == "choice":
            return CategoricalDistribution(self.args if self.plain else range(len(self.args)))
        if self.kind == "randint":
            return IntDistribution(self.args[0], self.args[1] - 1)
        if self.kind in UNIFORM:
            low, high = map(float, self.args[:2])
            return FloatDistribution(low, high, log="log" in self.kind)
        return FloatDistribution(TAIL, 1 - TAIL)

    def value(self, latent: Any) -> Any:
        """The value NNI would hand to the trial for this latent."""
        if self.kind == "choice":
            return latent if self.plain else self.args[latent]
        if self.kind == "randint":
            return int(latent)
        x = float(latent)
        if self.kind in NORMAL:
            x = NormalDist(float(self.args[0]), float(self.args[1])).inv_cdf(x)
            x = math.exp(x) if "log" in self.kind else x
        if self.step is not None:
            x = round(x / self.step) * self.step
        if self.step is not None and self.kind in UNIFORM:
            x = min(max(x, float(self.args[0])), float(self.args[1]))
        return x

    def latent(self, value: Any) -> Any:
        """A latent that gives this value; ValueError where the value is outside the space."""
        outside = ValueError(f"{self.name}: {value!r} is not in {self.kind} {list(self.args)}")
        if self.kind == "choice":
            same = [
                i
                for i, a in enumerate(self.args)
                if a == value and isinstance(a, bool) == isinstance(value, bool)
            ]
            if not same:
                raise outside
            return self.args[same[0]] if self.plain else same[0]
        try:
            x = math.log(value) if self.kind in ("lognormal", "qlognormal") else value
            if self.kind in NORMAL:
                x = NormalDist(float(self.args[0]), float(self.args[1])).cdf(x)
                x = min(max(x, TAIL), 1 - TAIL)
            internal = self.distribution.to_internal_repr(x)
        except (ValueError, TypeError):
            raise outside from None
        inside = self.distribution._contains(internal)
        if not inside or not math.isclose(self.value(x), value, rel_tol=1e-9, abs_tol=1e-9):
            raise outside
        return x

    def probes(self) -> list[Any]:
        """Values that between them meet every bound a Params field could set."""
        if self.kind == "choice":
            return list(self.args)
        if self.kind == "randint":
            low, high = self.args
            return list(range(low, high)) if high - low <= EVERY else [low, low + 1, high - 1]
        low, high = (TAIL, 1 - TAIL) if self.kind in NORMAL else map(float, self.args[:2])
        fractions = (0.0, 1.0, 0.3819660113, 0.6180339887)
        return [self.value(low + f * (high - low)) for f in fractions]


@dataclass(frozen=True)
class Space:
    """A search space, checked: every value it can propose is accepted by the task's Params."""

    dimensions: tuple[Dimension, ...]
    source: dict[str, Any]

    @classmethod
    def load(cls, path: Path, params: type[Params]) -> Space:
        """Read and check a search-space file; UserError names the file, the key and the remedy."""
        try:
            source = json.loads(path.read_text())
        except OSError as error:
            raise UserError(f"{path}: cannot read the search space ({error.strerror})") from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: not valid JSON: {error}") from None
        return cls.parse(source, params, str(path))

    @classmethod
    def parse(cls, source: Any, params: type[Params], where: str) -> Space:
        """Check a search space that is already JSON; `where` names it in errors."""
        if not isinstance(source, dict) or not source:
            raise UserError(f"{where}: a search space is an object of parameters, and not empty")
        dimensions = tuple(_dimension(key, spec, where) for key, spec in source.items())
        for dimension in dimensions:
            _accepted(dimension, params, where)
        return cls(dimensions, source)

    def values(self, latents: Mapping[str, Any]) -> dict[str, Any]:
        """The values for a full set of latents."""
        return {d.name: d.value(latents[d.name]) for d in self.dimensions}


def _dimension(key: str, spec: Any, where: str) -> Dimension:
    at = f"{where}: {key!r}"
    if not isinstance(spec, dict) or set(spec) != {"_type", "_value"}:
        raise UserError(f'{at}: must be {{"_type": ..., "_value": [...]}}, not {json.dumps(spec)}')
    kind, args = spec["_type"], spec["_value"]
    if kind not in KINDS:
        raise UserError(f"{at}: unsupported _type {kind!r}; use one of {', '.join(KINDS)}")
    if not isinstance(args, list):
        raise UserError(f"{at}: _value must be a list, not {json.dumps(args)}")
    if kind == "choice":
        if not args or any(isinstance(a, dict) and "_name" in a for a in args):
            raise UserError(f"{at}: _value must list at least one plain choice (nested: not yet)")
        return Dimension(key, kind, tuple(args))
    form = "[mu, sigma" if kind in NORMAL else "[low, high"
    form += ", q]" if kind.startswith("q") else "]"
    number = int if kind == "randint" else (int, float)
    if len(args) != form.count(",") + 1 or any(
        isinstance(a, bool) or not isinstance(a, number) or not abs(a) <= LARGEST for a in args
    ):
        noun = "integers" if kind == "randint" else "numbers"
        shown = json.dumps(args)[:200]
        raise UserError(f"{at}: {kind} takes {noun} {form} of at most 2^53, not {shown}")
    _ordered(at, kind, args)
    return Dimension(key, kind, tuple(args))


def _ordered(at: str, kind: str, args: list[float]) -> None:
    if kind in NORMAL and args[1] <= 0:
        raise UserError(f"{at}: sigma must be above 0, not {args[1]}")
    if kind not in NORMAL and args[0] >= args[1]:
        raise UserError(f"{at}: low must be below high, not {args[0]} and {args[1]}")
    if kind in ("loguniform", "qloguniform") and args[0] <= 0:
        raise UserError(f"{at}: low must be above 0 on a log scale, not {args[0]}")
    if kind.startswith("q") and args[2] <= 0:
        raise UserError(f"{at}: q must be above 0, not {args[2]}")


def _accepted(dimension: Dimension, params: type[Params], where: str) -> None:
    at = f"{where}: {dimension.name!r}"
    if dimension.name not in params.model_fields:
        known = ", ".join(sorted(params.model_fields))
        raise UserError(f"{at}: no such parameter; there are {known}")
    try:
        probes = dimension.probes()
    except OverflowError:
        raise UserError(f"{at}: its values overflow; narrow {list(dimension.args)}") from None
    for value in probes:
        try:
            params(**{dimension.name: value})
        except ValidationError as error:
            complaint = error.errors()[0]["msg"]
            raise UserError(
                f"{at}: can propose {value!r}, which the task refuses ({complaint}); "
                f"narrow its _value {list(dimension.args)}"
            ) from None
