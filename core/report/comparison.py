"""What the records of a comparison say: each task's search, its other seeds, its data, its cost.

runs/<name>/settings.json           what is compared, and how it was asked for
runs/<name>/cost-<task>.json        what a training step of the task costs
runs/<name>-<task>/                 the search, a study like any other
runs/<name>-<task>-seeds/seed-<s>/  its best trial again with another seed
runs/<name>-<task>-data/fraction-<f>/  and with less data
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from core.files import read_json
from core.record import Study
from core.report.importance import Importance, importance
from core.report.rows import Row, clean, mapping, numbers, read_rows
from core.report.summary import Summary, summarize
from core.report.wording import decimals, fixed
from core.task import OutcomeKind, UserError

NEAR = 0.1
BROKE = (OutcomeKind.DIVERGED, OutcomeKind.COLLAPSED, OutcomeKind.OUT_OF_MEMORY, OutcomeKind.FAILED)


def study_name(name: str, task: str, step: str = "") -> str:
    """The study of one step of a comparison: '' is the search, or `seeds`, or `data`."""
    return "-".join(filter(None, (name, task, step)))


def seeds_of(first: int, number: int) -> list[int]:
    """The seeds of so many runs, the search's own first."""
    return [(first + i) % 2**31 for i in range(number)]


@dataclass(frozen=True)
class Entrant:
    """One task of a comparison; `best` is None where no trial of its search came to a score."""

    task: str
    summary: Summary | None
    again: tuple[Row, ...]
    demand: dict[float, Row]
    cost: dict[str, Any]

    @property
    def best(self) -> Row | None:
        """The best trial of the search."""
        return self.summary.best if self.summary else None

    @property
    def broken(self) -> list[str]:
        """The guards that its best trial breaks, where no trial of the search keeps them all."""
        return self.best.broken if self.best else []

    def usable(self, row: Row) -> bool:
        """Whether its score may be compared: completed, no guard broken but the best trial's."""
        return row.completed and set(row.broken) <= set(self.broken)

    @property
    def rows(self) -> list[Row]:
        """The trials of the search."""
        return self.summary.rows if self.summary else []

    @property
    def runs(self) -> list[Row]:
        """The best trial and its repetitions with other seeds, however they ended."""
        return [self.best, *self.again] if self.best else []

    @property
    def good(self) -> list[Row]:
        """The runs whose scores may be compared."""
        return [row for row in self.runs if self.usable(row)]

    @property
    def failed_runs(self) -> list[Row]:
        """The runs that came to no score, or broke a guard."""
        return [row for row in self.runs if not self.usable(row)]

    @cached_property
    def scores(self) -> list[float]:
        """Final scores over seeds, the search's own first."""
        return [row.score for row in self.good if row.score is not None]

    @cached_property
    def other_scores(self) -> list[float]:
        """The same without the seed the search picked the best on."""
        return [row.score for row in self.again if self.usable(row) and row.score is not None]

    @property
    def mean(self) -> float | None:
        """The mean score over all seeds."""
        return statistics.fmean(self.scores) if self.scores else None

    @property
    def other_mean(self) -> float | None:
        """The mean over the seeds that the search did not see: unbiased."""
        return statistics.fmean(self.other_scores) if self.other_scores else None

    @property
    def deviation(self) -> float | None:
        """The sample standard deviation over all seeds, where there are two."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else None

    @property
    def ended(self) -> list[Row]:
        """The trials of the search that came to an end of their own."""
        ends = (OutcomeKind.COMPLETED, OutcomeKind.PRUNED, *BROKE)
        return [row for row in self.rows if row.outcome in ends]

    def count(self, *outcomes: OutcomeKind) -> int:
        """How many trials of the search ended so."""
        return sum(row.outcome in outcomes for row in self.rows)

    @property
    def finals(self) -> list[float]:
        """The final scores of the search's trials that may be compared, in order of trial."""
        return [row.score for row in self.rows if self.usable(row) and row.score is not None]

    @property
    def quartiles(self) -> tuple[float, float, float] | None:
        """Of the final scores, where there are two."""
        if len(self.finals) < 2:
            return None
        low, middle, high = statistics.quantiles(self.finals, n=4, method="inclusive")
        return low, middle, high

    def _share(self, number: int) -> float | None:
        return number / len(self.ended) if self.ended else None

    @property
    def near(self) -> float | None:
        """The share of ended trials whose score is within 10 % of the best one's."""
        if self.best is None or self.best.score is None:
            return self._share(0)
        best = self.best.score
        return self._share(sum(abs(s - best) <= NEAR * abs(best) for s in self.finals))

    @property
    def broke(self) -> float | None:
        """The share of ended trials that went wrong or broke a guard."""
        return self._share(sum(row.outcome in BROKE or bool(row.broken) for row in self.ended))

    @property
    def pruned(self) -> float | None:
        """The share of ended trials that were stopped early, their guards kept so far."""
        stopped = [r for r in self.ended if r.outcome == OutcomeKind.PRUNED and not r.broken]
        return self._share(len(stopped))

    @property
    def epoch_seconds(self) -> float | None:
        """The median time of an epoch of the best trial and its repetitions, scoring included."""
        seconds = [line.seconds for row in self.runs for line in row.epochs if line.seconds > 0]
        return statistics.median(seconds) if seconds else None

    @cached_property
    def importance(self) -> Importance:
        """Which of its parameters moved the score."""
        return importance(self.summary) if self.summary else Importance(missing="No trial ran.")


@dataclass(frozen=True)
class Comparison:
    """Tasks that share an objective, searched under the same budget."""

    folder: Path
    settings: dict[str, Any]
    entrants: list[Entrant]

    @property
    def name(self) -> str:
        """The comparison's name is its folder's."""
        return self.folder.name

    @property
    def objective(self) -> str:
        """What all were searched for."""
        return str(mapping(self.settings.get("objective")).get("name") or "score")

    @property
    def maximize(self) -> bool:
        """Whether a higher score is better."""
        return mapping(self.settings.get("objective")).get("direction") != "minimize"

    @property
    def seeds(self) -> int:
        """How many seeds each best trial was to be run with."""
        return int(numbers(self.settings).get("seeds", 1))

    @property
    def scored(self) -> list[Entrant]:
        """The tasks with a best trial: the fewest guards broken first, then the best mean."""
        there = [(e.mean, e) for e in self.entrants if e.mean is not None]
        there.sort(key=lambda p: p[0], reverse=self.maximize)
        return [e for _, e in sorted(there, key=lambda p: len(p[1].broken))]

    @cached_property
    def places(self) -> int:
        """Decimals to show scores with."""
        return decimals(score for e in self.entrants for score in (*e.finals, *e.scores))

    def shown(self, score: float | None) -> str:
        """A score with the comparison's decimals."""
        return fixed(score, self.places)

    def spread(self, entrant: Entrant) -> str:
        """`0.610 ± 0.012` (no-break spaces), without a spread where there is one run."""
        deviation = entrant.deviation
        spread = "" if deviation is None else f"\u00a0±\u00a0{self.shown(deviation)}"
        return f"{self.shown(entrant.mean)}{spread}"


def read_comparison(runs: Path, name: str) -> Comparison:
    """Read a comparison's records; UserError where there is none of that name."""
    folder = runs / name
    settings = clean(read_json(folder / "settings.json"))
    tasks = settings.get("tasks")
    if not isinstance(tasks, list) or not tasks:
        raise UserError(f"{folder / 'settings.json'}: says of no comparison; `gantune compare`")
    comparison = Comparison(folder, settings, [])
    entrants = [_entrant(runs, comparison, str(task)) for task in tasks]
    return Comparison(folder, settings, entrants)


def _entrant(runs: Path, comparison: Comparison, task: str) -> Entrant:
    name, settings = comparison.name, comparison.settings
    folder = runs / study_name(name, task)
    study = Study(folder, read_json(folder / "study.json"))
    summary = summarize(study) if study.records() else None
    best = summary.best if summary else None
    cost = clean(read_json(comparison.folder / f"cost-{task}.json"))
    if best is None:
        return Entrant(task, summary, (), {}, cost)
    first = numbers(best.params).get("seed", 0)
    others = [f"seed-{s}" for s in seeds_of(int(first), comparison.seeds)[1:]]
    again = _rows(runs, study_name(name, task, "seeds"), task, others)
    fractions = {f"fraction-{f}": f for f in _fractions(settings)}
    less = _rows(runs, study_name(name, task, "data"), task, list(fractions))
    demand = {fractions[row.record.folder.name]: row for row in less}
    if fractions:
        demand[1.0] = best
    return Entrant(task, summary, tuple(again), dict(sorted(demand.items())), cost)


def _fractions(settings: dict[str, Any]) -> list[float]:
    asked = settings.get("data_fractions")
    there = asked if isinstance(asked, list) else []
    return [f for f in there if isinstance(f, float)]


def _rows(runs: Path, study: str, task: str, folders: Sequence[str]) -> list[Row]:
    """The records of these folders that are trials of the task, in this order."""
    rows = {row.record.folder.name: row for row in read_rows(Study(runs / study))}
    return [rows[f] for f in folders if f in rows and rows[f].task == task]
