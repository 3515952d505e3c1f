"""What `gantune confirm` found: the best trials and the baseline again, with common seeds.

runs/<study>-confirm/confirm.json            the candidates, the seeds, the epochs of each run
runs/<study>-confirm/trial-<n>-seed-<s>/     a run; `baseline-seed-<s>` is the published baseline's
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.files import read_json
from core.record import Study
from core.replicates.stats import Difference, Paired, Race, Run
from core.report.evaluator import ExamResult, read_exam
from core.report.format import decimals, fixed, listed
from core.report.noise import carried, interval
from core.report.render import sentence
from core.report.rows import Row, clean, mapping, read_rows
from core.task import OutcomeKind

SUFFIX, BASELINE = "-confirm", "baseline"
WRONG = (OutcomeKind.DIVERGED, OutcomeKind.COLLAPSED, OutcomeKind.FAILED, OutcomeKind.OUT_OF_MEMORY)


def candidate(row: Row) -> str:
    """The name of a trial that is trained again."""
    return f"trial-{row.record.folder.name}"


def run_name(name: str, seed: int) -> str:
    """The folder of a candidate's run."""
    return f"{name}-seed-{seed}"


@dataclass(frozen=True)
class Confirmation:
    """Runs by candidate and seed; higher scores are better in `paired` and in `gain` alone.

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

    def label(self, name: str, first: bool = False) -> str:
        """`trial 3`, `the published baseline`; with a capital where it is `first` in a sentence."""
        trial = f"trial {self.labels.get(name, name.removeprefix('trial-'))}"
        text = "the published baseline" if name == BASELINE else trial
        return text[0].upper() + text[1:] if first else text

    def listed(self, names: Sequence[str]) -> str:
        """`Trial 3, trial 4 and the published baseline`."""
        return listed([self.label(name, i == 0) for i, name in enumerate(names)])

    @cached_property
    def race(self) -> Race:
        """The runs that have come to a score, or gone wrong for good."""
        runs = {
            name: {
                seed: Run(row.outcome, row.score if row.completed else None, row.broken)
                for seed, row in self.runs[name].items()
                if row.completed or row.outcome in WRONG
            }
            for name in self.candidates
        }
        return Race(runs, self.maximize)

    def dropouts(self, done: int) -> dict[str, str]:
        """The candidates that drop out of the race after at most `done` seeds, and why."""
        return self.race.dropouts(self.seeds, done, BASELINE)

    @cached_property
    def dropped(self) -> dict[str, str]:
        """The candidates that have dropped out so far, and why."""
        return self.dropouts(len(self.seeds))

    def _missing(self, seeds: Sequence[int]) -> int:
        racing = [name for name in self.candidates if name not in self.dropped]
        return self.race.narrowed(racing, seeds).missing(seeds)

    @cached_property
    def waiting(self) -> int:
        """How many runs have not ended, of candidates that have not dropped out."""
        return self._missing(self.seeds)

    @cached_property
    def common(self) -> list[int]:
        """The seeds that all candidates but those that have dropped out have been run with."""
        return [seed for seed in self.seeds if not self._missing([seed])]

    @cached_property
    def counted(self) -> Race:
        """The runs with common seeds, on which every conclusion rests."""
        return self.race.narrowed(self.candidates, self.common)

    @property
    def paired(self) -> Paired:
        """The scores of the candidates none of whose runs went wrong."""
        return self.counted.paired

    @property
    def exam(self) -> ExamResult | None:
        """The exam of the evaluator that scored the runs; None where it has taken none."""
        rows = (row for runs in self.runs.values() for row in runs.values())
        return next((exam for row in rows if (exam := read_exam(row.evaluator))), None)

    @property
    def order(self) -> list[str]:
        """The candidates, the best mean first; those without one last."""
        ranked = sorted(self.paired.names, key=self.paired.mean, reverse=True)
        return [*ranked, *(name for name in self.candidates if name not in ranked)]

    @cached_property
    def winners(self) -> list[str]:
        """The winner set, the best mean first; nothing that has dropped out is in it."""
        return self.paired.winners(self.dropped)

    @property
    def winning_trials(self) -> list[str]:
        """The winners, and the trials that have a winner's configuration."""
        return [*self.winners, *(name for name, twin in self.same.items() if twin in self.winners)]

    def status(self, name: str) -> str:
        """Whether a candidate, or the one it equals, is in the winner set, or why it is not."""
        name = self.same.get(name, name)
        if name in self.winners:
            return "yes"
        return self.dropped.get(name) or ", ".join(self.counted.failures(name)) or "no"

    def shown_gain(self, name: str) -> str:
        """`+0.12 (+0.05 to +0.19)`."""
        return interval(self.gain(name), self.places)

    def gain(self, name: str) -> Difference | None:
        """What a candidate gains over the baseline, where both have scores."""
        if name == BASELINE or not {name, BASELINE} <= set(self.paired.names):
            return None
        return self.paired.difference(name, BASELINE)

    @cached_property
    def places(self) -> int:
        """Decimals that the noise carries."""
        places = decimals(row.score for runs in self.runs.values() for row in runs.values())
        return places if self.paired.noise is None else carried(self.paired.noise, places)

    def mean(self, name: str) -> float | None:
        """A candidate's mean score over the seeds, in the objective's own direction."""
        sign = 1 if self.maximize else -1
        return sign * self.paired.mean(name) if name in self.paired.names else None

    def shown(self, score: float | None) -> str:
        """A score with the decimals that the noise carries."""
        return fixed(score, self.places)


def conclusion(confirmation: Confirmation, floor: float | None = None) -> str:
    """What the confirmation shows, in a sentence or two.

    `floor`: the noise floor, where it was measured on runs like these, by the same evaluator.
    """
    return sentence("confirmation.txt.j2", {"c": confirmation, "floor": floor})


def unfinished(confirmation: Confirmation, study: str) -> str:
    """What is left to do; '' where nothing is."""
    return sentence("unfinished.txt.j2", {"c": confirmation, "study": study})


def read_confirmation(
    study: Study, maximize: bool, labels: Mapping[str, str]
) -> Confirmation | None:
    """What was confirmed of a study whose trials have these labels; None where nothing was."""
    folder = study.folder.with_name(study.folder.name + SUFFIX)
    config: dict[str, Any] = clean(read_json(folder / "confirm.json"))
    names, seeds = config.get("candidates"), config.get("seeds")
    if not isinstance(names, list) or not isinstance(seeds, list):
        return None
    rows = {row.record.folder.name: row for row in read_rows(Study(folder))}
    runs = {
        str(name): {s: rows[run_name(name, s)] for s in seeds if run_name(name, s) in rows}
        for name in names
    }
    if not any(runs.values()):
        return None
    epochs = config.get("epochs")
    return Confirmation(
        candidates=list(map(str, names)),
        same={k: str(v) for k, v in mapping(config.get("same")).items()},
        seeds=seeds,
        epochs=epochs if isinstance(epochs, int) else 0,
        holdout=bool(config.get("holdout", config.get("unseen"))),  # its name in version 0.1.0
        maximize=maximize,
        runs=runs,
        labels=labels,
    )
