"""What a study's records say: the best trial, the baseline, and what they were compared on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.record import Study
from core.report.confirmation import Confirmation, candidate, carried, read_confirmation
from core.report.noise import Noise, read_noise
from core.report.rows import Row, clean, mapping, read_rows
from core.report.wording import decimals, fixed
from core.task import RUNTIME_FIELDS, Params

CONDITIONS = frozenset(Params.model_fields) | {"data"}


@dataclass(frozen=True)
class Summary:
    """A study, judged. `searched` are the parameters that trials differ in by design."""

    study: Study
    rows: list[Row]
    task: str
    objective: str
    maximize: bool
    searched: tuple[str, ...]
    best: Row | None
    baseline: Row | None

    @property
    def space(self) -> dict[str, Any]:
        """The search space the study was started with, as in its file; may be empty."""
        return mapping(self.study.about.get("space"))

    @property
    def engines(self) -> set[str]:
        """Who proposed its trials."""
        return {row.engine for row in self.rows if row.engine}

    @cached_property
    def candidates(self) -> list[Row]:
        """The completed trials with the fewest guards broken: a best one is picked from them."""
        return _candidates(self.rows, self.task)

    @property
    def compared(self) -> Row | None:
        """The baseline where its score may be compared with the best one's."""
        usable = self.best and self.baseline and self.baseline.completed
        return self.baseline if usable else None

    @cached_property
    def noise(self) -> Noise | None:
        """How the baseline's score varies with the seed, where that was measured."""
        return read_noise(self.study, self.baseline)

    @cached_property
    def confirmation(self) -> Confirmation | None:
        """The best trials trained again, where they were."""
        labels = {candidate(row): row.label for row in self.rows}
        return read_confirmation(self.study, self.maximize, labels)

    @cached_property
    def places(self) -> int:
        """Decimals to show scores with: none that the noise does not carry."""
        places = decimals(row.score for row in self.rows)
        return carried(self.noise.floor, places) if self.noise else places

    @property
    def gain(self) -> float | None:
        """How much the best beats the baseline: above 0 is better in either direction."""
        if self.compared is None or self.best is None:
            return None
        assert self.best.score is not None
        assert self.compared.score is not None
        gain = self.best.score - self.compared.score
        return gain if self.maximize else -gain

    @property
    def beaten(self) -> bool:
        """Whether another trial beats the baseline by what the shown decimals can tell."""
        if self.gain is None or self.best == self.baseline:
            return False
        return self.gain > 0 and self.difference != 0

    @property
    def difference(self) -> float:
        """Best minus baseline, of the scores as they are shown."""
        best, baseline = self.best, self.compared
        if best is None or baseline is None or best.score is None or baseline.score is None:
            return 0.0
        return round(best.score, self.places) - round(baseline.score, self.places)

    @property
    def outcomes(self) -> dict[str, int]:
        """How many trials ended how, the commonest first."""
        return dict(Counter(row.outcome for row in self.rows).most_common())

    @property
    def evaluator(self) -> dict[str, Any]:
        """What is known of the evaluator of the best trial, or of any."""
        there = [self.best, *self.rows]
        return next((row.evaluator for row in there if row and row.evaluator), {})

    def unlike(self, row: Row) -> list[str]:
        """What was not searched and differs between the best trial and this one."""
        return _unlike(self.best, row, self.searched) if self.best else []

    def shown(self, score: float | None) -> str:
        """A score with the study's decimals."""
        return fixed(score, self.places)


def summarize(study: Study) -> Summary:
    """Read a study's records and evaluator them."""
    study, rows = Study(study.folder, clean(study.about)), read_rows(study)
    tasks = Counter(row.task for row in rows if row.task)
    task = str(study.about.get("task") or (tasks.most_common(1)[0][0] if tasks else ""))
    own = [row for row in rows if row.task == task and row.about]
    objectives = [mapping(row.about.get("objective")) for row in own]
    objective = next((o for o in objectives if o.get("direction")), {})
    maximize = objective.get("direction") != "minimize"
    searched = _searched(own, mapping(study.about.get("space")))
    candidates = _candidates(rows, task)
    best = None
    if candidates:
        pick = max if maximize else min
        best = pick(candidates, key=lambda row: row.score or 0.0)
    return Summary(
        study=study,
        rows=rows,
        task=task,
        objective=str(objective.get("name") or "score"),
        maximize=maximize,
        searched=searched,
        best=best,
        baseline=_baseline(own, searched, best),
    )


def _candidates(rows: Sequence[Row], task: str) -> list[Row]:
    there = [row for row in rows if row.task == task and row.completed]
    fewest = min((len(row.broken) for row in there), default=0)
    return [row for row in there if len(row.broken) == fewest]


def _searched(rows: Sequence[Row], space: dict[str, Any]) -> tuple[str, ...]:
    """What engines proposed; where there was no engine, what the trials differ in."""
    names = list(space) + sorted({name for row in rows for name in row.searched})
    if not names:
        every = dict.fromkeys(name for row in rows for name in row.params)
        seen = {name: [row.params.get(name) for row in rows] for name in every}
        names = [n for n, v in seen.items() if n not in CONDITIONS and any(x != v[0] for x in v)]
    return tuple(dict.fromkeys(names))


def _baseline(rows: Sequence[Row], searched: tuple[str, ...], best: Row | None) -> Row | None:
    """The trial whose searched parameters are all the defaults, in the best one's conditions."""

    def default(row: Row) -> bool:
        names = searched or tuple(n for n in row.params if n not in CONDITIONS)
        known = bool(names) and all(n in row.params and n in row.defaults for n in names)
        return known and all(row.params[n] == row.defaults[n] for n in names)

    def order(row: Row) -> tuple[bool, int, int]:
        unlike = len(_unlike(best, row, searched)) if best else 0
        return not row.completed, unlike, row.number

    return min(filter(default, rows), key=order, default=None)


def _unlike(a: Row, b: Row, searched: tuple[str, ...]) -> list[str]:
    names = [n for n in a.params if n not in searched and n not in RUNTIME_FIELDS]
    return [n for n in names if n in b.params and a.params[n] != b.params[n]]
