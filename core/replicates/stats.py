"""Which configurations are better, and how sure that is: the statistics of all reports.

`Paired` compares configurations over common seeds, `Race` those whose runs may fail, `Noise` says
what the best of many runs reaches by luck, and `spearman` how far two orders agree.
"""

from __future__ import annotations

import json
import math
import statistics
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
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
TAILS = (2.5, 97.5)  # per cent


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
    """A least-squares fit: `normal` are the seeds' normal equations without configurations."""

    means: NDArray[Any]
    run: NDArray[Any]
    normal: NDArray[Any]
    inverse: NDArray[Any]
    variance: float
    freedom: int


@dataclass(frozen=True)
class Paired:
    """Scores by configuration and seed; higher is better. Single seeds may be missing.

    A score is a configuration's mean plus a seed's effect plus noise (a randomized block design),
    fitted by least squares: a seed that is lucky for all favours none. The differences of means
    have simultaneous intervals, which all hold at once with this confidence (Kramer, "Extension of
    multiple range tests", 1956, after Tukey). The winner set is the best configuration and those
    that the intervals cannot tell apart from it.
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
        return _Fit(means + effects.mean(), run, normal, inverse, variance, freedom)

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
        value, margin = float(fit.means[i] - fit.means[j]), 0.0 if a == b else math.inf
        unlike = fit.run[i] / fit.run[i].sum() - fit.run[j] / fit.run[j].sum()
        linked = np.allclose(fit.normal @ fit.inverse @ unlike, unlike)
        if a != b and fit.freedom and linked:
            terms = 1 / fit.run[i].sum() + 1 / fit.run[j].sum() + unlike @ fit.inverse @ unlike
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


@dataclass(frozen=True)
class Run:
    """How a run ended: its final score, None where it went wrong, and the guards it breaks."""

    outcome: str
    score: float | None
    broken: Sequence[str] = ()


@dataclass(frozen=True)
class Race:
    """Runs by configuration and seed, as far as they have ended."""

    runs: Mapping[str, Mapping[int, Run]]
    maximize: bool

    def narrowed(self, names: Collection[str], seeds: Collection[int]) -> Race:
        """The runs of these configurations with these seeds."""
        runs = {n: {s: run for s, run in self.runs[n].items() if s in seeds} for n in names}
        return Race(runs, self.maximize)

    def missing(self, seeds: Collection[int]) -> int:
        """How many runs with these seeds have not ended."""
        return sum(seed not in runs for runs in self.runs.values() for seed in seeds)

    @cached_property
    def allowed(self) -> int:
        """How many guards a run may break: as many as the best-behaved configuration's worst run.

        Only configurations with the most scores set this standard.
        """
        scored = [
            [len(run.broken) for run in runs.values() if run.score is not None]
            for runs in self.runs.values()
        ]
        most = max(map(len, scored), default=0)
        return min((max(broken) for broken in scored if 0 < len(broken) == most), default=0)

    def failures(self, name: str) -> list[str]:
        """What went wrong with a configuration's runs, as `seed 2 diverged`."""
        found = []
        for seed, run in self.runs[name].items():
            if run.score is None:
                found.append(f"seed {seed} {run.outcome.replace('_', ' ')}")
            elif len(run.broken) > self.allowed:
                found.append(f"seed {seed} breaks {', '.join(run.broken)}")
        return found

    @cached_property
    def paired(self) -> Paired:
        """The scores, higher ones better, of the configurations none of whose runs went wrong."""
        sign = 1 if self.maximize else -1
        return Paired({
            name: {seed: sign * run.score for seed, run in runs.items() if run.score is not None}
            for name, runs in self.runs.items()
            if runs and not self.failures(name)
        })  # fmt: skip

    def dropouts(self, seeds: Sequence[int], done: int, staying: str) -> dict[str, str]:
        """Which configurations but `staying` drop out after at most `done` seeds, and why.

        After two seeds, and after each further one but the last, those leave that are behind the
        best or went wrong. With 95 % probability nothing that is as good as the best ever drops
        out (Bonferroni's correction for the stages). A missing run puts the stage off.
        """
        out: dict[str, str] = {}
        stages = len(seeds) - 2
        for number in range(2, min(done, stages + 1) + 1):
            stage = self.narrowed([name for name in self.runs if name not in out], seeds[:number])
            if stage.missing(seeds[:number]):
                break
            paired = Paired(stage.paired.scores, 1 - (1 - CONFIDENCE) / stages)
            winners = paired.winners()
            reasons = {name: ", ".join(stage.failures(name)) for name in stage.runs}
            reasons |= {name: f"behind with {number} seeds" for name in paired.names
                        if name not in winners}  # fmt: skip
            out |= {name: why for name, why in reasons.items() if why and name != staying}
        return out


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

        Student's one-sided 95 % prediction bound for a new run, with Bonferroni's correction for
        the number of runs.
        """
        from scipy.stats import t

        runs = len(self.scores)
        quantile = float(t.ppf(1 - (1 - CONFIDENCE) / max(1, trials), runs - 1))
        return quantile * self.floor * math.sqrt(1 + 1 / runs)


@dataclass(frozen=True)
class Rho:
    """Spearman's rho, -1 to 1, and its interval; all None where one of the orders is all ties."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


def spearman(xs: Sequence[float], ys: Sequence[float]) -> Rho:
    """Spearman's rank correlation of two equally long lists, with its 95 % bootstrap interval.

    Tied values have the average of their ranks (Spearman, "The proof and measurement of
    association between two things", 1904). Where an order is kept exactly, the interval has no
    width, however few the pairs are.
    """
    value = float(_rho(np.asarray(xs), np.asarray(ys)))
    if math.isnan(value):
        return Rho()
    low, high = _bootstrap(_rho, xs, ys)
    return Rho(round(value, DIGITS), round(low, DIGITS), round(high, DIGITS))


def shared_leaders(xs: Sequence[float], ys: Sequence[float], top: int) -> tuple[int, int]:
    """How many of the `top` smallest of two lists are the same pairs: the bootstrap's interval.

    Of tied values the first leads.
    """

    def shared(x: NDArray[Any], y: NDArray[Any], axis: int) -> Any:
        a, b = (np.argsort(v, axis=axis, kind="stable")[..., :top] for v in (x, y))
        return (a[..., :, None] == b[..., None, :]).sum((-2, -1), float)

    low, high = _bootstrap(shared, xs, ys)
    return int(low), int(high)


def _rho(x: NDArray[Any], y: NDArray[Any], axis: int = -1) -> Any:
    """Rho along an axis; NaN where one of the two is constant."""
    from scipy.stats import rankdata

    a, b = (rankdata(v, axis=axis) - (v.shape[axis] + 1) / 2 for v in (x, y))
    spread = np.sqrt((a * a).sum(axis) * (b * b).sum(axis))
    return np.divide((a * b).sum(axis), spread, out=np.full_like(spread, np.nan), where=spread > 0)


def _bootstrap(
    statistic: Callable[..., Any], xs: Sequence[float], ys: Sequence[float]
) -> tuple[float, float]:
    """The percentile bootstrap's 95 % interval of a statistic of pairs, over 4,000 seeded draws.

    Efron, "Bootstrap methods: another look at the jackknife", 1979. NaN is left out.
    """
    from scipy.stats import bootstrap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of resamples that are constant
        result = bootstrap((xs, ys), statistic, paired=True, vectorized=True, method="percentile",
                           n_resamples=RESAMPLES, rng=np.random.default_rng(SEED))  # fmt: skip
    low, high = np.nanpercentile(result.bootstrap_distribution, TAILS, method="inverted_cdf")
    return float(low), float(high)
