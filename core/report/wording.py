"""Numbers as people read them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any


def decimals(values: Iterable[float | None]) -> int:
    """Decimals that show these values: 3, none for large whole ones, more for tiny ones."""
    there = [abs(v) for v in values if v is not None]
    top = max(there, default=0.0)
    if top > 1 and all(v == int(v) for v in there):
        return 0
    return 3 if top >= 0.1 or top == 0 else 2 - math.floor(math.log10(top))


def fixed(value: float | None, places: int = 3) -> str:
    """`0.610`; a dash where there is no number."""
    return "–" if value is None else f"{value:.{places}f}".replace("-", "−")


def signed(value: float, places: int = 3) -> str:
    """`+0.130`, `−0.020`."""
    return ("+" if value >= 0 else "−") + f"{abs(value):.{places}f}"


def gap(a: float | None, b: float | None, places: int = 3) -> str:
    """How much more `a` is than `b`, of the numbers as they are shown."""
    if a is None or b is None:
        return "–"
    difference = round(a, places) - round(b, places)
    return signed(difference, places) if abs(difference) > 1e-12 else "same"


def plain(value: Any) -> str:
    """A parameter's value: four significant digits, JSON for what is not a number or text."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def duration(seconds: float) -> str:
    """`48 s`, `12 min 5 s`, `3 h 20 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def count(number: int, noun: str) -> str:
    """`1 trial`, `3 trials`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
