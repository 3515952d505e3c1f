"""Which configurations are better, and how sure that is: the statistics of all reports."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.task import RUNTIME_FIELDS

CONFIDENCE = 0.95
ROUNDING = 1e-9
RESAMPLES, SEED = 4000, 0
DIGITS = 12  # what least squares and ranks leave of a float; the rest is rounding


def configuration(params: Mapping[str, Any]) -> str:
    """What makes one configuration, as JSON: all parameters but the seed and the runtime fields."""
    kept = {k: v for k, v in params.items() if k != "seed" and k not in RUNTIME_FIELDS}
    return json.dumps(kept, sort_keys=True, default=str)


class Difference(NamedTuple):
    """One configuration's mean minus another's, with its interval."""

    value: float
    low: float
    high: float


class _Fit(NamedTuple):
    """A least-squares fit: `runs` and `shares` of seeds by configuration, the normal equations."""

    means: NDArray[Any]
    runs: NDArray[Any]
    shares: NDArray[Any]
    normal: NDArray[Any]
    inverse: NDArray[Any]
    variance: float
    freedom: int


@dataclass(frozen=True)
class Paired:
    """Scores by configuration and seed; higher is better. Single seeds may be missing.

    A score is a configuration's mean plus a seed's effect plus noise (a randomized block design),
    fitted by least squares: a seed that is lucky for all favours none. The intervals of differences
    of means all hold at once with this confidence (Kramer, "Extension of multiple range tests",
    1956, after Tukey). The winner set is the best, and those that they do not tell apart from it.
    """

    scores: Mapping[str, Mapping[Any, float]]
    confidence: float = CONFIDENCE

    @cached_property
    def names(self) -> list[str]:
        """The configurations with a score."""
        return [name for name, runs in self.scores.items() if runs]

    @cached_property
    def _fit(self) -> _Fit:
        seeds = list(dict.fromkeys(seed for runs in self.scores.values() for seed in runs))
        table = np.array([[self.scores[n].get(s, math.nan) for s in seeds] for n in self.names])
        run = ~np.isnan(table)
        shares, means = run / run.sum(1, keepdims=True), np.nanmean(table, 1)
        normal = np.diag(run.sum(0)) - run.T @ shares
        inverse = np.linalg.pinv(normal)
        effects = inverse @ (np.nansum(table, 0) - run.T @ means)
        means = means - shares @ effects
        freedom = int(run.sum()) - len(means) - int(np.linalg.matrix_rank(normal))
        squares = float(np.nansum((table - means[:, None] - effects) ** 2))
        variance = squares / freedom if freedom else math.nan
        means = means + effects.mean()
        return _Fit(means, run.sum(1), shares, normal, inverse, variance, freedom)

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the noise; 0 where nothing can be said of it."""
        return self._fit.freedom if self.names else 0

    @property
    def noise(self) -> float | None:
        """The standard deviation of one run's score without what its seed does to all alike."""
        return math.sqrt(self._fit.variance) if self.freedom else None

    def mean(self, name: str) -> float:
        """A configuration's mean, as if it had been run with every seed."""
        return round(float(self._fit.means[self.names.index(name)]), DIGITS)

    def difference(self, a: str, b: str) -> Difference:
        """`a` minus `b`; the interval is infinite where no seeds link them or tell of noise."""
        fit, i, j = self._fit, self.names.index(a), self.names.index(b)
        value, margin = float(fit.means[i] - fit.means[j]), math.inf
        unlike = fit.shares[i] - fit.shares[j]
        if fit.freedom and np.allclose(fit.normal @ fit.inverse @ unlike, unlike):
            terms = 1 / fit.runs[i] + 1 / fit.runs[j] + unlike @ fit.inverse @ unlike
            width = _width(self.confidence, len(self.names), fit.freedom)
            margin = width * math.sqrt(fit.variance * terms)
        return Difference(value, value - margin, value + margin)

    def winners(self, excluded: Collection[str] = ()) -> list[str]:
        """The winner set, the best mean first; those `excluded` take part in the fit alone."""
        ranked = sorted((n for n in self.names if n not in excluded), key=self.mean, reverse=True)
        return [n for n in ranked if self.difference(ranked[0], n).low <= ROUNDING]


@lru_cache
def _width(confidence: float, groups: int, freedom: int) -> float:
    """How many standard errors of a difference its interval reaches to each side."""
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(confidence, groups, freedom)) / math.sqrt(2)


def detectable(seeds: int) -> float:
    """The gain that a comparison of two configurations with common seeds tells from none.

    In standard deviations of one run; the half width of `difference`'s interval.
    """
    return _width(CONFIDENCE, 2, seeds - 1) * math.sqrt(2 / seeds)


@dataclass(frozen=True)
class Noise:
    """One configuration's final scores over seeds, two or more."""

    scores: tuple[float, ...]

    @cached_property
    def mean(self) -> float:
        """Their mean."""
        return statistics.fmean(self.scores)

    @cached_property
    def floor(self) -> float:
        """Their sample standard deviation, in units of the score."""
        return statistics.stdev(self.scores)

    def luck(self, trials: int) -> float:
        """How far above the mean the best of so many new runs may come, in units of the score.

        Student's one-sided 95 % prediction bound, with Bonferroni's correction for the trials.
        """
        from scipy.stats import t

        runs = len(self.scores)
        quantile = float(t.ppf(1 - (1 - CONFIDENCE) / max(1, trials), runs - 1))
        return quantile * self.floor * math.sqrt(1 + 1 / runs)


@dataclass(frozen=True)
class Rho:
    """Spearman's rho, -1 to 1, and its 95 % interval."""

    value: float
    low: float
    high: float


def spearman(xs: Sequence[float], ys: Sequence[float]) -> Rho | None:
    """Spearman's rank correlation of two equally long lists, with its 95 % bootstrap interval.

    The interval is the percentile bootstrap's over 4,000 seeded draws (Efron, "Bootstrap methods:
    another look at the jackknife", 1979), without the draws that are constant. Where an order is
    kept exactly it has no width, however few the pairs are. None where one list is constant.
    """
    pairs = np.array([xs, ys], float)
    value = float(_rho(pairs))
    if math.isnan(value):
        return None
    draws = np.random.default_rng(SEED).integers(len(xs), size=(RESAMPLES, len(xs)))
    tails = (50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE))
    low, high = np.nanpercentile(_rho(pairs[:, draws]), tails, method="inverted_cdf")
    return Rho(*(round(float(number), DIGITS) for number in (value, low, high)))


def _rho(pairs: NDArray[Any]) -> NDArray[Any]:
    """Rho of 2 x ... x N along the last axis, with average ranks; NaN where one is constant."""
    from scipy.stats import rankdata

    a, b = rankdata(pairs, axis=-1) - (pairs.shape[-1] + 1) / 2
    with np.errstate(invalid="ignore"):
        rho: NDArray[Any] = (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    return rho


def other_seeds(first: int, number: int) -> dict[str, dict[str, Any]]:
    """The changes of runs with so many seeds, less the first, by the names of their folders."""
    seeds = [(first + i) % 2**31 for i in range(1, number)]
    return {f"seed-{seed}": {"seed": seed} for seed in seeds}
