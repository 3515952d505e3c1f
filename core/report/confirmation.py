"""What `gantune confirm` found: the best trials and the baseline again, with common seeds.

runs/<study>-confirm/confirm.json            who was tried, with which seeds, for how many epochs
runs/<study>-confirm/trial-<n>-seed-<s>/     a run; `baseline-seed-<s>` is the published baseline's
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from core.record import Study, read_json
from core.report.exam import ExamResult, read_exam
from core.report.paired import Difference, Paired
from core.report.rows import Row, clean, mapping, read_rows
from core.report.wording import count, decimals, fixed, signed
from core.task import Outcome

SUFFIX = "-confirm"
BASELINE = "baseline"
RACE = 0.95  # with this probability nobody as good as the best drops out on the way
WRONG = (Outcome.DIVERGED, Outcome.COLLAPSED, Outcome.FAILED, Outcome.OUT_OF_MEMORY)


def candidate(row: Row) -> str:
    """The name of a trial that is trained again."""
    return f"trial-{row.record.folder.name}"


def run_name(name: str, seed: int) -> str:
    """The folder of a candidate's run."""
    return f"{name}-seed-{seed}"


@dataclass(frozen=True)
class Confirmation:
    """Runs by candidate and seed. In `paired` a higher score is always the better one.

    `same`: further trials of the study, each with the candidate that it is but for the seed.
    `labels`: what a report calls the candidates.
    """

    candidates: list[str]
    same: Mapping[str, str]
    seeds: list[int]
    epochs: int
    unseen: bool
    maximize: bool
    runs: Mapping[str, Mapping[int, Row]]
    labels: Mapping[str, str]

    def named(self, name: str, first: bool = False) -> str:
        """`trial 3`, `the published baseline`; `first` in a sentence."""
        label = self.labels.get(name, name.removeprefix("trial-"))
        told = "the published baseline" if name == BASELINE else f"trial {label}"
        return told[0].upper() + told[1:] if first else told

    @cached_property
    def allowed(self) -> int:
        """How many guards a run may break: as many as the best-behaved candidate's worst run.

        Candidates that have come to a score with every seed set the standard, where there are any.
        """
        there = [[row for row in of.values() if row.completed] for of in self.runs.values()]
        most = max(map(len, there), default=0)
        worst = [max(len(row.broken) for row in of) for of in there if 0 < len(of) == most]
        return min(worst, default=0)

    def failed(self, name: str) -> list[str]:
        """What went wrong with a candidate's runs, by seed."""
        told = []
        for seed, row in self.runs[name].items():
            if row.outcome in WRONG:
                told.append(f"seed {seed} {row.outcome.replace('_', ' ')}")
            elif row.completed and len(row.broken) > self.allowed:
                told.append(f"seed {seed} breaks {', '.join(row.broken)}")
        return told

    @cached_property
    def paired(self) -> Paired:
        """The scores of the candidates none of whose runs went wrong."""
        sign = 1 if self.maximize else -1
        scores = {
            name: {s: sign * r.score for s, r in of.items() if r.completed and r.score is not None}
            for name, of in self.runs.items()
            if not self.failed(name)
        }
        return Paired({name: of for name, of in scores.items() if of})

    def dropouts(self, done: int) -> dict[str, str]:
        """Who drops out of the race after so many seeds or fewer, and why.

        After two seeds, and after each further one but the last, those leave that are surely behind
        the best or went wrong; the baseline stays. With a run that is not at its end nothing is
        decided yet.
        """
        out: dict[str, str] = {}
        stages = len(self.seeds) - 2
        for seeds in range(2, min(done, stages + 1) + 1):
            stage = self._stage([n for n in self.candidates if n not in out], self.seeds[:seeds])
            if stage._unended(stage.candidates):
                break
            out |= stage._hopeless(1 - (1 - RACE) / stages)
        return out

    @cached_property
    def dropped(self) -> dict[str, str]:
        """Who has dropped out so far, and why."""
        return self.dropouts(len(self.seeds))

    @property
    def waiting(self) -> int:
        """How many runs are not at their end, of candidates that have not dropped out."""
        return self._unended([name for name in self.candidates if name not in self.dropped])

    def _stage(self, names: list[str], seeds: list[int]) -> Confirmation:
        runs = {n: {s: r for s, r in self.runs[n].items() if s in seeds} for n in names}
        return replace(self, candidates=names, seeds=seeds, runs=runs)

    def _unended(self, names: Sequence[str]) -> int:
        ended = sum(
            row.completed or row.outcome in WRONG for n in names for row in self.runs[n].values()
        )
        return len(names) * len(self.seeds) - ended

    def _hopeless(self, confidence: float) -> dict[str, str]:
        """Those but the baseline that are behind the best with this confidence, or went wrong."""
        told = Paired(self.paired.scores, confidence)
        winners, seeds = told.winners(), count(len(self.seeds), "seed")
        found = {name: f"behind with {seeds}" for name in told.names if name not in winners}
        found |= {n: ", ".join(wrong) for n in self.candidates if (wrong := self.failed(n))}
        return {name: why for name, why in found.items() if name != BASELINE}

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

    @cached_property
    def winners(self) -> list[str]:
        """The best, those that cannot be told apart from it, and what is the same as one of them.

        Who has dropped out was told apart on the way.
        """
        found = self.paired.winners(self.dropped)
        return found + [name for name, twin in self.same.items() if twin in found]

    @property
    def common(self) -> int:
        """How many seeds all of the winners have a score with."""
        there = [set(self.paired.scores[n]) for n in self.winners if n in self.paired.scores]
        return len(set.intersection(*there)) if there else 0

    def standing(self, name: str) -> str:
        """Whether a candidate is in the winner set, or why it is not."""
        name = self.same.get(name, name)
        if name in self.winners:
            return "yes"
        return self.dropped.get(name) or ", ".join(self.failed(name)) or "no"

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


def read_confirmation(
    study: Study, maximize: bool, labels: Mapping[str, str]
) -> Confirmation | None:
    """What was confirmed of a study whose trials have these labels; None where nothing was."""
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
    same = {k: str(v) for k, v in mapping(settings.get("same")).items()}
    return Confirmation(
        candidates=list(map(str, names)),
        same=same,
        seeds=seeds,
        epochs=epochs if isinstance(epochs, int) else 0,
        unseen=bool(settings.get("unseen")),
        maximize=maximize,
        runs=runs,
        labels=labels,
    )
