"""What a study's records say: the best trial, the baseline, and what they were compared on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.record import EpochLine, Study
from core.replicates.stats import Noise
from core.report.confirmation import Confirmation, candidate, conclusion, read_confirmation
from core.report.format import decimals, fixed
from core.report.noise import carried, read_noise
from core.report.render import sentence
from core.report.rows import Row, clean, mapping, read_rows
from core.task import RUNTIME_FIELDS, Params, UserError

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

# Parameters that say how a trial was run; a difference in them alone makes nothing searched.
CONDITIONS = frozenset(Params.model_fields) | {"data", "recursive"}


@dataclass(frozen=True, repr=False)
class Summary:
    """A study's trials and what follows from them.

    `searched` are the parameters that trials differ in by design; `objective` is the score's name.
    """

    study: Study
    rows: list[Row]
    task: str
    objective: str
    maximize: bool
    searched: tuple[str, ...]

    def __repr__(self) -> str:
        ended = ", ".join(f"{n} {outcome}" for outcome, n in self.outcomes.items())
        return f"<study {self.study.name!r} of {self.task}: {ended}. {self.verdict}>"

    @cached_property
    def candidates(self) -> list[Row]:
        """The completed trials, else the furthest, that break the fewest guards."""
        own = [row for row in self.rows if row.task == self.task and row.score is not None]
        stopped = [row for row in own if row.outcome in ("pruned", "interrupted")]
        furthest = max((len(row.epochs) for row in stopped), default=0)
        found = [row for row in own if row.completed]
        found = found or [row for row in stopped if len(row.epochs) == furthest]
        fewest = min((len(row.broken) for row in found), default=0)
        return [row for row in found if len(row.broken) == fewest]

    @property
    def ruled_out(self) -> list[Row]:
        """The trials that completed and break more guards than the candidates."""
        fewest = len(self.best.broken) if self.best else 0
        own = [row for row in self.rows if row.task == self.task and row.completed]
        return [row for row in own if len(row.broken) > fewest]

    @cached_property
    def best(self) -> Row | None:
        """The candidate with the best score; None where there is no score."""
        pick = max if self.maximize else min
        return pick(self.candidates, key=lambda row: row.score or 0.0, default=None)

    @cached_property
    def baseline(self) -> Row | None:
        """The trial that searched nothing but the defaults, in the best one's conditions."""

        def default(row: Row) -> bool:
            names = self.searched or tuple(n for n in row.params if n not in CONDITIONS)
            known = bool(names) and all(n in row.params and n in row.defaults for n in names)
            return known and all(row.params[n] == row.defaults[n] for n in names)

        def order(row: Row) -> tuple[bool, bool, int, int]:
            other = self.best is not None and not row.alike(self.best)
            return not row.completed, other, len(self.unlike(row)), row.number

        return min(filter(default, _trials_of(self.task, self.rows)), key=order, default=None)

    @property
    def compared(self) -> Row | None:
        """The baseline where its score may be compared with the best one's."""
        best, baseline = self.best, self.baseline
        alike = best and baseline and baseline.completed and best.alike(baseline)
        return baseline if alike else None

    @property
    def pair(self) -> list[tuple[str, str, Row]]:
        """The best trial and the baseline, where it is another one: kind, label and row."""
        same = self.best == self.baseline
        best = "best, the baseline itself" if same else "best"
        kinds = (("best", best, self.best), ("baseline", "baseline", self.baseline))
        found = [(kind, f"{label}: trial {row.label}", row) for kind, label, row in kinds if row]
        return found[:1] if same else found

    @property
    def space(self) -> dict[str, Any]:
        """The search space the study was started with, as in its file; may be empty."""
        return mapping(self.study.about.get("space"))

    @cached_property
    def noise(self) -> Noise | None:
        """How the baseline's score varies with the seed, where that was measured."""
        return read_noise(self.study, self.baseline)

    @cached_property
    def confirmation(self) -> Confirmation | None:
        """The best trials trained again with common seeds, where they were."""
        labels = {candidate(row): row.label for row in self.rows}
        return read_confirmation(self.study, self.maximize, labels)

    @property
    def objectives(self) -> dict[str, bool]:
        """The parts of the score that the search was for, and whether each is maximized."""
        found = mapping(self.study.about.get("objectives"))
        return {name: direction != "minimize" for name, direction in found.items()}

    @cached_property
    def front(self) -> list[Row]:
        """Pareto's front of several objectives, the best in the first one first; else empty.

        These are the candidates that no other beats in every objective.
        """
        maximize = self.objectives
        points = [([row.parts[n] if up else -row.parts[n] for n, up in maximize.items()], row)
                  for row in self.candidates if maximize.keys() <= row.parts.keys()]  # fmt: skip

        def beaten(point: list[float]) -> bool:
            others = (other for other, _ in points if other != point)
            return any(all(x >= y for x, y in zip(other, point, strict=True)) for other in others)

        best = sorted((p for p in points if not beaten(p[0])), key=lambda p: p[0], reverse=True)
        return [row for _, row in best] if len(maximize) > 1 else []

    @cached_property
    def places(self) -> int:
        """Decimals to show scores with: none that the noise does not carry."""
        places = decimals(row.score for row in self.rows)
        return carried(self.noise.floor, places) if self.noise else places

    def shown(self, score: float | None) -> str:
        """A score with the study's decimals."""
        return fixed(score, self.places)

    def kept(self, row: Row) -> EpochLine | None:
        """The epoch whose networks a trial keeps: the first one with its best score."""
        if not row.epochs:
            return None
        pick = max if self.maximize else min
        return pick(row.epochs, key=lambda line: line.score.value)

    @property
    def gain(self) -> float | None:
        """How much the best beats the baseline: above 0 is better in either direction."""
        if self.best is None or self.compared is None:
            return None
        difference = (self.best.score or 0.0) - (self.compared.score or 0.0)
        return difference if self.maximize else -difference

    @property
    def outcomes(self) -> dict[str, int]:
        """How many trials ended how, the commonest first."""
        return dict(Counter(row.outcome for row in self.rows).most_common())

    @property
    def evaluator(self) -> dict[str, Any]:
        """What is known of the evaluator of the best trial, or of any."""
        rows = [self.best, *self.rows]
        return next((row.evaluator for row in rows if row and row.evaluator), {})

    @property
    def verdict(self) -> str:
        """The study in a sentence or two."""
        confirmed, best = self.confirmation, self.best
        conclusive = ""
        if confirmed and best:
            alike = not confirmed.holdout and confirmed.epochs == best.planned
            conclusive = conclusion(confirmed, self.noise.floor if self.noise and alike else None)
        return sentence("verdict.txt.j2", {"s": self, "conclusion": conclusive})

    def unlike(self, row: Row) -> list[str]:
        """What was not searched and differs between the best trial and this one."""
        params = self.best.params if self.best else {}
        names = (n for n in params if n not in self.searched and n not in RUNTIME_FIELDS)
        return [n for n in names if n in row.params and params[n] != row.params[n]]

    def to_dataframe(self) -> pd.DataFrame:
        """A row a trial: number, outcome, score, params.*, parts.* and seconds.

        Raises UserError where pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise UserError("a DataFrame needs pandas: pip install 'gantune[dataframe]'") from None
        facts = ("number", "outcome", "score", "params", "parts", "seconds")
        rows = [{name: getattr(row, name) for name in facts} for row in self.rows]
        return pd.json_normalize(rows, max_level=1)


def load(folder: str | Path) -> Summary:
    """The study in this folder, such as `runs/demo`; UserError where it has no trial."""
    path = Path(folder).resolve()
    return summarize(Study.open(path.parent, path.name))


def summarize(study: Study) -> Summary:
    """Read the records of a study; what is damaged or missing in them is never an error."""
    study, rows = Study(study.folder, clean(study.about)), read_rows(study)
    tasks = Counter(row.task for row in rows if row.task)
    task = str(study.about.get("task") or (tasks.most_common(1)[0][0] if tasks else ""))
    own = _trials_of(task, rows)
    objectives = [mapping(row.about.get("objective")) for row in own]
    objective = next((o for o in objectives if o.get("direction")), {})
    return Summary(
        study=study,
        rows=rows,
        task=task,
        objective=str(objective.get("name") or "score"),
        maximize=objective.get("direction") != "minimize",
        searched=_searched(own, mapping(study.about.get("space"))),
    )


def _trials_of(task: str, rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.task == task and row.about]


def _searched(rows: Sequence[Row], space: dict[str, Any]) -> tuple[str, ...]:
    """What engines proposed; where there was no engine, what the trials differ in."""
    names = list(space) + sorted({name for row in rows for name in row.searched})
    if not names:
        every = dict.fromkeys(name for row in rows for name in row.params)
        seen = {name: [row.params.get(name) for row in rows] for name in every}
        names = [n for n, v in seen.items() if n not in CONDITIONS and any(x != v[0] for x in v)]
    return tuple(dict.fromkeys(names))
