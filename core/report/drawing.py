"""Figures as inline SVG. Their colours are the page's, so that they follow its dark scheme."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Colours that nothing else has, replaced by those of style.css.
INK, BEST, BASELINE, MUTED = "#010203", "#010204", "#010205", "#010206"
SERIES = [f"#01021{i}" for i in range(8)]
COLOURS = {INK: "ink", BEST: "best", BASELINE: "baseline", MUTED: "muted"}
COLOURS |= {stand_in: f"series-{i}" for i, stand_in in enumerate(SERIES)}
STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "gantune", "text.parse_math": False, "font.size": 9.5,
    "text.color": INK, "axes.labelcolor": INK, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "axes.edgecolor": MUTED, "xtick.color": MUTED, "ytick.color": MUTED, "grid.color": MUTED,
    "axes.spines.top": False, "axes.spines.right": False, "grid.alpha": 0.2,
    "legend.frameon": False, "legend.fontsize": 9,
}  # fmt: skip


def draw(
    name: str,
    plot: Callable[[Axes], None],
    size: tuple[float, float] = (5.2, 3.1),
    counted: bool = True,
) -> str:
    """One small figure as SVG, legible where a phone shows it at its own size.

    `name` is unlike every other figure's on the page, `size` in inches; `counted`: x is a count.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with matplotlib.rc_context(STYLE), warnings.catch_warnings(action="ignore"):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        axes.grid(True, axis="y", linewidth=0.6)
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)
        plot(axes)
        if counted:
            axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))
        return inline(figure, name, transparent=True)


def inline(figure: Figure, name: str, **options: Any) -> str:
    """A figure as a bare SVG element: the page's fonts and colours, ids that begin with `name`.

    `options` are those of matplotlib's savefig.
    """
    for axes in figure.axes:
        _simplify(axes.xaxis)
        _simplify(axes.yaxis)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", **options)
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'^.*?<svg[^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">',
                 svg, flags=re.DOTALL)  # fmt: skip
    svg = re.sub(r"font-family: [^;]*?sans-serif; ?", "", svg)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg).replace("xlink:href", "href")
    svg = re.sub(r'\b(?:d|x|y|transform)="[^"]*"', _coarse, svg)
    for stand_in, variable in COLOURS.items():
        svg = svg.replace(stand_in, f"var(--{variable})")
    return re.sub(r"\s*\n\s*", " ", svg)


def _simplify(axis: Axis) -> None:
    """Log scales without mathtext, and over two decades without minor ticks: both are slow."""
    from matplotlib.ticker import LogFormatter, LogFormatterSciNotation, NullLocator

    if isinstance(axis.get_major_formatter(), LogFormatterSciNotation):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(LogFormatter(labelOnlyBase=False))
        low, high = axis.get_view_interval()
        if high > 100 * low:
            axis.set_minor_locator(NullLocator())


def _coarse(attribute: re.Match[str]) -> str:
    """Coordinates to a tenth of a point."""
    return re.sub(r"(\.\d)\d+", r"\1", attribute[0])


def legend(axes: Axes, columns: int = 3) -> None:
    """A legend above the plot, where it covers nothing."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, handlelength=1.6,
                    columnspacing=1.2, borderpad=0.2)  # fmt: skip
