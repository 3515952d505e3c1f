"""The plot of an audit: how the order after each budget agrees with the order at the end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from core.replicates.agreement import Rho
from core.report.audit import TRUSTED, Audit
from core.report.drawing import BASELINE, BEST, MUTED, draw, legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CAPTION = (
    "Rho by epoch, with its 95 % interval: the long runs so far, and the short trials themselves. "
    "Dotted: what the lower end must reach to be trusted."
)


def agreement_plot(audit: Audit) -> str:
    """SVG of rho by epoch; '' where there is no rho."""
    rhos = [audit.trial.rho, *(budget.rho for budget in audit.budgets)]
    if all(rho.value is None for rho in rhos):
        return ""
    return draw("audit", partial(_rhos, audit=audit))


def _rhos(axes: Axes, audit: Audit) -> None:
    """The long runs as a line with a band, the short trials as a mark with a bar."""
    there = [(a.epochs, *_three(a.rho)) for a in audit.budgets if a.rho.value is not None]
    if there:
        xs, values, lows, highs = zip(*there, strict=True)
        axes.fill_between(xs, lows, highs, color=BEST, alpha=0.15, linewidth=0)
        axes.plot(xs, values, color=BEST, linewidth=1.8, marker="o", markersize=4,
                  label="long run, so far")  # fmt: skip
    if audit.trial.rho.value is not None:
        value, low, high = _three(audit.trial.rho)
        bars = [[max(0.0, value - low)], [max(0.0, high - value)]]
        axes.errorbar([audit.short], [value], bars, color=BASELINE, fmt="D", markersize=5,
                      capsize=3, label="short trial itself")  # fmt: skip
    axes.axhline(TRUSTED, color=MUTED, linewidth=0.8, linestyle=":")
    axes.set(xlabel="epoch", ylabel="Spearman's rho", ylim=(-1.05, 1.05))
    legend(axes)


def _three(rho: Rho) -> tuple[float, float, float]:
    """Rho and its interval, as numbers."""
    return rho.value or 0.0, rho.low or 0.0, rho.high or 0.0
