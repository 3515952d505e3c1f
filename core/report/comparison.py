"""What the records of a comparison say: each task's search, its other seeds, its data, its cost.

runs/<name>/settings.json           what is compared, and how it was asked for
runs/<name>/cost-<task>.json        what a training step of the task costs
runs/<name>-<task>/                 the search, a study like any other
runs/<name>-<task>-seeds/seed-<s>/  its best trial again with another seed
runs/<name>-<task>-data/fraction-<f>/  and with less data
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from core.files import read_json
from core.record import Study
from core.replicates.stats import Paired, other_seeds
from core.report.cautions import ENOUGH_INPUTS
from core.report.confirmation import WRONG
from core.report.format import decimals, fixed, plain
from core.report.noise import interval
from core.report.optuna_plots import importances
from core.report.render import sentence, sentences
from core.report.rows import Row, clean, numbers, read_rows
from core.report.summary import CONDITIONS, Summary, summarize
from core.task import RUNTIME_FIELDS, OutcomeKind, UserError

NEAR = 0.1  # of the best score
COST = (
    "parameters", "parameters_output", "flops_train_image", "flops_translate_image", "step_ms",
    "items_per_second", "batch", "memory_bytes",
)  # fmt: skip
ALIKE = (CONDITIONS | {"size", "width", "batch_size", "data_fraction"}) - RUNTIME_FIELDS - {"seed"}


def study_name(name: str, task: str, step: str = "") -> str:
    """The study of one step of a comparison: '' is the search, or `seeds`, or `data`."""
    return "-".join(filter(None, (name, task, step)))


@dataclass(frozen=True)
class Entrant:
    """One task of a comparison.

    `runs` are its best trial and the repetitions with other seeds, however they ended, `demand`
    those with shares of the data; `importances` are the parameters' shares in the differences of
    score.
    """

    task: str
    summary: Summary
    runs: list[Row]
    demand: dict[float, Row]
    cost: dict[str, Any]
    importances: dict[str, float]

    @property
    def best(self) -> Row | None:
        """The best trial of the search; None where none came to a score."""
        return self.summary.best

    @property
    def broken(self) -> list[str]:
        """The guards that its best trial breaks, where no trial of the search keeps them all."""
        return self.best.broken if self.best else []

    @property
    def rows(self) -> list[Row]:
        """The trials of the search."""
        return self.summary.rows

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

    @cached_property
    def figures(self) -> dict[str, Any]:
        """Every figure of the task, unrounded, as in compare.csv; None where there is none.

        Shares are of the trials that ended, near the best one means within 10 % of its score.
        """
        best, cost, outcomes = self.best, numbers(self.cost), Counter(r.outcome for r in self.rows)
        scores, others, finals = map(self.scores, (self.runs, self.runs[1:], self.rows))
        seconds = [line.seconds for row in self.runs for line in row.epochs if line.seconds > 0]
        score = best.score if best else None
        ended = [r for r in self.rows if r.outcome in {"completed", "pruned", *WRONG}]
        near = [s for s in finals if score is not None and abs(s - score) <= NEAR * abs(score)]
        failed = [r for r in ended if r.outcome in WRONG or r.broken]
        pruned = [r for r in ended if r.outcome == OutcomeKind.PRUNED and not r.broken]
        few = len(finals) < 2
        quartiles = [None] * 3 if few else statistics.quantiles(finals, method="inclusive")

        def share(found: Sequence[Any]) -> float | None:
            return len(found) / len(ended) if ended else None

        return {
            "task": self.task,
            "best_score": score,
            "best_trial": best.record.folder.name if best else None,
            "seeds_mean": statistics.fmean(scores) if scores else None,
            "seeds_sd": statistics.stdev(scores) if len(scores) > 1 else None,
            "seeds_min": min(scores, default=None),
            "seeds_max": max(scores, default=None),
            "seeds_runs": len(scores),
            "seeds_failed": len(self.failed_runs),
            "other_seeds_mean": statistics.fmean(others) if others else None,
            "other_seeds_runs": len(others),
            **{name: cost.get(name) for name in COST},
            "memory_of": self.cost.get("memory_of"),
            "cost_failed": self.cost.get("failed"),
            "epoch_seconds": statistics.median(seconds) if seconds else None,
            "trials": len(self.rows),
            "trials_completed": outcomes[OutcomeKind.COMPLETED],
            "trials_pruned": outcomes[OutcomeKind.PRUNED],
            "trials_failed": sum(outcomes[outcome] for outcome in WRONG),
            **dict(zip(("quartile_1", "median", "quartile_3"), quartiles, strict=True)),
            "share_near_best": share(near),
            "share_failed_or_broken": share(failed),
            "share_pruned": share(pruned),
            "guards_broken": " ".join(self.broken),
            **{f"part_{name}": value for name, value in (best.parts if best else {}).items()},
            **{f"score_at_{f}": next(iter(self.scores([r])), None) for f, r in self.demand.items()},
        }


@dataclass(frozen=True)
class Comparison:
    """Tasks that share an objective, searched under the same budget; `config` is settings.json."""

    folder: Path
    config: dict[str, Any]
    objective: str
    maximize: bool
    entrants: list[Entrant]

    @cached_property
    def paired(self) -> Paired:
        """Each task's best trial, by seed; higher is better."""
        sign = 1 if self.maximize else -1
        return Paired({
            e.task: {r.params.get("seed"): sign * s for r in e.runs for s in e.scores([r])}
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
        return interval(self.paired.difference(self.scored[0].task, entrant.task), self.places)

    @cached_property
    def places(self) -> int:
        """Decimals to show scores with."""
        return decimals(s for e in self.entrants for s in e.scores([*e.rows, *e.runs]))

    def shown(self, score: float | None) -> str:
        """A score with the comparison's decimals."""
        return fixed(score, self.places)

    def spread(self, entrant: Entrant) -> str:
        """`0.610 ± 0.012` (no-break spaces), without a spread where there is one run."""
        deviation = entrant.figures["seeds_sd"]
        spread = "" if deviation is None else f"\u00a0±\u00a0{self.shown(deviation)}"
        return self.shown(entrant.figures["seeds_mean"]) + spread


def headline(comparison: Comparison) -> str:
    """What the comparison shows, in a sentence or two."""
    return sentence("comparison.txt.j2", {"c": comparison})


def cautions(comparison: Comparison) -> list[str]:
    """What to know before believing the headline, the gravest first."""
    bests = {e.task: e.best for e in comparison.entrants if e.best}
    searched = {name for e in comparison.entrants for name in e.summary.searched}
    evaluators = [{k: v for k, v in r.evaluator.items() if k != "seconds"} for r in bests.values()]
    conditions = {
        name: {task: plain(row.params[name]) for task, row in bests.items() if name in row.params}
        for name in sorted(ALIKE - searched)
    }
    context = {
        "c": comparison,
        "unlike": {name: v for name, v in conditions.items() if len(set(v.values())) > 1},
        "many_evaluators": any(evaluator != evaluators[0] for evaluator in evaluators),
        "weak": any(evaluator.get("weak") for evaluator in evaluators),
        "inputs": [row.parts["inputs"] for row in bests.values() if "inputs" in row.parts],
        "enough": ENOUGH_INPUTS,
        "notes": dict.fromkeys(n for row in bests.values() for n in row.about.get("notes") or []),
    }
    return sentences("comparison_cautions.txt.j2", context)


def read_comparison(runs: Path, name: str) -> Comparison:
    """Read a comparison's records; UserError where there is none of that name."""
    folder = runs / name
    config = clean(read_json(folder / "settings.json"))
    if not config.get("tasks"):
        raise UserError(f"{folder / 'settings.json'}: describes no comparison; `gantune compare`")
    entrants = [_entrant(folder, config, task) for task in config["tasks"]]
    goal = config["objective"]
    return Comparison(folder, config, goal["name"], goal["direction"] == "maximize", entrants)


def _entrant(folder: Path, config: dict[str, Any], task: str) -> Entrant:
    search = folder.with_name(study_name(folder.name, task))
    summary = summarize(Study(search, read_json(search / "study.json")))
    cost, best = clean(read_json(folder / f"cost-{task}.json")), summary.best
    if best is None:
        return Entrant(task, summary, [], {}, cost, {})

    def rows(step: str) -> dict[str, Row]:
        study = Study(folder.with_name(study_name(folder.name, task, step)))
        return {row.record.folder.name: row for row in read_rows(study) if row.task == task}

    seeds = list(other_seeds(best.params.get("seed", 0), config["seeds"]))
    shares = {f"fraction-{share}": share for share in config["data_fractions"]}
    repeats = [row for name, row in rows("seeds").items() if name in seeds]
    demand = {shares[name]: row for name, row in rows("data").items() if name in shares}
    demand |= {1.0: best} if shares else {}
    runs = [best, *repeats]
    return Entrant(task, summary, runs, dict(sorted(demand.items())), cost, importances(summary))
