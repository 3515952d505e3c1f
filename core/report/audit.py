"""An audit: do trials of a few epochs rank configurations as long training does?

`gantune audit` trains some of a study's configurations again, for longer. All here reads the
records of both: the short trials, and the long runs in `<study>-audit/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.files import read_json
from core.record import Study
from core.replicates.agreement import Rho, shared_leaders, spearman
from core.report.audit_choice import scored
from core.report.rows import Row, read_rows
from core.report.standing import Standing, curve, final, leaders, of_trial, ranks, warm_up
from core.report.summary import Summary
from core.task import OutcomeKind

# Fewer make no order worth the name: of 4, one in 24 shuffles is the right one.
FEWEST = 4
# Fewer get no recommendation: of 6, one in 720 shuffles is the right one, and where an order is
# kept exactly the bootstrap sees no doubt at all.
ENOUGH = 6
# The lower end of rho's interval from which a budget is trusted.
TRUSTED = 0.5
# The median pruner leaves one part in so many of a trial alone (core.search.samplers).
LEFT_ALONE = 4

LONG = (OutcomeKind.COMPLETED, OutcomeKind.DIVERGED, OutcomeKind.COLLAPSED, OutcomeKind.FAILED)


@dataclass(frozen=True)
class Agreement:
    """How an early order agrees with that at the end of the long runs.

    `epochs` is its budget; `kept` says how many of the leaders at the end lead already, and
    `between` what chance leaves open of that.
    """

    epochs: int
    rho: Rho
    kept: int
    between: tuple[int, int]


@dataclass(frozen=True)
class Drift:
    """A learning rate, and rho between its value and the ranks that a configuration loses.

    Above 0, high values win early and lose late; below 0, low ones do.
    """

    parameter: str
    rho: Rho


@dataclass(frozen=True)
class Audit:
    """What the long runs say of the short trials. `top` is how many leaders are followed.

    `trial` is the agreement of the short trials themselves, `budgets` that of the long runs so far.
    `warm_up` is the first epoch from which none of the leaders at the end is in the worse half.
    `unscored` are the configurations whose long run came to no final score, and count as the worst;
    `waiting` is how many long runs have not come to an end that counts.
    """

    study: str
    short: int
    long: int
    configurations: tuple[str, ...]
    top: int
    trial: Agreement
    budgets: tuple[Agreement, ...]
    warm_up: int | None
    drift: Drift | None
    pruned: int
    unscored: tuple[str, ...]
    waiting: int

    @property
    def trusted(self) -> Agreement | None:
        """The fewest epochs whose rho is at least 0.5 at the lower end of its interval.

        Of the study's own number of epochs the short trials themselves are the evidence. None
        where no budget is that sure, or the configurations are too few to tell.
        """
        if len(self.configurations) < ENOUGH:
            return None
        evidence = [self.trial if a.epochs == self.short else a for a in self.budgets]
        sure = (a for a in evidence if a.rho.low is not None and a.rho.low >= TRUSTED)
        return next(sure, None)

    @property
    def flags(self) -> str:
        """The flags of `gantune tune` that follow from it; '' where none do.

        Where the median pruner would evaluator before the warm-up is over, it is told to wait for it,
        or turned off where there is nothing left to evaluator then.
        """
        if not self.trusted:
            return ""
        epochs = self.trusted.epochs
        if self.warm_up and self.warm_up <= max(1, epochs // LEFT_ALONE):
            return f"--epochs {epochs}"
        waits = f"median:{self.warm_up}" if self.warm_up and self.warm_up < epochs else "none"
        return f"--epochs {epochs} --pruner {waits}"


def audit_folder(study: Path) -> Path:
    """Where the long runs of a study's audit lie."""
    return study.with_name(f"{study.name}-audit")


def run_name(row: Row) -> str:
    """The folder of a trial's long run."""
    return f"trial-{row.record.folder.name}"


def read_audit(summary: Summary) -> Audit | None:
    """A study's audit; None where there is none, or too few of its long runs have ended."""
    folder = audit_folder(summary.study.folder)
    about = read_json(folder / "study.json")
    long, chosen = about.get("epochs"), about.get("trials")
    if about.get("audited") != summary.study.name or not isinstance(long, int):
        return None
    shorts = {run_name(row): row for row in scored(summary)}
    pairs = [
        (shorts[run.record.folder.name], run)
        for run in read_rows(Study(folder, about))
        if run.record.folder.name in shorts and run.planned == long and run.outcome in LONG
    ]
    waiting = len(chosen) - len(pairs) if isinstance(chosen, list) else 0
    return assess(summary, pairs, long, waiting) if len(pairs) >= FEWEST else None


def assess(
    summary: Summary, pairs: Sequence[tuple[Row, Row]], long: int, waiting: int = 0
) -> Audit:
    """The figures of short trials, each with its run of `long` epochs.

    Budgets are 1, 2, 4, 8 … epochs and the short trials' own, below `long`, where rho is 1.
    """
    maximize = summary.maximize
    pairs = sorted(pairs, key=lambda pair: (pair[0].number, pair[0].label))
    early = [of_trial(short, maximize) for short, _ in pairs]
    ends = [final(run, maximize) for _, run in pairs]
    curves = list(zip(*(curve(run, long, maximize) for _, run in pairs), strict=True))
    first = leaders(ends)
    short = pairs[0][0].planned or 0
    epochs = sorted({2**i for i in range(long.bit_length())} | {short})
    return Audit(
        study=summary.study.name,
        short=short,
        long=long,
        configurations=tuple(row.label for row, _ in pairs),
        top=len(first),
        trial=_agreement(short, early, ends),
        budgets=tuple(_agreement(e, curves[e - 1], ends) for e in epochs if 0 < e < long),
        warm_up=warm_up(curves, first),
        drift=_drift(summary, [row for row, _ in pairs], ranks(early), ranks(ends)),
        pruned=sum(row.outcome == OutcomeKind.PRUNED for row, _ in pairs),
        unscored=tuple(row.label for row, run in pairs if not run.completed),
        waiting=waiting,
    )


def audit_json(audit: Audit) -> dict[str, Any]:
    """The figures and the recommendation, for programs."""
    trusted = audit.trusted.epochs if audit.trusted else None
    return {**asdict(audit), "trusted_epochs": trusted, "flags": audit.flags}


def _agreement(epochs: int, early: Sequence[Standing], ends: Sequence[Standing]) -> Agreement:
    last, then, now = leaders(ends), ranks(early), ranks(ends)
    kept = len(leaders(early) & last)
    return Agreement(epochs, spearman(then, now), kept, shared_leaders(then, now, len(last)))


def _drift(
    summary: Summary, shorts: Sequence[Row], early: Sequence[float], late: Sequence[float]
) -> Drift | None:
    """The learning rate that goes most with ranks lost, where its interval excludes 0.

    Ranks lost are those at the end of the long run minus those of the short trial.
    """
    found = []
    for name in (name for name in summary.searched if name.startswith("lr")):
        values = [row.params.get(name) for row in shorts]
        there = [
            (float(value), late[i] - early[i])
            for i, value in enumerate(values)
            if isinstance(value, int | float)
        ]
        if len(there) >= ENOUGH:
            rates, lost = zip(*there, strict=True)
            found.append(Drift(name, spearman(rates, lost)))
    found.sort(key=lambda drift: -abs(drift.rho.value or 0.0))
    return found[0] if found and found[0].rho.certain else None
