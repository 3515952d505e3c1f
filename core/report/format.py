"""Numbers and names as people read them; templates have most of these as filters."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def decimals(values: Iterable[float | None]) -> int:
    """Decimals that show these values: 3, none for large whole ones, more for tiny ones."""
    sizes = [abs(v) for v in values if v is not None]
    top = max(sizes, default=0.0)
    if top > 1 and all(v == int(v) for v in sizes):
        return 0
    return 3 if top >= 0.1 or top == 0 else 2 - math.floor(math.log10(top))


def fixed(value: float | None, places: int = 3) -> str:
    """`0.610`, `0.00042`, `3.7e−06`: two digits at least; a dash where there is no number."""
    return "–" if value is None else _digits(value, places).replace("-", "−")


def _digits(value: float, places: int) -> str:
    """Two digits where three decimals or more show fewer, and where fewer decimals show none."""
    few = abs(value) < 10.0 ** (1 - places) if places > 2 else not round(value, places)
    return f"{value:.2g}" if value and few else f"{value:.{places}f}"


def signed(value: float, places: int = 3) -> str:
    """`+0.130`, `−0.020`; two digits where the decimals would show none."""
    size = f"{abs(value):.{places}f}" if round(value, places) else fixed(abs(value), places)
    return ("+" if value >= 0 else "−") + size


def gap(a: float | None, b: float | None, places: int = 3) -> str:
    """How much more `a` is than `b`, of the numbers as they are shown."""
    if a is None or b is None:
        return "–"
    difference = float(_digits(a, places)) - float(_digits(b, places))
    return signed(difference, places) if difference else "same"


def plain(value: Any) -> str:
    """A parameter's value: four significant digits, JSON for what is not a number or text."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def duration(seconds: float | None) -> str:
    """`48 s`, `12 min 5 s`, `3 h 20 min`; a dash where there is no number."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def count(number: int, noun: str) -> str:
    """`1 trial`, `3 trials`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def listed(words: Sequence[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def guards(names: Sequence[str]) -> str:
    """`the guard pale`, `the guards ink and pale`."""
    return f"the guard{'s' if len(names) > 1 else ''} {listed(names)}"


def spaced(name: str) -> str:
    """An outcome's name in words: `out of memory`."""
    return name.replace("_", " ")


def percent(share: float | None) -> str:
    """`25 %`; a dash where there is no number."""
    return "–" if share is None else f"{100 * share:.0f} %"


def si(value: float | None) -> str:
    """`1.23 G`: three digits and a unit's prefix; a dash where there is no number."""
    if value is None:
        return "–"
    size, prefix = next((u for u in UNITS if abs(value) >= 0.9995 * u[0]), (1.0, ""))
    return f"{value / size:.3g} {prefix}".rstrip()


def markdown(text: object) -> str:
    """Text as Markdown that shows it as it is, in a table's cell too."""
    line = html.escape(" ".join(str(text).split()), quote=False)
    return re.sub(r"([\\`*\[\]|]|(?<!\w)_|_(?!\w))", r"\\\1", line)


def code(text: object) -> str:
    """A fenced block of code in Markdown, whatever the text holds."""
    longest = max(map(len, re.findall(r"`+", str(text))), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
