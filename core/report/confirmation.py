"""What `gantune confirm` found: the best trials and the baseline again, with common seeds.

runs/<study>-confirm/confirm.json            the candidates, the seeds, the epochs of each run
runs/<study>-confirm/trial-<n>-seed-<s>/     a run; `baseline-seed-<s>` is the published baseline's
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from core.files import read_json
from core.record import Study
from core.replicates.stats import CONFIDENCE, Difference, Paired
from core.report.evaluator import ExamResult, read_exam
from core.report.format import decimals, fixed, listed, spaced
from core.report.noise import carried, interval
from core.report.render import sentence
from core.report.rows import Row, clean, read_rows
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
class Race:
    """Runs by candidate and seed that have come to a score, or gone wrong for good."""

    runs: Mapping[str, Mapping[int, Row]]
    sign: int  # -1 where a lower score is better

    @property
    def rows(self) -> list[Row]:
        """All runs."""
        return [row for runs in self.runs.values() for row in runs.values()]

    def narrowed(self, names: Collection[str], seeds: Collection[int]) -> Race:
        """The runs of these candidates with these seeds."""
        runs = {n: {s: row for s, row in self.runs[n].items() if s in seeds} for n in names}
        return Race(runs, self.sign)

    @cached_property
    def allowed(self) -> int:
        """How many guards a run may break: as many as the best-behaved candidate's worst run.

        Only candidates with the most scores set this standard.
        """
        every = self.runs.values()
        scored = [[len(row.broken) for row in runs.values() if row.completed] for runs in every]
        most = max(map(len, scored), default=0)
        return min((max(broken) for broken in scored if 0 < len(broken) == most), default=0)

    def failures(self, name: str) -> list[str]:
        """What went wrong with a candidate's runs, as `seed 2 diverged`."""
        return [
            f"seed {seed} breaks {', '.join(row.broken)}" if row.completed
            else f"seed {seed} {spaced(row.outcome)}"
            for seed, row in self.runs[name].items()
            if not row.completed or len(row.broken) > self.allowed
        ]  # fmt: skip

    @cached_property
    def paired(self) -> Paired:
        """The scores, higher ones better, of the candidates none of whose runs went wrong."""
        return Paired({
            name: {s: self.sign * r.score for s, r in runs.items() if r.score is not None}
            for name, runs in self.runs.items()
            if not self.failures(name)
        })  # fmt: skip

    def dropouts(self, seeds: Sequence[int], done: int) -> dict[str, str]:
        """The candidates that drop out after at most `done` of these seeds, and why.

        After two seeds, and after each further one but the last, those leave that are behind the
        best or went wrong, but never the baseline. With 95 % probability nothing that is as good as
        the best drops out (Bonferroni's correction for the stages). A missing run delays a stage.
        """
        out: dict[str, str] = {}
        stages = len(seeds) - 2
        for number in range(2, min(done, stages + 1) + 1):
            stage = self.narrowed([name for name in self.runs if name not in out], seeds[:number])
            if any(len(runs) < number for runs in stage.runs.values()):
                break
            winners = replace(stage.paired, confidence=1 - (1 - CONFIDENCE) / stages).winners()
            for name in stage.runs:
                if name not in (BASELINE, *winners):
                    out[name] = ", ".join(stage.failures(name)) or f"behind with {number} seeds"
        return out


@dataclass(frozen=True)
class Confirmation:
    """What a race comes to; higher scores are better in `paired` and in `gain` alone.

    `same` are further trials of the study, each with the candidate whose configuration it has;
    `labels` what a report calls the candidates; `dropped` says why some have dropped out;
    `waiting` is how many runs of the others have not ended; `counted` holds the runs with the seeds
    that these all have been run with, on which every conclusion rests; `winners` is the winner set,
    the best mean first.
    """

    race: Race
    same: Mapping[str, str]
    seeds: Sequence[int]
    epochs: int
    holdout: bool
    labels: Mapping[str, str]
    dropped: Mapping[str, str]
    waiting: int
    counted: Race
    winners: Sequence[str]

    def label(self, name: str) -> str:
        """`trial 3` or `the published baseline`."""
        trial = f"trial {self.labels.get(name, name.removeprefix('trial-'))}"
        return "the published baseline" if name == BASELINE else trial

    def listed(self, names: Sequence[str]) -> str:
        """`Trial 3, trial 4 and the published baseline`: how a sentence begins."""
        text = listed([self.label(name) for name in names])
        return text[0].upper() + text[1:]

    @property
    def paired(self) -> Paired:
        """The scores that count."""
        return self.counted.paired

    @property
    def exam(self) -> ExamResult | None:
        """The exam of the evaluator that scored the runs; None where it has taken none."""
        exams = (read_exam(row.evaluator) for row in self.race.rows)
        return next(filter(None, exams), None)

    @property
    def order(self) -> list[str]:
        """The candidates, the best mean first; those without one last."""
        ranked = sorted(self.paired.names, key=self.paired.mean, reverse=True)
        return [*ranked, *(name for name in self.race.runs if name not in ranked)]

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

    def gain(self, name: str) -> Difference | None:
        """What a candidate gains over the baseline, where both have scores."""
        if name == BASELINE or not {name, BASELINE} <= set(self.paired.names):
            return None
        return self.paired.difference(name, BASELINE)

    def shown_gain(self, name: str) -> str:
        """`+0.12 (+0.05 to +0.19)`."""
        return interval(self.gain(name), self.places)

    @cached_property
    def places(self) -> int:
        """Decimals that the noise carries."""
        return carried(self.paired.noise or 0.0, decimals(row.score for row in self.race.rows))

    def mean(self, name: str) -> float | None:
        """A candidate's mean score over the seeds, in the objective's own direction."""
        return self.race.sign * self.paired.mean(name) if name in self.paired.names else None

    def shown(self, score: float | None) -> str:
        """A score with the decimals that the noise carries."""
        return fixed(score, self.places)


def conclusion(confirmation: Confirmation, floor: float | None = None) -> str:
    """What the confirmation shows, in a sentence or two.

    `floor`: the noise floor, where it was measured on runs like these, by the same evaluator.
    """
    return sentence("confirmation.txt.j2", {"c": confirmation, "floor": floor})


def read_confirmation(
    study: Study, maximize: bool, labels: Mapping[str, str]
) -> Confirmation | None:
    """What was confirmed of a study whose trials have these labels; None where nothing was."""
    folder = study.folder.with_name(study.folder.name + SUFFIX)
    about = clean(read_json(folder / "confirm.json"))
    rows = {row.record.folder.name: row for row in read_rows(Study(folder))}
    if not about or not rows:
        return None
    seeds, runs = about["seeds"], {}
    for name in about["candidates"]:
        found = ((seed, rows.get(run_name(name, seed))) for seed in seeds)
        runs[name] = {s: r for s, r in found if r and (r.completed or r.outcome in WRONG)}
    race = Race(runs, 1 if maximize else -1)
    dropped = race.dropouts(seeds, len(seeds))
    racing = [runs[name] for name in runs if name not in dropped]
    counted = race.narrowed(runs, [s for s in seeds if all(s in of for of in racing)])
    return Confirmation(
        race=race,
        same=about.get("same", {}),
        seeds=seeds,
        epochs=about["epochs"],
        holdout=bool(about.get("holdout", about.get("unseen"))),  # its name in version 0.1.0
        labels=labels,
        dropped=dropped,
        waiting=sum(len(seeds) - len(of) for of in racing),
        counted=counted,
        winners=counted.paired.winners(dropped),
    )
