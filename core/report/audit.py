"""An audit: do trials of a few epochs rank configurations as long training does?

`gantune audit` trains some of a study's configurations again, for longer. The figures come from
the records of both: the short trials, and the long runs in runs/<study>-audit/trial-<n>/.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.files import read_json
from core.record import Study
from core.replicates.stats import Rho, configuration, shared_leaders, spearman
from core.report.drawing import BASELINE, BEST, MUTED, draw, legend
from core.report.ranking import Key, epoch_keys, final_key, leaders, ranks, trial_key, warm_up
from core.report.render import sentences as paragraphs
from core.report.rows import Row, read_rows
from core.report.summary import Summary
from core.task import OutcomeKind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Fewer make no order worth the name: of 4, one in 24 shuffles is the right one.
FEWEST = 4
# Fewer get no recommendation: of 6, one in 720 shuffles is the right one, and where an order is
# kept exactly the bootstrap sees no doubt at all.
ENOUGH = 6
# The lower end of rho's interval from which a budget is trusted.
TRUSTED = 0.5
# The median pruner leaves one part in so many of a trial alone (core.search.samplers).
LEFT_ALONE = 4
SHORT = (OutcomeKind.COMPLETED, OutcomeKind.PRUNED)
LONG = (OutcomeKind.COMPLETED, OutcomeKind.DIVERGED, OutcomeKind.COLLAPSED, OutcomeKind.FAILED)


@dataclass(frozen=True)
class Agreement:
    """How the order after `epochs` agrees with that at the end of the long runs.

    `kept` says how many of the leaders at the end lead already, `between` is its 95 % interval.
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
        """The fewest epochs whose rho is at least 0.5 at the lower end of its interval.

        For the study's own number of epochs the short trials themselves are the evidence. None
        where no budget is that sure, or the configurations are too few.
        """
        evidence = [self.trial if a.epochs == self.short else a for a in self.budgets]
        sure = [a for a in evidence if a.rho.low is not None and a.rho.low >= TRUSTED]
        return sure[0] if sure and len(self.configurations) >= ENOUGH else None

    @property
    def unpruned(self) -> int:
        """The epochs of a trial that the median pruner leaves alone by itself."""
        epochs = self.trusted.epochs if self.trusted else self.short
        return max(1, epochs // LEFT_ALONE)

    @property
    def flags(self) -> str:
        """The flags of `gantune tune` that follow from it; '' where none do.

        A median pruner that would stop trials before the warm-up is over is made to wait, or is
        turned off where no epoch is left after it.
        """
        if not self.trusted:
            return ""
        epochs, wait = self.trusted.epochs, self.warm_up
        if wait and wait <= self.unpruned:
            return f"--epochs {epochs}"
        pruner = f"median:{wait}" if wait and wait < epochs else "none"
        return f"--epochs {epochs} --pruner {pruner}"

    @cached_property
    def sentences(self) -> list[str]:
        """The verdict in words."""
        limits = {"enough": ENOUGH, "trusted": TRUSTED}
        return paragraphs("audit.txt.j2", {"a": self, **limits})

    @property
    def plot(self) -> str:
        """SVG of rho by epoch; '' where there is no rho."""
        agreements = (self.trial, *self.budgets)
        if all(agreement.rho.value is None for agreement in agreements):
            return ""
        return draw("audit", partial(_plot, audit=self))


def audit_folder(study: Path) -> Path:
    """The folder of the long runs of a study's audit."""
    return study.with_name(f"{study.name}-audit")


def run_name(row: Row) -> str:
    """The folder of a trial's long run."""
    return f"trial-{row.record.folder.name}"


def short_epochs(summary: Summary) -> int | None:
    """How many epochs the study's trials train: the best one's, or what most of them do."""
    if summary.best and summary.best.planned:
        return summary.best.planned
    planned = Counter(row.planned for row in summary.rows if row.planned)
    return max(planned, key=planned.__getitem__, default=None)


def scored(summary: Summary) -> list[Row]:
    """The trials that completed or were pruned, have a score and train as long as the others.

    The best one first (`ranking.trial_key`), ties by number.
    """
    epochs = short_epochs(summary)
    rows = [
        row
        for row in summary.rows
        if row.task == summary.task and row.outcome in SHORT and row.score is not None
        and row.planned == epochs
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (trial_key(row, summary.maximize), row.number, row.label))


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
    places = {configuration(row.params): i for i, row in enumerate(rows)}
    configs = max(len(kept), min(configs, len(rows)))
    chosen = [places[configuration(row.params)] for row in kept]
    for row in (summary.best, summary.baseline):
        place = places.get(configuration(row.params)) if row else None
        if place is not None and place not in chosen and len(chosen) < configs:
            chosen.append(place)
    targets = [i * (len(rows) - 1) / max(1, configs - 1) for i in range(configs)]
    for place in chosen:
        targets.remove(min(targets, key=lambda target: abs(target - place)))
    for target in targets:
        free = [i for i in range(len(rows)) if i not in chosen]
        chosen.append(min(free, key=lambda place: abs(place - target)))
    return sorted((rows[i] for i in chosen), key=lambda row: (row.number, row.label))


def read_audit(summary: Summary) -> Audit | None:
    """A study's audit; None where there is none, or fewer than 4 of its long runs have ended.

    Budgets are 1, 2, 4, 8 … epochs and the short trials' own, all below those of the long runs.
    """
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
    if len(pairs) < FEWEST:
        return None
    pairs.sort(key=lambda pair: (pair[0].number, pair[0].label))
    early = [trial_key(short, summary.maximize) for short, _ in pairs]
    late = [final_key(run, summary.maximize) for _, run in pairs]
    by_epoch = list(
        zip(*(epoch_keys(run, long, summary.maximize) for _, run in pairs), strict=True)
    )
    short, leading = pairs[0][0].planned or 0, leaders(late)
    budgets = sorted({2**i for i in range(long.bit_length())} | {short})
    return Audit(
        study=summary.study.name,
        short=short,
        long=long,
        configurations=tuple(row.label for row, _ in pairs),
        top=len(leading),
        trial=_agreement(short, early, late),
        budgets=tuple(_agreement(e, by_epoch[e - 1], late) for e in budgets if 0 < e < long),
        warm_up=warm_up(by_epoch, leading),
        drift=_drift(summary, [row for row, _ in pairs], ranks(early), ranks(late)),
        pruned=sum(row.outcome == OutcomeKind.PRUNED for row, _ in pairs),
        unscored=tuple(row.label for row, run in pairs if not run.completed),
        waiting=len(chosen) - len(pairs) if isinstance(chosen, list) else 0,
    )


def audit_json(audit: Audit) -> dict[str, Any]:
    """The figures and the recommendation, for programs."""
    trusted = audit.trusted.epochs if audit.trusted else None
    return {**asdict(audit), "trusted_epochs": trusted, "flags": audit.flags}


def sentences(audit: Audit) -> list[str]:
    """The verdict: how a trial ranks, what to do, and what wins early and loses late."""
    return audit.sentences


def caution(audit: Audit) -> str:
    """The audit in one sentence: rho between a short trial's score and the long run's."""
    return audit.sentences[0]


def _agreement(epochs: int, early: Sequence[Key], late: Sequence[Key]) -> Agreement:
    before, after = ranks(early), ranks(late)
    leading = leaders(late)
    kept, between = leaders(early) & leading, shared_leaders(before, after, len(leading))
    return Agreement(epochs, spearman(before, after), len(kept), between)


def _drift(
    summary: Summary, shorts: Sequence[Row], early: Sequence[float], late: Sequence[float]
) -> Drift | None:
    """The learning rate that goes most with ranks lost, where its interval excludes 0.

    Ranks lost are those at the end of the long run minus those of the short trial.
    """
    found = []
    for name in (name for name in summary.searched if name.startswith("lr")):
        pairs = [
            (float(value), late[i] - early[i])
            for i, row in enumerate(shorts)
            if isinstance(value := row.params.get(name), int | float)
        ]
        if len(pairs) >= ENOUGH and (rho := spearman(*zip(*pairs, strict=True))).value is not None:
            found.append(Drift(name, rho))
    best = max(found, key=lambda drift: abs(drift.rho.value or 0.0), default=None)
    return best if best and (best.rho.low or 0) * (best.rho.high or 0) > 0 else None


def _plot(axes: Axes, audit: Audit) -> None:
    """The long runs as a line with a band, the short trials as a mark with a bar."""
    points = [(a.epochs, a.rho.value, a.rho.low, a.rho.high) for a in audit.budgets
              if a.rho.value is not None]  # fmt: skip
    if points:
        xs, values, lows, highs = zip(*points, strict=True)
        axes.fill_between(xs, lows, highs, color=BEST, alpha=0.15, linewidth=0)
        axes.plot(xs, values, "o-", color=BEST, linewidth=1.8, markersize=4,
                  label="long run, so far")  # fmt: skip
    value, low, high = audit.trial.rho.value, audit.trial.rho.low, audit.trial.rho.high
    if value is not None and low is not None and high is not None:
        axes.errorbar([audit.short], [value], [[max(0.0, value - low)], [max(0.0, high - value)]],
                      color=BASELINE, fmt="D", markersize=5, capsize=3,
                      label="short trial itself")  # fmt: skip
    axes.axhline(TRUSTED, color=MUTED, linewidth=0.8, linestyle=":")
    axes.set(xlabel="epoch", ylabel="Spearman's rho", ylim=(-1.05, 1.05))
    legend(axes)
