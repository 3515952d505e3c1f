"""Configurations trained with common seeds: which of them can be told apart, and which cannot.

A score is taken for a configuration's mean plus a seed's effect plus noise (a randomized block
design: seeds are the blocks), fitted by least squares, so that a seed which is lucky for all counts
for none. Differences have simultaneous intervals after Tukey and Kramer (Kramer 1956): with 95 %
probability all of them hold at once, however many configurations there are. Who is not told apart
from the best by them is in the winner set.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
ROUNDING = 1e-9


@dataclass(frozen=True)
class Difference:
    """One configuration's mean minus another's, and the half width of its interval."""

    value: float
    margin: float

    @property
    def low(self) -> float:
        """The interval's lower end."""
        return self.value - self.margin

    @property
    def high(self) -> float:
        """The interval's upper end."""
        return self.value + self.margin


@dataclass(frozen=True)
class Paired:
    """Scores by configuration and seed; higher is better. Seeds may be missing here and there."""

    scores: Mapping[str, Mapping[int, float]]
    confidence: float = CONFIDENCE

    @cached_property
    def names(self) -> list[str]:
        """The configurations with a score."""
        return [name for name, of in self.scores.items() if of]

    @cached_property
    def _fit(self) -> tuple[NDArray[Any], NDArray[Any], float, int]:
        """Means, their covariance over the noise's variance, that variance, degrees of freedom."""
        seeds = sorted({seed for of in self.scores.values() for seed in of})
        rows, values = [], []
        for i, name in enumerate(self.names):
            for seed, score in self.scores[name].items():
                row = np.zeros(len(self.names) + len(seeds))
                row[i] = row[len(self.names) + seeds.index(seed)] = 1
                rows.append(row)
                values.append(score)
        design, found = np.array(rows), np.array(values)
        effects, _, rank, _ = np.linalg.lstsq(design, found, rcond=None)
        left = found - design @ effects
        freedom = len(values) - int(rank)
        variance = float(left @ left) / freedom if freedom else math.nan
        spread = np.linalg.pinv(design.T @ design)
        size = len(self.names)
        return effects[:size] + effects[size:].mean(), spread[:size, :size], variance, freedom

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the noise; 0 where nothing can be said of it."""
        return self._fit[3] if self.names else 0

    @property
    def noise(self) -> float | None:
        """The standard deviation of one run's score, but for what its seed does to all alike."""
        return math.sqrt(self._fit[2]) if self.freedom else None

    def mean(self, name: str) -> float:
        """A configuration's mean, as if it had been run with every seed."""
        return float(self._fit[0][self.names.index(name)])

    def difference(self, a: str, b: str) -> Difference:
        """`a` minus `b`; an infinite margin where the noise is not known."""
        means, spread, variance, freedom = self._fit
        i, j = self.names.index(a), self.names.index(b)
        value = float(means[i] - means[j])
        if not freedom:
            return Difference(value, 0.0 if a == b else math.inf)
        error = math.sqrt(max(0.0, variance * (spread[i, i] + spread[j, j] - 2 * spread[i, j])))
        return Difference(value, _width(self.confidence, len(self.names), freedom) * error)

    def winners(self, but: Container[str] = ()) -> list[str]:
        """The best, and those that cannot be told apart from it; the best mean first.

        `but`: who is not to win.
        """
        there = sorted((n for n in self.names if n not in but), key=self.mean, reverse=True)
        return [n for n in there if self.difference(there[0], n).low <= ROUNDING]


@lru_cache
def _width(confidence: float, groups: int, freedom: int) -> float:
    """How many standard errors of a difference its interval is wide, to each side."""
    from scipy.stats import studentized_range

    if groups < 2:
        return 0.0
    return float(studentized_range.ppf(confidence, groups, freedom)) / math.sqrt(2)
