"""The noise floor: how far apart the published baseline's scores are when only its seed differs.

runs/<study>-noise/seed-<s>/    the baseline with another seed than the search's own trial 0
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from functools import cached_property

from core.record import Study
from core.report.rows import Row, read_rows

SUFFIX = "-noise"
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Noise:
    """The baseline's final scores over seeds, two or more."""

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
        """How far above the mean the best of so many runs of the baseline itself may come.

        Student's one-sided 95 % prediction bound for a new run, with Bonferroni's correction for
        the number of runs; in units of the score.
        """
        from scipy.stats import t

        runs = len(self.scores)
        quantile = float(t.ppf(1 - (1 - CONFIDENCE) / max(1, trials), runs - 1))
        return quantile * self.floor * math.sqrt(1 + 1 / runs)


def read_noise(study: Study, baseline: Row | None) -> Noise | None:
    """The noise floor of a study, from its baseline and the repetitions; None below two runs."""
    again = read_rows(Study(study.folder.with_name(study.folder.name + SUFFIX)))
    rows = [row for row in (baseline, *again) if row and row.completed]
    fewest = min((len(row.broken) for row in rows), default=0)
    scores = [r.score for r in rows if len(r.broken) == fewest and r.score is not None]
    return Noise(tuple(scores)) if again and len(scores) > 1 else None
