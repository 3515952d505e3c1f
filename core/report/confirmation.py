"""What `gantune confirm` found: the best trials and the baseline again, with common seeds.

runs/<study>-confirm/confirm.json            who was tried, with which seeds, for how many epochs
runs/<study>-confirm/trial-<n>-seed-<s>/     a run; `baseline-seed-<s>` is the published baseline's
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.record import Study, read_json
from core.report.exam import ExamResult, read_exam
from core.report.paired import ROUNDING, Difference, Paired
from core.report.rows import Row, clean, read_rows
from core.report.wording import count, decimals, fixed, signed

SUFFIX = "-confirm"
BASELINE = "baseline"


def run_name(candidate: str, seed: int) -> str:
    """The folder of a run."""
    return f"{candidate}-seed-{seed}"


@dataclass(frozen=True)
class Confirmation:
    """Runs by candidate and seed. In `paired` a higher score is always the better one."""

    candidates: list[str]
    seeds: list[int]
    epochs: int
    unseen: bool
    maximize: bool
    runs: Mapping[str, Mapping[int, Row]]

    @cached_property
    def allowed(self) -> int:
        """How many guards a run may break: as many as the best-behaved candidate's worst run."""
        worst = [max((len(r.broken) for r in of.values()), default=0) for of in self.runs.values()]
        return min(worst, default=0)

    def failed(self, name: str) -> list[str]:
        """What went wrong with a candidate's runs, by seed."""
        told = []
        for seed, row in self.runs[name].items():
            if not row.completed:
                told.append(f"seed {seed} {row.outcome.replace('_', ' ')}")
            elif len(row.broken) > self.allowed:
                told.append(f"seed {seed} breaks {', '.join(row.broken)}")
        return told

    @cached_property
    def paired(self) -> Paired:
        """The scores of the candidates none of whose runs went wrong."""
        sign = 1 if self.maximize else -1
        return Paired({
            name: {seed: sign * row.score for seed, row in of.items() if row.score is not None}
            for name, of in self.runs.items()
            if of and not self.failed(name)
        })  # fmt: skip

    @property
    def exam(self) -> ExamResult | None:
        """The exam of the judge that scored the runs; None where it has sat none."""
        rows = (row for of in self.runs.values() for row in of.values())
        return next((exam for row in rows if (exam := read_exam(row.judge))), None)

    @property
    def order(self) -> list[str]:
        """The candidates, the best mean first; those without one last."""
        there = sorted(self.paired.names, key=self.paired.mean, reverse=True)
        return [*there, *(name for name in self.candidates if name not in there)]

    @property
    def winners(self) -> list[str]:
        """The best, and those that cannot be told apart from it."""
        return self.paired.winners

    def hopeless(self, confidence: float) -> list[str]:
        """Those but the baseline that are behind the best with this confidence, or went wrong."""
        told = Paired(self.paired.scores, confidence)
        behind = [n for n in told.names if n not in told.winners]
        wrong = [n for n in self.candidates if self.failed(n)]
        return [n for n in (*behind, *wrong) if n != BASELINE]

    def gain(self, name: str) -> Difference | None:
        """What a candidate gains over the baseline, where both have scores; above 0 is better."""
        there = self.paired.names
        if BASELINE not in there or name not in there or name == BASELINE:
            return None
        return self.paired.difference(name, BASELINE)

    @cached_property
    def places(self) -> int:
        """Decimals that the noise carries."""
        scores = decimals(r.score for of in self.runs.values() for r in of.values())
        return scores if self.paired.noise is None else carried(self.paired.noise, scores)

    def mean(self, name: str) -> float | None:
        """A candidate's mean score over the seeds, in the objective's own direction."""
        if name not in self.paired.names:
            return None
        return self.paired.mean(name) * (1 if self.maximize else -1)

    def shown(self, score: float | None) -> str:
        """A score with the decimals that the noise carries."""
        return fixed(score, self.places)

    def interval(self, difference: Difference | None) -> str:
        """`+0.12 (0.05 to 0.19)`."""
        if difference is None:
            return "–"
        low, high = (signed(x, self.places) for x in (difference.low, difference.high))
        value = signed(difference.value, self.places)
        return f"{value} ({low} to {high})" if self.paired.freedom else value


def carried(noise: float, places: int) -> int:
    """Decimals down to the noise's first digit, and no more than `places`."""
    if noise <= 0:
        return places
    first = next((p for p in range(places + 1) if noise >= 0.5 * 10**-p), places)
    return min(first, places)


def read_confirmation(study: Study, maximize: bool) -> Confirmation | None:
    """What was confirmed of a study; None where nothing was."""
    folder = study.folder.with_name(study.folder.name + SUFFIX)
    settings: dict[str, Any] = clean(read_json(folder / "confirm.json"))
    names, seeds = settings.get("candidates"), settings.get("seeds")
    if not isinstance(names, list) or not isinstance(seeds, list):
        return None
    rows = {row.record.folder.name: row for row in read_rows(Study(folder))}
    runs = {
        str(name): {s: rows[run_name(name, s)] for s in seeds if run_name(name, s) in rows}
        for name in names
    }
    if not any(runs.values()):
        return None
    epochs = settings.get("epochs")
    return Confirmation(
        candidates=list(map(str, names)),
        seeds=seeds,
        epochs=epochs if isinstance(epochs, int) else 0,
        unseen=bool(settings.get("unseen")),
        maximize=maximize,
        runs=runs,
    )


def conclusion(confirmation: Confirmation, floor: float | None = None) -> str:
    """What can be said, in a sentence or two.

    `floor`: the noise floor, where it was measured by the judge that scored these runs.
    """
    winners, c = confirmation.winners, confirmation
    if not winners:
        return "No configuration came to a score with every seed, so none is confirmed."
    lost = "" if BASELINE in c.paired.names else " The published baseline did not, with every seed."
    best = winners[0]
    if len(c.paired.names) == 1:
        return f"Only {named(best)} came to a score with every seed.{lost}"
    over = f"over {count(len(c.seeds), 'common seed')}"
    if not c.paired.freedom:
        return f"{named(best, True)} is ahead {over}, which says nothing: confirm with more seeds."
    alone = len(winners) == 1
    lead = f"{named(best, True)} wins" if alone else f"{_listed(winners)} cannot be told apart"
    if BASELINE in winners:
        gained = "" if best == BASELINE else " No gain over the baseline is shown."
        return f"{lead} {over}.{gained}"
    return f"{lead} {over}.{_gained(c, best, floor) or lost}"


def _gained(c: Confirmation, best: str, floor: float | None) -> str:
    """What the best gains over the baseline; '' where that came to no score."""
    gain = c.gain(best)
    if gain is None:
        return ""
    noise = c.paired.noise or 0.0
    worth = f"; {gain.value / noise:.1f} times one run's noise" if noise > ROUNDING else ""
    worth = f"; {gain.value / floor:.1f} noise floors" if floor else worth
    interval = f"{signed(gain.low, c.places)} to {signed(gain.high, c.places)}, 95 %"
    who = "It" if len(c.winners) == 1 else named(best, True)
    beats = f" {who} beats the baseline by {c.shown(gain.value)}"
    return f"{beats} ({interval}{worth})."


def named(name: str, first: bool = False) -> str:
    """`trial 3`, `the published baseline`."""
    text = "the published baseline"
    if name != BASELINE:
        number = name.removeprefix("trial-").lstrip("0") or "0"
        text = f"trial {number}"
    return text[0].upper() + text[1:] if first else text


def _listed(names: Sequence[str]) -> str:
    words = [named(name, i == 0) for i, name in enumerate(names)]
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
