"""A trial's record as a report's row. Whatever is missing or damaged in it, there is a row."""

from __future__ import annotations

import math
import sys
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from core.files import read_json
from core.record import EpochLine, Record, Study
from core.task import OutcomeKind, Score
from core.training.provenance import scored_by

RUNNING, KILLED, DAMAGED = "running", "killed", "damaged"


@dataclass(frozen=True)
class Row:
    """One trial. `score` is its last one, final only where the outcome is completed.

    `label` is unique in its study: the number of a trial that an engine proposed, else the name of
    its folder. `about` is all of trial.json, of which `task`, `params`, `defaults`, `searched` and
    `evaluator` are parts; `planned` are the epochs it was to train, `seconds` the time it trained
    and scored, `ended` is an ISO time or ''.
    """

    record: Record
    label: str
    number: int
    task: str
    outcome: str
    reason: str
    score: float | None
    parts: dict[str, float]
    violations: dict[str, float]
    params: dict[str, Any]
    defaults: dict[str, Any]
    searched: tuple[str, ...]
    evaluator: dict[str, Any]
    epochs: tuple[EpochLine, ...]
    planned: int | None
    seconds: float
    about: dict[str, Any]
    ended: str

    @property
    def completed(self) -> bool:
        """Whether its score is final and may be compared."""
        return self.outcome == OutcomeKind.COMPLETED and self.score is not None

    @property
    def scored_by(self) -> dict[str, str]:
        """What tells its data and evaluator from others, as far as the record has it."""
        known = self.about.get("data_fingerprint") or self.evaluator.get("data")
        return scored_by(str(known or ""), self.evaluator)

    def alike(self, other: Row) -> bool:
        """Whether one evaluator scored both on the same data, as far as is known."""
        mine, others = self.scored_by, other.scored_by
        return all(others.get(key, value) == value for key, value in mine.items())

    @property
    def broken(self) -> list[str]:
        """The guards it breaks."""
        return [name for name, amount in self.violations.items() if amount > 0]


def read_rows(study: Study) -> list[Row]:
    """The rows of a study, in the order of their numbers."""
    rows = [_read(Record(path.parent)) for path in study.folder.glob("*/trial.json")]
    rows.sort(key=lambda row: (row.number, row.record.folder.name))
    times = Counter(row.label for row in rows)
    return [
        r if times[r.label] == 1 else replace(r, label=f"{r.label} ({r.record.folder.name})")
        for r in rows
    ]


def _read(record: Record) -> Row:
    about = mapping(clean(record.trial()))
    lines = tuple(_line(line) for line in record.epochs() if _is_number(line.epoch))
    kind, reason, score = _ending(record, about)
    score = score or (lines[-1].score if lines else None)
    folder, number, params = record.folder.name, about.get("number"), mapping(about.get("params"))
    if not isinstance(number, int):
        number = int(folder) if folder.isdecimal() else 0
    searched, planned = about.get("searched"), params.get("epochs")
    return Row(
        record=record,
        label=str(number) if folder.isdecimal() or about.get("engine") == "nni" else folder,
        number=number,
        task=str(about.get("task") or ""),
        outcome=kind,
        reason=reason,
        score=score.value if score else None,
        parts=numbers(score.parts) if score else {},
        violations=numbers(score.violations) if score else {},
        params=params,
        defaults=mapping(about.get("defaults")),
        searched=tuple(map(str, searched)) if isinstance(searched, list) else (),
        evaluator=mapping(about.get("evaluator")),
        epochs=lines,
        planned=planned if isinstance(planned, int) else None,
        seconds=sum(line.seconds for line in lines),
        about=about,
        ended=str(read_json(record.folder / "outcome.json").get("ended") or ""),
    )


def _ending(record: Record, about: Mapping[str, Any]) -> tuple[str, str, Score | None]:
    """The outcome, its reason and its score."""
    if not mapping(about.get("params")):
        return DAMAGED, "its trial.json cannot be read", None
    if outcome := record.outcome():
        return str(outcome.kind), text(outcome.reason), outcome.score
    if (record.folder / "outcome.json").exists():
        return DAMAGED, "its outcome.json cannot be read", None
    return (RUNNING, "", None) if record.is_running() else (KILLED, "its process is gone", None)


def _line(line: EpochLine) -> EpochLine:
    """The epoch with finite numbers only."""
    score = Score(line.score.value, numbers(line.score.parts), numbers(line.score.violations))
    seconds, speed = (v if _is_number(v) else 0.0 for v in (line.seconds, line.items_per_second))
    return EpochLine(int(line.epoch), numbers(line.losses), score, seconds, speed)


def mapping(value: Any) -> dict[str, Any]:
    """A JSON object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def numbers(value: Any) -> dict[str, float]:
    """The entries of a JSON object that are finite numbers."""
    return {text(str(name)): v for name, v in mapping(value).items() if _is_number(v)}


def _is_number(value: Any) -> bool:
    """Whether it is a finite number, and no integer too large for a float."""
    return type(value) in (float, int) and abs(value) <= sys.float_info.max


@lru_cache(4096)
def text(value: str) -> str:
    """Text that any font, file and terminal takes."""
    unfit = {c for c in set(value) - set("\n\t") if unicodedata.category(c) in ("Cc", "Cs")}
    return "".join("\ufffd" if c in unfit else c for c in value)


def clean(value: Any) -> Any:
    """JSON that can be shown: null where a number is not finite, and no unprintable text."""
    if isinstance(value, dict):
        return {text(str(k)): clean(v) for k, v in value.items()}
    if isinstance(value, list):
        return [clean(v) for v in value]
    if isinstance(value, str):
        return text(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
