"""How far two orders of the same things agree: Spearman's rho, with what chance leaves open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 4000
TAILS = (2.5, 97.5)  # per cent
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
    drawn = _draws(len(x))
    resampled = _rhos(x[drawn], y[drawn])
    low, high = np.nanpercentile(resampled, TAILS)
    return Rho(*(round(float(number), DIGITS) for number in (here, low, high)))


def shared_leaders(xs: Sequence[float], ys: Sequence[float], top: int) -> tuple[int, int]:
    """How many of the `top` smallest of two lists are the same pairs: the bootstrap's interval.

    The middle 95 % of that number over the draws of `spearman`; of tied values the first leads.
    """
    import numpy as np

    drawn = _draws(len(xs))
    x, y = (
        np.argsort(np.asarray(values, float)[drawn], axis=1, kind="stable")[:, :top]
        for values in (xs, ys)
    )
    shared = (x[:, :, None] == y[:, None, :]).sum((1, 2))
    low, high = np.percentile(shared, TAILS, method="inverted_cdf")
    return int(low), int(high)


def _draws(pairs: int) -> NDArray[np.int64]:
    """Which pairs each resample has: 4,000 x pairs."""
    import numpy as np

    return np.random.default_rng(SEED).integers(pairs, size=(RESAMPLES, pairs))


def _rhos(x: NDArray[np.float64], y: NDArray[np.float64]) -> Any:
    """Rho of each row of two R x N arrays; NaN where a row is all ties."""
    import numpy as np
    from scipy.stats import rankdata

    a, b = (rankdata(v, axis=1) - (v.shape[1] + 1) / 2 for v in (x, y))
    spread = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return np.divide((a * b).sum(1), spread, out=np.full(len(x), np.nan), where=spread > 0)
