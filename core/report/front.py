"""Pareto's front: the trials that none beats in every objective of a search for several."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from core.report.drawing import BASELINE, BEST, MUTED, draw, legend
from core.report.rows import Row, mapping
from core.report.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Front:
    """`maximize` by objective, and the trials of the front, best in the first objective first."""

    maximize: dict[str, bool]
    rows: tuple[Row, ...]

    @property
    def names(self) -> list[str]:
        """The objectives."""
        return list(self.maximize)


def read_front(summary: Summary) -> Front | None:
    """The front of a study's candidates; None where the search was for one objective."""
    told = mapping(summary.study.about.get("objectives"))
    if len(told) < 2:
        return None
    maximize = {name: direction != "minimize" for name, direction in told.items()}

    def values(row: Row) -> list[float]:
        return [row.parts[n] if up else -row.parts[n] for n, up in maximize.items()]

    there = [row for row in summary.candidates if maximize.keys() <= row.parts.keys()]
    rows = [row for row in there if not any(_beats(values(o), values(row)) for o in there)]
    return Front(maximize, tuple(sorted(rows, key=values, reverse=True)))


def _beats(a: list[float], b: list[float]) -> bool:
    return a != b and all(x >= y for x, y in zip(a, b, strict=True))


def front_plot(summary: Summary, front: Front) -> str:
    """SVG of the first two objectives: every scored trial, the front joined."""
    return draw("front", partial(_front, summary=summary, front=front))


def _front(axes: Axes, summary: Summary, front: Front) -> None:
    x, y = front.names[:2]
    scored = [row for row in summary.rows if {x, y} <= row.parts.keys()]
    others = [row for row in scored if row not in front.rows]
    axes.scatter([r.parts[x] for r in others], [r.parts[y] for r in others], s=16, color=MUTED,
                 label="other trials")  # fmt: skip
    there = [(r.parts[x], r.parts[y]) for r in front.rows]
    axes.plot(*zip(*there, strict=True), "o-", color=BEST, markersize=6, label="the front")
    for row, at in zip(front.rows, there, strict=True):
        axes.annotate(row.label, at, textcoords="offset points", xytext=(6, 4), fontsize=8)
    if (baseline := summary.baseline) and {x, y} <= baseline.parts.keys():
        axes.plot(baseline.parts[x], baseline.parts[y], "D", color=BASELINE, markersize=7,
                  fillstyle="none", label="baseline")  # fmt: skip
    axes.set(xlabel=x, ylabel=y)
    legend(axes)
