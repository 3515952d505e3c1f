"""An audit in words: how far a trial's score can be trusted, and how long to train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.replicates.agreement import Rho
from core.report.audit import ENOUGH, LEFT_ALONE, TRUSTED, Agreement, Audit
from core.report.wording import count, fixed


@dataclass(frozen=True)
class Line:
    """A line of the table: which order it is, and how it agrees with the one at the end."""

    kind: str
    agreement: Agreement


@dataclass(frozen=True)
class Told:
    """What page and Markdown show of an audit: the verdict, the table, and what to know."""

    sentences: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    top: int


def told(audit: Audit) -> Told:
    """The audit as a reader sees it."""
    lines = [Line("the short trial itself", audit.trial)]
    lines += [Line("the long run, so far", budget) for budget in audit.budgets]
    return Told(tuple(sentences(audit)), tuple(lines), tuple(_notes(audit)), audit.top)


def caution(audit: Audit) -> str:
    """The audit in one sentence: rho between a short trial's score and the long run's."""
    short, n = count(audit.short, "epoch"), len(audit.configurations)
    if audit.trial.rho.value is None:
        return (
            f"A trial of {short} cannot be ranked beside one of {audit.long}: of the "
            f"{n} configurations none stands out."
        )
    return f"A trial of {short} ranks like one of {audit.long} with rho {_of(audit.trial.rho, n)}."


def sentences(audit: Audit) -> list[str]:
    """The verdict: how a trial ranks, what to do, and what wins early and loses late."""
    there = [caution(audit), _advice(audit), _pruning(audit), _drifting(audit)]
    return [sentence for sentence in there if sentence]


def interval(rho: Rho) -> str:
    """`0.35 to 0.92`; a dash where there is no rho."""
    return f"{fixed(rho.low, 2)} to {fixed(rho.high, 2)}" if rho.value is not None else "–"


def _of(rho: Rho, configurations: int) -> str:
    return f"{fixed(rho.value, 2)} ({interval(rho)}, {configurations} configurations)"


def _advice(audit: Audit) -> str:
    n = len(audit.configurations)
    if n < ENOUGH:
        return (
            f"With {n} configurations an order may be kept by luck, so no budget is recommended: "
            f"it takes {ENOUGH}."
        )
    if best := audit.trusted:
        seen = "as the trials had" if best.epochs == audit.short else "by the long runs so far"
        rho = f"rho {_of(best.rho, n)}"
        return f"Use {audit.flags}: the fewest epochs to be trusted, {seen}, with {rho}."
    return (
        f"None of these budgets can be trusted: no interval lies above {TRUSTED}; with {n} "
        "configurations the interval is wide."
    )


def _pruning(audit: Audit) -> str:
    """From where on a pruner is right, and whether the median pruner waits for it."""
    if audit.warm_up is None:
        return ""
    leaders = f"the top {audit.top}"
    if audit.warm_up <= 1:
        return f"From the first epoch on {leaders} are never in the worse half: a pruner may evaluator."
    said = f"Only from epoch {audit.warm_up} on are {leaders} never in the worse half"
    epochs = audit.trusted.epochs if audit.trusted else audit.short
    alone = max(1, epochs // LEFT_ALONE)
    if audit.warm_up <= alone:
        return f"{said}: no pruner should evaluator before it, and the median pruner does not."
    return f"{said}; left to itself the median pruner evaluators from epoch {alone} of {epochs} on."


def _drifting(audit: Audit) -> str:
    drift = audit.drift
    if drift is None:
        return ""
    which = "High" if (drift.rho.value or 0) > 0 else "Low"
    return (
        f"{which} values of {drift.parameter} win early and lose late: rho "
        f"{fixed(drift.rho.value, 2)} ({interval(drift.rho)}) with the ranks lost."
    )


def _notes(audit: Audit) -> list[str]:
    """What the table means, and what it cannot say."""
    notes = [
        "Two kinds of short. A trial that was to train for few epochs has run its whole schedule "
        "by then: where a task decays its learning rates, they have decayed. In the long run, at "
        "the same epoch, they have not decayed yet.",
        "Rho is Spearman's, between the order then and the order at the end of the long run: 1 is "
        "the same order, 0 none, −1 the reverse; with its 95 % bootstrap interval over the "
        "configurations, which has no width where an order is kept exactly. Kept: how many "
        "of the best at the end lead already, with its interval by the same bootstrap.",
        "One run a configuration, with the study's seed in both: luck that both share counts as "
        "agreement. The configurations are spread over all ranks; among the best alone, ranks "
        "agree less.",
    ]
    if audit.pruned:
        notes.append(
            f"{count(audit.pruned, 'short trial')} {_was(audit.pruned)} pruned: ranked below "
            f"those that completed, by how far {'it' if audit.pruned == 1 else 'they'} got."
        )
    if audit.unscored:
        notes.append(
            f"No final score in the long run: trial {_listed(audit.unscored)}. Diverged, "
            "collapsed and failed runs rank last."
        )
    if audit.waiting > 0:
        notes.append(
            f"{count(audit.waiting, 'long run')} {_was(audit.waiting)} left out: not at an end, "
            f"or out of memory. `gantune audit {audit.study}` goes on with them."
        )
    return notes


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
