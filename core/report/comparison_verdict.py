"""A comparison in words: what can be said of the tasks, and what to know before believing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.report.comparison import Comparison, Entrant
from core.report.rows import Row
from core.report.summary import CONDITIONS
from core.report.verdict import ENOUGH_INPUTS
from core.report.wording import count, plain
from core.task import RUNTIME_FIELDS

FEW_TRIALS, FEW_SEEDS = 30, 5
ALIKE = CONDITIONS | {"size", "width", "batch_size", "data_fraction"}
UNLIKE_BY_DESIGN = RUNTIME_FIELDS | {"seed"}


@dataclass(frozen=True)
class Standing:
    """The tasks by mean score; `tied` cannot be told apart from the first, which leads it.

    There is a winner when nothing ties with the first one, and it stands on more than one run.
    """

    order: list[Entrant]
    tied: list[Entrant]
    doubt: str = ""

    @property
    def winner(self) -> Entrant | None:
        """The task that scores best, where one can be named."""
        alone = len(self.tied) == 1 and len(self.order) > 1 and not self.doubt
        return self.tied[0] if alone else None


def standing(comparison: Comparison) -> Standing:
    """Rank the tasks, and say who overlaps with the first."""
    order = comparison.scored
    if not order:
        return Standing([], [])
    first = order[0]
    tied = [e for e in order if e is first or _overlap(first, e, comparison.maximize)]
    doubt = ""
    if first.failed_runs:
        failed = f"{len(first.failed_runs)} of its {count(len(first.runs), 'run')}"
        doubt = f"{failed} came to no score, so it cannot be called the best"
    elif any(len(e.runs) < 2 for e in order):
        doubt = "one run each cannot tell a difference from luck"
    return Standing(order, tied, doubt)


def _overlap(better: Entrant, worse: Entrant, maximize: bool) -> bool:
    """Whether the seeds' ranges meet, with as many guards broken."""
    if len(worse.broken) > len(better.broken):
        return False
    if maximize:
        return max(worse.scores) >= min(better.scores)
    return min(worse.scores) <= max(better.scores)


def headline(comparison: Comparison) -> str:
    """What can be said, in a sentence or two."""
    stand = standing(comparison)
    order, lower = stand.order, "" if comparison.maximize else " (lower is better)"
    if not order:
        return "No trial of any task completed, so nothing can be compared."
    unscored = "".join(map(_unscored, [e for e in comparison.entrants if e not in order]))
    first = order[0]
    if len(order) == 1:
        only = f"Only {first.task} came to a score: {_told(comparison, first)}{lower}"
        return f"{only}; nothing compares with it.{unscored}"
    if stand.doubt:
        told = f"{first.task} has the best mean, {_told(comparison, first)}{lower}; {stand.doubt}."
        return told + unscored
    if len(stand.tied) > 1:
        each = [f"{e.task} {_told(comparison, e)}" for e in stand.tied]
        told = f"{_listed([e.task for e in stand.tied])} cannot be told apart: {_listed(each)}"
        rest = [e for e in order if e not in stand.tied]
        behind = [f"{e.task} {_told(comparison, e)}" for e in rest]
        after = f" Behind: {_listed(behind)}." if rest else ""
        return f"{told}{lower}; their seeds' ranges overlap.{after}{unscored}"
    second = order[1]
    told = f"{first.task} scores best: {_told(comparison, first)}{lower}; "
    return f"{told}{second.task} comes next with {_told(comparison, second)}.{unscored}"


def _unscored(entrant: Entrant) -> str:
    return f" No trial of {entrant.task} completed."


def _told(comparison: Comparison, entrant: Entrant) -> str:
    """`0.610 ± 0.012 over 3 seeds`."""
    return f"{comparison.spread(entrant)} over {count(len(entrant.scores), 'seed')}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def cautions(comparison: Comparison) -> list[str]:
    """What to know before believing the headline, the gravest first."""
    notes = [
        f"No trial of {e.task} kept every guard; its best breaks {', '.join(e.broken)}, so "
        "that its scores say little."
        for e in comparison.entrants
        if e.broken
    ]
    if unlike := _unlike(comparison):
        notes.append(f"The best trials were not trained alike: {'; '.join(unlike)}.")
    notes += _of_judging(comparison)
    notes += _of_seeds(comparison)
    notes += _of_budget(comparison)
    if any(len(e.demand) > 1 for e in comparison.entrants):
        notes.append("Data demand is one run a fraction, on the search's seed: read the trend.")
    notes.append(
        "Times and memory are of one machine and of whatever else it did meanwhile; FLOPs and "
        "parameters are the model's own."
    )
    told = [e.best.about.get("notes") for e in comparison.entrants if e.best]
    notes += dict.fromkeys(str(n) for some in told if isinstance(some, list) for n in some)
    return notes


def _bests(comparison: Comparison) -> dict[str, Row]:
    return {e.task: e.best for e in comparison.entrants if e.best}


def _unlike(comparison: Comparison) -> list[str]:
    """Conditions that were not searched, and differ between the best trials."""
    bests = _bests(comparison)
    searched = {n for e in comparison.entrants if e.summary for n in e.summary.searched}
    told = []
    for name in sorted(ALIKE - UNLIKE_BY_DESIGN - searched):
        values: dict[str, Any] = {t: r.params[name] for t, r in bests.items() if name in r.params}
        if len({plain(v) for v in values.values()}) > 1:
            told.append(f"{name} " + ", ".join(f"{plain(v)} ({t})" for t, v in values.items()))
    return told


def _of_judging(comparison: Comparison) -> list[str]:
    bests = list(_bests(comparison).values())
    notes = []
    evaluators = [{k: v for k, v in row.evaluator.items() if k != "seconds"} for row in bests]
    if any(evaluator != evaluators[0] for evaluator in evaluators):
        notes.append(
            "The tasks were scored by different evaluators, so their scores compare badly."
        )
    if any(row.evaluator.get("weak") for row in bests):
        notes.append("The evaluator is weak: on held-out images it is hardly better than guessing.")
    inputs = [row.parts["inputs"] for row in bests if "inputs" in row.parts]
    if inputs and min(inputs) < ENOUGH_INPUTS:
        notes.append(
            f"Judged on {min(inputs):.0f} validation inputs, fewer than {ENOUGH_INPUTS}: one odd "
            "picture moves the score."
        )
    return notes


def _of_seeds(comparison: Comparison) -> list[str]:
    notes = []
    if comparison.seeds < 2:
        notes.append("One seed a task: nothing here tells a difference from luck.")
    else:
        notes.append(
            "The search picked each best trial on one seed, which flatters that run: the mean over "
            "the other seeds is the unbiased figure."
        )
        if comparison.seeds < FEW_SEEDS:
            notes.append(f"{comparison.seeds} seeds show a narrower range than there is.")
    for entrant in comparison.entrants:
        if entrant.failed_runs:
            ends = [f"{row.label} {_end(row)}" for row in entrant.failed_runs]
            notes.append(
                f"{entrant.task}: {count(len(ends), 'run')} with another seed came to no score "
                f"that counts and is left out of the mean: {', '.join(ends)}."
            )
    return notes


def _end(row: Row) -> str:
    return f"breaks {', '.join(row.broken)}" if row.broken else row.outcome.replace("_", " ")


def _of_budget(comparison: Comparison) -> list[str]:
    there = [(len(e.ended), len(e.summary.searched)) for e in comparison.entrants if e.summary]
    if not there or min(trials for trials, _ in there) >= FEW_TRIALS:
        return []
    trials, parameters = (_range(numbers) for numbers in zip(*there, strict=True))
    return [
        f"Searches of {trials} trials look into a corner of spaces of {parameters} parameters: "
        "with more, another task may come out best."
    ]


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
