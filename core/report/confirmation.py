"""What `gantune confirm` found: the best trials and the baseline again, with common seeds.

runs/<study>-confirm/confirm.json            who was tried, with which seeds, for how many epochs
runs/<study>-confirm/trial-<n>-seed-<s>/     a run; `baseline-seed-<s>` is the published baseline's
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.files import read_json
from core.record import Study
from core.replicates.stats import Difference, Paired
from core.report.block import BASELINE, Block, at_its_end
from core.report.exam import ExamResult, read_exam
from core.report.rows import Row, clean, mapping, read_rows
from core.report.wording import decimals, fixed, signed

SUFFIX = "-confirm"
RACE = 0.95  # with this probability nobody as good as the best drops out on the way


def candidate(row: Row) -> str:
    """The name of a trial that is trained again."""
    return f"trial-{row.record.folder.name}"


def run_name(name: str, seed: int) -> str:
    """The folder of a candidate's run."""
    return f"{name}-seed-{seed}"


@dataclass(frozen=True)
class Confirmation:
    """Runs by candidate and seed. In `paired` a higher score is always the better one.

    `same`: further trials of the study, each with the candidate whose configuration it has.
    `labels`: what a report calls the candidates.
    """

    candidates: list[str]
    same: Mapping[str, str]
    seeds: list[int]
    epochs: int
    holdout: bool
    maximize: bool
    runs: Mapping[str, Mapping[int, Row]]
    labels: Mapping[str, str]

    def named(self, name: str, first: bool = False) -> str:
        """`trial 3`, `the published baseline`; `first` in a sentence."""
        label = self.labels.get(name, name.removeprefix("trial-"))
        told = "the published baseline" if name == BASELINE else f"trial {label}"
        return told[0].upper() + told[1:] if first else told

    def dropouts(self, done: int) -> dict[str, str]:
        """Who drops out of the race after so many seeds or fewer, and why.

        After two seeds, and after each further one but the last, those leave that are surely behind
        the best or went wrong; the baseline stays. With a run that is not at its end nothing is
        decided yet.
        """
        out: dict[str, str] = {}
        stages = len(self.seeds) - 2
        for number in range(2, min(done, stages + 1) + 1):
            there = [name for name in self.candidates if name not in out]
            if self._left(there, seeds := self.seeds[:number]):
                break
            out |= self._block(there, seeds).hopeless(1 - (1 - RACE) / stages)
        return out

    @cached_property
    def dropped(self) -> dict[str, str]:
        """Who has dropped out so far, and why."""
        return self.dropouts(len(self.seeds))

    @cached_property
    def waiting(self) -> int:
        """How many runs are not at their end, of candidates that have not dropped out."""
        return self._left(self._there, self.seeds)

    @cached_property
    def common(self) -> list[int]:
        """The seeds that all candidates but those that have dropped out have been run with."""
        return [seed for seed in self.seeds if not self._left(self._there, [seed])]

    @cached_property
    def block(self) -> Block:
        """The runs with common seeds, on which all rests that is said."""
        return self._block(self.candidates, self.common)

    @property
    def paired(self) -> Paired:
        """The scores of the candidates none of whose runs went wrong."""
        return self.block.paired

    @property
    def _there(self) -> list[str]:
        return [name for name in self.candidates if name not in self.dropped]

    def _block(self, names: Sequence[str], seeds: Sequence[int]) -> Block:
        runs = {
            name: {s: row for s, row in self.runs[name].items() if s in seeds and at_its_end(row)}
            for name in names
        }
        return Block(runs, self.maximize)

    def _left(self, names: Sequence[str], seeds: Sequence[int]) -> int:
        return sum(not at_its_end(self.runs[name].get(s)) for name in names for s in seeds)

    @property
    def exam(self) -> ExamResult | None:
        """The exam of the evaluator that scored the runs; None where it has sat none."""
        rows = (row for of in self.runs.values() for row in of.values())
        return next((exam for row in rows if (exam := read_exam(row.evaluator))), None)

    @property
    def order(self) -> list[str]:
        """The candidates, the best mean first; those without one last."""
        there = sorted(self.paired.names, key=self.paired.mean, reverse=True)
        return [*there, *(name for name in self.candidates if name not in there)]

    @cached_property
    def winners(self) -> list[str]:
        """The best, and those that cannot be told apart from it; who dropped out was told apart."""
        return self.paired.winners(self.dropped)

    @property
    def winning_trials(self) -> list[str]:
        """The winners, and the trials that have a winner's configuration."""
        twins = [name for name, twin in self.same.items() if twin in self.winners]
        return [*self.winners, *twins]

    def standing(self, name: str) -> str:
        """Whether a candidate, or what is the same, is in the winner set, or why it is not."""
        name = self.same.get(name, name)
        if name in self.winners:
            return "yes"
        return self.dropped.get(name) or ", ".join(self.block.failed(name)) or "no"

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
        holdout=bool(settings.get("holdout")),
        maximize=maximize,
        runs=runs,
        labels=labels,
    )
