"""What the records of a comparison say: each task's search, its other seeds, its data, its cost.

runs/<name>/settings.json           what is compared, and how it was asked for
runs/<name>/cost-<task>.json        what a training step of the task costs
runs/<name>-<task>/                 the search, a study like any other
runs/<name>-<task>-seeds/seed-<s>/  its best trial again with another seed
runs/<name>-<task>-data/fraction-<f>/  and with less data
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from core.files import read_json
from core.record import Study
from core.replicates.stats import Paired
from core.report.cautions import ENOUGH_INPUTS
from core.report.format import decimals, fixed, plain
from core.report.noise import interval
from core.report.optuna_plots import importances
from core.report.render import sentence, sentences
from core.report.rows import Row, clean, mapping, numbers, read_rows
from core.report.summary import CONDITIONS, Summary, summarize
from core.task import RUNTIME_FIELDS, OutcomeKind, UserError

NEAR = 0.1  # of the best score
FAILED = (
    OutcomeKind.DIVERGED,
    OutcomeKind.COLLAPSED,
    OutcomeKind.OUT_OF_MEMORY,
    OutcomeKind.FAILED,
)
ENDED = (OutcomeKind.COMPLETED, OutcomeKind.PRUNED, *FAILED)
ALIKE = (CONDITIONS | {"size", "width", "batch_size", "data_fraction"}) - RUNTIME_FIELDS - {"seed"}


def study_name(name: str, task: str, step: str = "") -> str:
    """The study of one step of a comparison: '' is the search, or `seeds`, or `data`."""
    return "-".join(filter(None, (name, task, step)))


def seeds_of(first: int, number: int) -> list[int]:
    """The seeds of so many runs, the search's own first."""
    return [(first + i) % 2**31 for i in range(number)]


@dataclass(frozen=True)
class Entrant:
    """One task of a comparison; `repeats` are its best trial's runs with other seeds."""

    task: str
    summary: Summary | None
    repeats: tuple[Row, ...]
    demand: dict[float, Row]
    cost: dict[str, Any]

    @property
    def best(self) -> Row | None:
        """The best trial of the search; None where none came to a score."""
        return self.summary.best if self.summary else None

    @property
    def broken(self) -> list[str]:
        """The guards that its best trial breaks, where no trial of the search keeps them all."""
        return self.best.broken if self.best else []

    @property
    def rows(self) -> list[Row]:
        """The trials of the search."""
        return self.summary.rows if self.summary else []

    @property
    def runs(self) -> list[Row]:
        """The best trial and its repetitions with other seeds, however they ended."""
        return [self.best, *self.repeats] if self.best else []

    def usable(self, row: Row) -> bool:
        """Whether its score may be compared: completed, no guard broken but the best trial's."""
        return row.completed and set(row.broken) <= set(self.broken)

    def scores(self, rows: Sequence[Row]) -> list[float]:
        """The scores of those rows that may be compared."""
        return [row.score for row in rows if self.usable(row) and row.score is not None]

    @property
    def failed_runs(self) -> list[Row]:
        """The runs that came to no score, or broke a guard."""
        return [row for row in self.runs if not self.usable(row)]

    @property
    def mean(self) -> float | None:
        """The mean score over all seeds."""
        return _mean(self.scores(self.runs))

    @property
    def other_mean(self) -> float | None:
        """The mean over the seeds that the search did not see: unbiased."""
        return _mean(self.scores(self.repeats))

    @property
    def deviation(self) -> float | None:
        """The sample standard deviation over all seeds, where there are two."""
        scores = self.scores(self.runs)
        return statistics.stdev(scores) if len(scores) > 1 else None

    @property
    def ended(self) -> list[Row]:
        """The trials of the search that came to an end of their own."""
        return [row for row in self.rows if row.outcome in ENDED]

    @property
    def ends(self) -> dict[str, int]:
        """How many trials of the search completed, were pruned, failed, or did not end."""
        found = Counter(row.outcome for row in self.rows)
        return {
            "completed": found[OutcomeKind.COMPLETED],
            "pruned": found[OutcomeKind.PRUNED],
            "failed": sum(found[outcome] for outcome in FAILED),
            "unfinished": len(self.rows) - len(self.ended),
        }

    @property
    def quartiles(self) -> tuple[float, float, float] | None:
        """Of the final scores of the search that may be compared, where there are two."""
        finals = self.scores(self.rows)
        if len(finals) < 2:
            return None
        low, middle, high = statistics.quantiles(finals, n=4, method="inclusive")
        return low, middle, high

    @property
    def shares(self) -> dict[str, float | None]:
        """Of the ended trials: near the best score (10 %), failed or guard broken, pruned."""
        rows, best = self.ended, self.best.score if self.best else None
        close = math.nan if best is None else NEAR * abs(best)
        found = {
            "near_best": sum(abs(s - (best or 0.0)) <= close for s in self.scores(rows)),
            "failed_or_broken": sum(r.outcome in FAILED or bool(r.broken) for r in rows),
            "pruned": sum(r.outcome == OutcomeKind.PRUNED and not r.broken for r in rows),
        }
        return {name: number / len(rows) if rows else None for name, number in found.items()}

    @property
    def epoch_seconds(self) -> float | None:
        """The median time of an epoch of the best trial and its repetitions, scoring included."""
        seconds = [line.seconds for row in self.runs for line in row.epochs if line.seconds > 0]
        return statistics.median(seconds) if seconds else None

    @cached_property
    def importances(self) -> dict[str, float]:
        """The share that each parameter has in the search's differences of score."""
        return importances(self.summary) if self.summary else {}


@dataclass(frozen=True)
class Comparison:
    """Tasks that share an objective, searched under the same budget."""

    folder: Path
    config: dict[str, Any]
    entrants: list[Entrant]

    @property
    def name(self) -> str:
        """The comparison's name is its folder's."""
        return self.folder.name

    @property
    def objective(self) -> str:
        """What all were searched for."""
        return str(mapping(self.config.get("objective")).get("name") or "score")

    @property
    def maximize(self) -> bool:
        """Whether a higher score is better."""
        return mapping(self.config.get("objective")).get("direction") != "minimize"

    @property
    def seeds(self) -> int:
        """How many seeds each best trial was to be run with."""
        return int(numbers(self.config).get("seeds", 1))

    @cached_property
    def paired(self) -> Paired:
        """Each task's best trial, by seed; higher is better."""
        sign = 1 if self.maximize else -1
        return Paired({
            e.task: {row.params.get("seed"): sign * row.score for row in e.runs
                     if e.usable(row) and row.score is not None}
            for e in self.entrants
        })  # fmt: skip

    @cached_property
    def scored(self) -> list[Entrant]:
        """The tasks with a score: the fewest guards broken first, then the best mean."""
        found = [e for e in self.entrants if e.task in self.paired.names]
        return sorted(found, key=lambda e: (len(e.broken), -self.paired.mean(e.task)))

    @cached_property
    def winners(self) -> list[str]:
        """The winner set among the tasks that break the fewest guards."""
        fewest = min((len(e.broken) for e in self.scored), default=0)
        return self.paired.winners([e.task for e in self.scored if len(e.broken) > fewest])

    @property
    def single(self) -> bool:
        """Whether a task was run with one seed alone, which tells nothing."""
        return any(len(e.runs) < 2 for e in self.scored)

    @property
    def winner(self) -> str | None:
        """The task that scores best, where it is alone, and none of its runs went wrong."""
        known = len(self.scored) > 1 and not self.single and not self.scored[0].failed_runs
        return self.winners[0] if known and len(self.winners) == 1 else None

    def behind(self, entrant: Entrant) -> str:
        """By how much the first task is better, with the interval over common seeds."""
        if entrant not in self.scored[1:]:
            return ""
        difference = self.paired.difference(self.scored[0].task, entrant.task)
        return interval(difference, self.places)

    @cached_property
    def places(self) -> int:
        """Decimals to show scores with."""
        return decimals(s for e in self.entrants for s in e.scores([*e.rows, *e.repeats]))

    def shown(self, score: float | None) -> str:
        """A score with the comparison's decimals."""
        return fixed(score, self.places)

    def spread(self, entrant: Entrant) -> str:
        """`0.610 ± 0.012` (no-break spaces), without a spread where there is one run."""
        deviation = entrant.deviation
        spread = "" if deviation is None else f"\u00a0±\u00a0{self.shown(deviation)}"
        return f"{self.shown(entrant.mean)}{spread}"


def headline(comparison: Comparison) -> str:
    """What the comparison shows, in a sentence or two."""
    return sentence("comparison.txt.j2", {"c": comparison})


def cautions(comparison: Comparison) -> list[str]:
    """What to know before believing the headline, the gravest first."""
    bests = {e.task: e.best for e in comparison.entrants if e.best}
    evaluators = [{k: v for k, v in r.evaluator.items() if k != "seconds"} for r in bests.values()]
    searches = [(len(e.ended), len(e.summary.searched)) for e in comparison.entrants if e.summary]
    inputs = min((r.parts["inputs"] for r in bests.values() if "inputs" in r.parts), default=None)
    notes = [row.about.get("notes") for row in bests.values()]
    context = {
        "c": comparison,
        "unlike": _unlike(comparison, bests),
        "many_evaluators": any(evaluator != evaluators[0] for evaluator in evaluators),
        "weak": any(row.evaluator.get("weak") for row in bests.values()),
        "few_inputs": inputs if inputs is not None and inputs < ENOUGH_INPUTS else None,
        "searches": list(zip(*searches, strict=True)),
        "notes": list(
            dict.fromkeys(
                " ".join(str(n).split()) for some in notes if isinstance(some, list) for n in some
            )
        ),
    }
    return sentences("comparison_cautions.txt.j2", context)


def _unlike(comparison: Comparison, bests: dict[str, Row]) -> dict[str, dict[str, Any]]:
    """Conditions that were not searched, and differ between the best trials: values by task."""
    searched = {n for e in comparison.entrants if e.summary for n in e.summary.searched}
    found = {}
    for name in sorted(ALIKE - searched):
        values = {task: r.params[name] for task, r in bests.items() if name in r.params}
        if len(set(map(plain, values.values()))) > 1:
            found[name] = values
    return found


def _mean(scores: Sequence[float]) -> float | None:
    return statistics.fmean(scores) if scores else None


def read_comparison(runs: Path, name: str) -> Comparison:
    """Read a comparison's records; UserError where there is none of that name."""
    folder = runs / name
    config = clean(read_json(folder / "settings.json"))
    tasks = config.get("tasks")
    if not isinstance(tasks, list) or not tasks:
        raise UserError(f"{folder / 'settings.json'}: describes no comparison; `gantune compare`")
    comparison = Comparison(folder, config, [])
    return Comparison(folder, config, [_entrant(runs, comparison, str(task)) for task in tasks])


def _entrant(runs: Path, comparison: Comparison, task: str) -> Entrant:
    name, fractions = comparison.name, comparison.config.get("data_fractions")
    folder = runs / study_name(name, task)
    study = Study(folder, read_json(folder / "study.json"))
    summary = summarize(study) if study.records() else None
    cost = clean(read_json(comparison.folder / f"cost-{task}.json"))
    best = summary.best if summary else None
    if best is None:
        return Entrant(task, summary, (), {}, cost)
    seeds = seeds_of(int(numbers(best.params).get("seed", 0)), comparison.seeds)[1:]
    repeats = _rows(runs / study_name(name, task, "seeds"), task)
    demand = _rows(runs / study_name(name, task, "data"), task)
    shares = (
        {f: demand.get(f"fraction-{f}") for f in fractions} if isinstance(fractions, list) else {}
    )
    if shares:
        shares[1.0] = best
    return Entrant(
        task,
        summary,
        tuple(repeats[f"seed-{s}"] for s in seeds if f"seed-{s}" in repeats),
        {share: row for share, row in sorted(shares.items()) if row},
        cost,
    )


def _rows(study: Path, task: str) -> dict[str, Row]:
    """The trials of the task in a study, by their folders."""
    return {row.record.folder.name: row for row in read_rows(Study(study)) if row.task == task}
