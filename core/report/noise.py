"""Noise: how far apart scores are when only the seed differs, and numbers shown with it.

runs/<study>-noise/seed-<s>/    the baseline with another seed than the search's own trial 0
"""

from __future__ import annotations

import math

from core.record import Study
from core.replicates.stats import Difference, Noise
from core.report.format import signed
from core.report.rows import Row, read_rows

SUFFIX = "-noise"


def read_noise(study: Study, baseline: Row | None) -> Noise | None:
    """The noise floor of a study, from its baseline and the repetitions; None below two runs."""
    repeated = read_rows(Study(study.folder.with_name(study.folder.name + SUFFIX)))
    rows = [row for row in (baseline, *repeated) if row and row.completed]
    fewest = min((len(row.broken) for row in rows), default=0)
    scores = [r.score for r in rows if len(r.broken) == fewest and r.score is not None]
    return Noise(tuple(scores)) if repeated and len(scores) > 1 else None


def carried(noise: float, places: int) -> int:
    """Decimals down to the noise's first digit, and no more than `places`."""
    return next((p for p in range(places) if noise >= 0.5 * 10**-p), places)


def interval(difference: Difference | None, places: int) -> str:
    """`+0.12 (+0.05 to +0.19)`; a dash without a difference, its value alone without noise."""
    if difference is None:
        return "–"
    value, low, high = (signed(number, places) for number in difference)
    return f"{value} ({low} to {high})" if math.isfinite(difference.high) else value
