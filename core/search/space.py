"""Search spaces: NNI's JSON, checked against a task's Params, with the same meaning in Optuna.

A value has three forms. Params and records take it *flat*, a value a field; NNI hands trials a
nested choice as `{"adversarial": {"_name": "wgan", "d_steps_per_g": 3}}`, here `nested`; Optuna
sees *latents* (see `core.search.distributions`), named `adversarial` and
`adversarial=wgan/d_steps_per_g`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from core.search.distributions import NAME, Dimension, same
from core.search.space_file import every, read, read_json, refuse_clashes
from core.task import Params, UserError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


@dataclass(frozen=True)
class Space:
    """A search space, checked: the task's Params accept every value it can propose.

    `dimensions` are those of the top level, `source` is the JSON they were read from.
    """

    dimensions: tuple[Dimension, ...]
    source: dict[str, Any]
    params: type[Params]

    @classmethod
    def load(cls, path: Path, params: type[Params]) -> Space:
        """Read and check a search-space file; UserError names the file, the key and the remedy."""
        return cls.parse(read_json(path), params, str(path))

    @classmethod
    def parse(cls, source: Any, params: type[Params], where: str, empty: bool = False) -> Space:
        """Check JSON as a search space; `where` names it in errors. A queue's may be `empty`."""
        if not isinstance(source, dict) or not (source or empty):
            raise UserError(f"{where}: a search space is an object of parameters, and not empty")
        space = cls(read(source, where), source, params)
        refuse_clashes(space.dimensions, where)
        _refuse_unknown(space, where)
        _refuse_unacceptable(space, where)
        return space

    @cached_property
    def everywhere(self) -> tuple[tuple[Dimension, dict[str, Any]], ...]:
        """Every dimension, in NNI's order, with the choices under which it is searched."""
        return tuple(every(self.dimensions))

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The Params fields it searches, under whatever choice, in NNI's order."""
        return tuple(dict.fromkeys(d.name for d, _ in self.everywhere))

    @cached_property
    def conditional(self) -> bool:
        """Whether some are searched under a choice only."""
        return any(under for _, under in self.everywhere)

    def draw(
        self,
        ask: Callable[[str, BaseDistribution], Any],
        kept: Mapping[str, Any] = MappingProxyType({}),
    ) -> dict[str, Any]:
        """One point, flat and in NNI's order; `ask` draws a latent by its name.

        It is asked for what is searched at this point, a choice before what lies under it. Fields
        in `kept` (see `latents`) take that value, and are asked for only where the space holds it.
        """
        values: dict[str, Any] = {}
        for d, under in self.everywhere:
            if _meets(values, under):
                if d.name not in kept or d.holds(kept[d.name]):
                    values[d.name] = d.value(ask(d.key, d.distribution))
                if d.name in kept:
                    values[d.name] = kept[d.name]
        return {**values, **kept}

    def latents(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The inverse of `draw`: latents by name, and values to keep as they are, by field.

        `draw(ask, kept)`, with an `ask` that knows the latents, gives these very values back. Kept
        are those outside the space; those not searched under the choices given, unless they are
        the default; and those that the latent of a normal kind meets but for the last digits.
        What is missing, or no field of the space, is in neither.
        """
        flat = flatten(values)
        latents: dict[str, Any] = {}
        kept: dict[str, Any] = {}
        for name in self.fields:
            if name in flat:
                value = flat[name]
                # under a choice that is not given, everything may come to be searched
                spots = [(d, under) for d, under in self.everywhere if d.name == name]
                spots = [(d, under) for d, under in spots if _meets({**under, **flat}, under)]
                latents |= {d.key: d.latent(value) for d, _ in spots if d.holds(value)}
                exact = all(
                    d.key in latents and same(d.value(latents[d.key]), value) for d, _ in spots
                )
                sure = any(under.keys() <= flat.keys() for _, under in spots)
                if not exact or not (sure or value == self.params.model_fields[name].get_default()):
                    kept[name] = value
        return latents, kept

    def values(self, latents: Mapping[str, Any]) -> dict[str, Any]:
        """The flat values of these latents, as far as they go."""
        values: dict[str, Any] = {}
        for d, under in self.everywhere:
            if d.key in latents and _meets(values, under):
                values[d.name] = d.value(latents[d.key])
        return values

    def nested(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The inverse of `flatten`, in NNI's order; fields not searched here follow at the end."""
        left = flatten(values)

        def place(dimensions: tuple[Dimension, ...]) -> dict[str, Any]:
            placed = {}
            for d in dimensions:
                if d.name in left:
                    value = left.pop(d.name)
                    inner = {NAME: value, **place(d.under(value))}
                    placed[d.name] = inner if d.branches else value
            return placed

        return {**place(self.dimensions), **left}

    def point(self, chosen: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
        """The point with these values, and elsewhere first choices and lowest numbers; flat."""
        values: dict[str, Any] = {}
        for d, under in self.everywhere:
            if _meets(values, under):
                values[d.name] = chosen.get(d.name, d.first)
        return values


def flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """NNI's parameters, flat: a nested choice is its name, and what lies under it fields."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        pairs = [(name, value)]
        if isinstance(value, Mapping) and NAME in value:
            inner = {k: v for k, v in value.items() if k != NAME}
            pairs = [(name, value[NAME]), *flatten(inner).items()]
        for field, item in pairs:
            if field in flat:
                raise UserError(f"NNI's parameters set {field!r} twice: {json.dumps(values)}")
            flat[field] = item
    return flat


def _meets(values: Mapping[str, Any], under: Mapping[str, Any]) -> bool:
    return all(name in values and same(values[name], choice) for name, choice in under.items())


def _refuse_unknown(space: Space, where: str) -> None:
    for d, _ in space.everywhere:
        if d.name not in space.params.model_fields:
            known = ", ".join(sorted(space.params.model_fields))
            raise UserError(f"{where}: {d.key!r}: no such parameter; there are {known}")


def _refuse_unacceptable(space: Space, where: str) -> None:
    """Try every dimension's probes, each at a whole point of the space."""
    for d, under in space.everywhere:
        for value in d.probes():
            point = space.point({**under, d.name: value})
            try:
                space.params(**point)
            except ValidationError as error:
                raise UserError(f"{where}: {_complaint(space, point, error)}") from None


def _complaint(space: Space, point: Mapping[str, Any], error: ValidationError) -> str:
    first = error.errors()[0]
    refused = f"which the task refuses ({first['msg'].removeprefix('Value error, ')})"
    for d, under in space.everywhere:
        if d.name in first["loc"][:1] and _meets(point, under):
            args = list(d.args)
            return f"{d.key!r}: can propose {point[d.name]!r}, {refused}; narrow its _value {args}"
    return f"can propose {json.dumps(point)} together, {refused}; narrow one of them"
