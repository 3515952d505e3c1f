"""One parameter of a search space: what each of NNI's kinds means, and its latent in Optuna.

NNI draws a latent variable and transforms it. Optuna draws the same latent variable
(`Dimension.distribution`), and `Dimension.value` is NNI 3.0's transformation, float for float:

    choice        an item, each listing alike       nested choice  the `_name` of an item
    randint       an integer from [low, high)
    uniform       [low, high)                       quniform     clip(round(x / q) * q, low, high)
    loguniform    exp(uniform)                      qloguniform  the same of a loguniform x
    normal        mu + sigma * z                    qnormal      round(x / q) * q
    lognormal     exp(normal)                       qlognormal   round(x / q) * q

`round` takes halves to the even neighbour. Choices that are lists or objects, or that `==` does
not tell apart, are drawn by index. The normal kinds invert a uniform latent, within 6 sigma: of
NNI's own draws, one in 500 million lies beyond.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

UNIFORM = ("uniform", "quniform", "loguniform", "qloguniform")
NORMAL = ("normal", "qnormal", "lognormal", "qlognormal")
KINDS = ("choice", "randint", *UNIFORM, *NORMAL)
NAME = "_name"
TAIL = NormalDist().cdf(-6.0)
EVERY = 4096
NEAR = 1e-9


@dataclass(frozen=True)
class Dimension:
    """One parameter: NNI's `_type` (kind) and `_value` (args; the names, of a nested choice).

    `branches` are what a nested choice searches under each name. `within` says where the
    dimension lies itself, as in `adversarial=wgan/`; it is '' at the top level.
    """

    name: str
    kind: str
    args: tuple[Any, ...]
    within: str = ""
    branches: tuple[tuple[Dimension, ...], ...] = ()

    @property
    def key(self) -> str:
        """The name of its latent, unique in the space."""
        return self.within + self.name

    @cached_property
    def step(self) -> float | None:
        """The q of a quantised kind."""
        return float(self.args[2]) if self.kind.startswith("q") else None

    @cached_property
    def plain(self) -> bool:
        """Whether Optuna can show the choice itself: all are scalars, and no two are equal."""
        scalars = all(isinstance(a, str | int | float | bool | None) for a in self.args)
        return scalars and len(set(self.args)) == len(self.args)

    @cached_property
    def distribution(self) -> BaseDistribution:
        """Optuna's distribution of the latent variable."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.kind == "choice":
            return CategoricalDistribution(self.args if self.plain else range(len(self.args)))
        if self.kind == "randint":
            return IntDistribution(self.args[0], self.args[1] - 1)
        if self.kind in UNIFORM:
            low, high = map(float, self.args[:2])
            return FloatDistribution(low, high, log="log" in self.kind)
        return FloatDistribution(TAIL, 1 - TAIL)

    def under(self, value: Any) -> tuple[Dimension, ...]:
        """What is searched while this choice has a value; nothing where the value is outside."""
        found = (b for a, b in zip(self.args, self.branches, strict=False) if same(a, value))
        return next(found, ())

    def value(self, latent: Any) -> Any:
        """What this latent means: NNI's value for the trial, or the name of a nested choice."""
        if self.kind == "choice":
            return latent if self.plain else self.args[latent]
        if self.kind == "randint":
            return int(latent)
        x = float(latent)
        return self._settled(self._quantile(x) if self.kind in NORMAL else x)

    def latent(self, value: Any) -> Any:
        """The latent of a value, to within rounding; ValueError where it is outside the space."""
        try:
            if self.kind == "choice":
                index = [same(a, value) for a in self.args].index(True)
                return self.args[index] if self.plain else index
            if self.kind == "randint":
                whole = int(value)
                if whole != value or whole not in range(*self.args):
                    raise ValueError
                return whole
            return self._number_latent(value)
        except (ArithmeticError, TypeError, ValueError):
            message = f"{self.name}: {value!r} is not in {self.kind} {list(self.args)}"
            raise ValueError(message) from None

    def holds(self, value: Any) -> bool:
        """Whether the space has this value, to within rounding."""
        try:
            self.latent(value)
        except ValueError:
            return False
        return True

    @property
    def first(self) -> Any:
        """The first choice, or the lowest number."""
        return self._settled(self._span[0]) if self.kind in UNIFORM + NORMAL else self.args[0]

    @property
    def single(self) -> bool:
        """Whether it has one possible value, its `first`."""
        return all(same(value, self.first) for value in self.probes())

    def probes(self) -> list[Any]:
        """All values, or some that between them meet what Params may ask; OverflowError for inf."""
        if self.kind == "choice":
            return list(self.args)
        if self.kind == "randint":
            return _some(self.args[0], self.args[1] - 1)
        low, high = self._span
        if self.step is None:
            return [low, high, *(low + f * (high - low) for f in (0.3819660113, 0.6180339887))]
        multiples = _some(round(low / self.step), round(high / self.step))
        return list(dict.fromkeys(self._settled(k * self.step) for k in multiples))

    def _settled(self, x: float) -> float:
        """NNI's rounding; only the uniform kinds are clipped after it."""
        if self.step is None:
            return x
        x = round(x / self.step) * self.step
        if self.kind in UNIFORM:
            x = min(max(x, float(self.args[0])), float(self.args[1]))
        return x

    @cached_property
    def _normal(self) -> NormalDist:
        return NormalDist(float(self.args[0]), float(self.args[1]))

    def _quantile(self, p: float) -> float:
        x = self._normal.inv_cdf(p)
        return math.exp(x) if "log" in self.kind else x

    def _probability(self, x: float) -> float:
        """The latent of a normal kind at x, within 6 sigma."""
        if "log" in self.kind:
            x = math.log(x) if x > 0 else -math.inf
        return min(max(self._normal.cdf(x), TAIL), 1 - TAIL)

    @cached_property
    def _span(self) -> tuple[float, float]:
        """The lowest and the highest x before rounding."""
        if self.kind in NORMAL:
            return self._quantile(TAIL), self._quantile(1 - TAIL)
        return float(self.args[0]), float(self.args[1])

    def _number_latent(self, value: Any) -> float:
        if not isinstance(value, Real):
            raise TypeError
        x = self._settled(float(value))
        low, high = map(self._settled, self._span)
        slack = NEAR * (self.step or 0.0)
        if not (low <= x <= high and (x == value or math.isclose(x, value, abs_tol=slack))):
            raise ValueError
        if self.kind in UNIFORM:
            return x
        half = (self.step or 0.0) / 2  # the middle of all that is rounded to x
        return (self._probability(x - half) + self._probability(x + half)) / 2


def same(a: Any, b: Any) -> bool:
    """Whether two JSON values are equal; unlike `==`, it tells true from 1, but not 1 from 1.0."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return bool(a == b)


def _some(first: int, last: int) -> list[int]:
    """All from first to last; of more than 4096, the ends with their neighbours and the middle."""
    if last - first < EVERY:
        return list(range(first, last + 1))
    return [first, first + 1, (first + last) // 2, last - 1, last]
