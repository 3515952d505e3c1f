"""How far two orders of the same things agree: Spearman's rho, with what chance leaves open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 4000
LEVEL = 0.95
SEED = 0
DIGITS = 6


@dataclass(frozen=True)
class Rho:
    """Spearman's rho, -1 to 1, and its interval; all None where one of the orders is all ties."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def certain(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def spearman(xs: Sequence[float], ys: Sequence[float]) -> Rho:
    """Spearman's rank correlation of two equally long lists, and its bootstrap interval.

    The correlation of the ranks, ties having the average of theirs (Spearman, "The proof and
    measurement of association between two things", 1904): 1 is the same order, 0 none, -1 the
    reverse. The interval is the percentile bootstrap's (Efron, "Bootstrap methods", 1979): the
    middle 95 % of rho over 4,000 seeded draws, with replacement, of as many pairs. A draw that has
    no order is left out. An order that is exactly kept leaves the interval no width, however few
    the pairs are.
    """
    import numpy as np

    x, y = np.asarray(xs, float), np.asarray(ys, float)
    (here,) = _rhos(x[None], y[None])
    if np.isnan(here):
        return Rho()
    drawn = np.random.default_rng(SEED).integers(len(x), size=(RESAMPLES, len(x)))
    resampled = _rhos(x[drawn], y[drawn])
    tail = 50 * (1 - LEVEL)
    low, high = np.nanpercentile(resampled, [tail, 100 - tail])
    return Rho(*(round(float(number), DIGITS) for number in (here, low, high)))


def _rhos(x: NDArray[np.float64], y: NDArray[np.float64]) -> Any:
    """Rho of each row of two R x N arrays; NaN where a row is all ties."""
    import numpy as np
    from scipy.stats import rankdata

    a, b = (rankdata(v, axis=1) - (v.shape[1] + 1) / 2 for v in (x, y))
    spread = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return np.divide((a * b).sum(1), spread, out=np.full(len(x), np.nan), where=spread > 0)
