"""An audit: do trials of a few epochs rank configurations as long training does?

`gantune audit` trains some of a study's configurations again, for longer. The figures come from
the records of both: the short trials, and the long runs in runs/<study>-audit/trial-<n>/.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from core.files import read_json
from core.record import Study
from core.replicates.stats import Rho, configuration, spearman
from core.report.confirmation import candidate
from core.report.drawing import BASELINE, BEST, MUTED, draw, legend
from core.report.ranking import Key, epoch_keys, final_key, leaders, ranks, warm_up
from core.report.render import sentences
from core.report.rows import Row, read_rows
from core.report.summary import Summary
from core.task import OutcomeKind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIX = "-audit"
FEWEST = 4  # configurations of an audit: one in 24 shuffles of 4 is the right order
ENOUGH = 6  # for a recommendation: one in 720 of 6; the bootstrap doubts no order that is kept
TRUSTED = 0.5  # from this lower end of rho's interval
LEFT_ALONE = 4  # one part in so many of a trial, by the median pruner (core.search.samplers)
SHORT = (OutcomeKind.COMPLETED, OutcomeKind.PRUNED)
LONG = (OutcomeKind.COMPLETED, OutcomeKind.DIVERGED, OutcomeKind.COLLAPSED, OutcomeKind.FAILED)


@dataclass(frozen=True)
class Agreement:
    """The orders after `epochs` and at the end; `kept` of the end's leaders lead already."""

    epochs: int
    rho: Rho | None  # None where one of the orders is all ties
    kept: int


@dataclass(frozen=True)
class Drift:
    """A learning rate; above 0 its high values win early and lose late, below 0 its low ones do."""

    parameter: str
    rho: Rho


@dataclass(frozen=True)
class Audit:
    """What the long runs say of the short trials. `top` is how many leaders are followed.

    `trial` is the agreement of the short trials themselves, `budgets` that of the long runs so far.
    `warm_up` is the first epoch from which none of the leaders at the end is in the worse half.
    `unscored` are the configurations whose long run has no final score, and count as the worst;
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
        """The fewest epochs with 0.5 or more at the lower end of rho's interval, of 6 or more.

        For the study's own number of epochs the short trials themselves are the evidence.
        """
        evidence = [self.trial if a.epochs == self.short else a for a in self.budgets]
        sure = (a for a in evidence if a.rho and a.rho.low >= TRUSTED)
        return next(sure, None) if len(self.configurations) >= ENOUGH else None

    @property
    def unpruned(self) -> int:
        """The epochs of a trial that the median pruner leaves alone by itself."""
        epochs = self.trusted.epochs if self.trusted else self.short
        return max(1, epochs // LEFT_ALONE)

    @property
    def flags(self) -> str:
        """The flags of `gantune tune` that follow from it; no pruner stops before the warm-up."""
        if not self.trusted:
            return ""
        epochs, wait = self.trusted.epochs, self.warm_up
        if wait and wait <= self.unpruned:
            return f"--epochs {epochs}"
        pruner = f"median:{wait}" if wait and wait < epochs else "none"
        return f"--epochs {epochs} --pruner {pruner}"

    @cached_property
    def sentences(self) -> list[str]:
        """The verdict: how a trial ranks, what to do, and what wins early and loses late."""
        return sentences("audit.txt.j2", {"a": self, "enough": ENOUGH, "trusted": TRUSTED})

    @property
    def plot(self) -> str:
        """SVG of rho by epoch; '' where there is no rho."""
        known = any(agreement.rho for agreement in (self.trial, *self.budgets))
        return draw("audit", self._plot) if known else ""

    def _plot(self, axes: Axes) -> None:
        for agreements, style, color, label in (
            (self.budgets, "o-", BEST, "long run, so far"),
            ((self.trial,), "D", BASELINE, "short trial itself"),
        ):
            points = [(a.epochs, *astuple(a.rho)) for a in agreements if a.rho]
            if points:
                epochs, values, lows, highs = zip(*points, strict=True)
                axes.plot(epochs, values, style, color=color, markersize=5, label=label)
                axes.vlines(epochs, lows, highs, color=color)
        axes.axhline(TRUSTED, color=MUTED, linewidth=0.8, linestyle=":")
        axes.set(xlabel="epoch", ylabel="Spearman's rho", ylim=(-1.05, 1.05))
        legend(axes)


def short_epochs(summary: Summary) -> int | None:
    """How many epochs the study's trials train, the best one above all."""
    rows = (summary.best, *summary.rows)
    return next((row.planned for row in rows if row and row.planned), None)


def scored(summary: Summary) -> list[Row]:
    """The trials with a score that completed or were pruned and train alike, the best first."""
    epochs = short_epochs(summary)
    rows = [row for row in summary.rows if row.task == summary.task and row.outcome in SHORT]
    rows = [row for row in rows if row.score is not None and row.planned == epochs]
    return sorted(rows, key=lambda row: final_key(row, summary.maximize))


def eligible(summary: Summary, kept: Sequence[Row] = ()) -> list[Row]:
    """The same, each configuration once: the trial that was kept, or the best one."""
    found: dict[str, Row] = {}
    for row in scored(summary):
        found.setdefault(configuration(row.params), row)
    return list((found | {configuration(row.params): row for row in kept}).values())


def choose(summary: Summary, configs: int, kept: Sequence[Row] = ()) -> list[Row]:
    """At most `configs` of the eligible trials, spread evenly over their ranks, by number.

    Those `kept` from before stay; then the best trial and the baseline, where they fit in.
    """
    rows = eligible(summary, kept)
    ranked = {configuration(row.params): i for i, row in enumerate(rows)}
    wanted = [configuration(row.params) for row in (*kept, summary.best, summary.baseline) if row]
    places = list(dict.fromkeys(ranked[key] for key in wanted if key in ranked))
    configs = max(len(set(wanted[: len(kept)])), min(configs, len(rows)))
    del places[configs:]
    targets = [i * (len(rows) - 1) / (configs - 1) for i in range(configs)]
    for place in places:
        targets.remove(min(targets, key=lambda target: abs(target - place)))
    for target in targets:
        free = [i for i in range(len(rows)) if i not in places]
        places.append(min(free, key=lambda place: abs(place - target)))
    return sorted((rows[i] for i in places), key=lambda row: row.number)


def read_audit(summary: Summary) -> Audit | None:
    """A study's audit; None where there is none, or fewer than 4 of its long runs have ended.

    Budgets are 1, 2, 4, 8 … epochs and the short trials' own, all below those of the long runs.
    """
    folder = summary.study.folder.with_name(summary.study.folder.name + SUFFIX)
    about = read_json(folder / "study.json")
    if about.get("audited") != summary.study.name:
        return None
    shorts = {candidate(row): row for row in scored(summary)}
    pairs = [
        (shorts[run.record.folder.name], run)
        for run in read_rows(Study(folder))
        if run.record.folder.name in shorts and run.outcome in LONG
    ]
    if len(pairs) < FEWEST:
        return None
    pairs.sort(key=lambda pair: pair[0].number)
    maximize, long, short = summary.maximize, int(about["epochs"]), pairs[0][0].planned or 0
    early = [final_key(row, maximize) for row, _ in pairs]
    late = [final_key(run, maximize) for _, run in pairs]
    by_epoch = list(zip(*(epoch_keys(run, long, maximize) for _, run in pairs), strict=True))
    budgets = sorted({2**i for i in range(long.bit_length())} | {short})
    return Audit(
        study=summary.study.name,
        short=short,
        long=long,
        configurations=tuple(row.label for row, _ in pairs),
        top=len(leaders(late)),
        trial=_agreement(short, early, late),
        budgets=tuple(_agreement(e, by_epoch[e - 1], late) for e in budgets if e < long),
        warm_up=warm_up(by_epoch, leaders(late)),
        drift=_drift(summary, [row for row, _ in pairs], early, late),
        pruned=sum(row.outcome == OutcomeKind.PRUNED for row, _ in pairs),
        unscored=tuple(row.label for row, run in pairs if not run.completed),
        waiting=len(about["trials"]) - len(pairs),
    )


def audit_json(audit: Audit) -> dict[str, Any]:
    """The figures and the recommendation, for programs."""
    trusted = audit.trusted.epochs if audit.trusted else None
    return {**asdict(audit), "trusted_epochs": trusted, "flags": audit.flags}


def _agreement(epochs: int, early: Sequence[Key], late: Sequence[Key]) -> Agreement:
    rho = spearman(ranks(early), ranks(late))
    return Agreement(epochs, rho, len(leaders(early) & leaders(late)))


def _drift(
    summary: Summary, shorts: Sequence[Row], early: Sequence[Key], late: Sequence[Key]
) -> Drift | None:
    """The learning rate that goes most with ranks lost in the long run, if its rho is not 0."""
    lost = [end - start for start, end in zip(ranks(early), ranks(late), strict=True)]
    found = []
    for name in summary.searched if len(shorts) >= ENOUGH else ():
        values = [row.params.get(name) for row in shorts]
        rates = [value for value in values if isinstance(value, int | float)]
        if name.startswith("lr") and len(rates) == len(lost):
            rho = spearman(rates, lost)
            found += [Drift(name, rho)] if rho and rho.low * rho.high > 0 else []
    return max(found, key=lambda drift: abs(drift.rho.value), default=None)
