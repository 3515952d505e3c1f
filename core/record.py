"""What a trial leaves on disk, and the only thing reports read.

    runs/<study>/study.json             the search: task, space, engine, how it was started
    runs/<study>/<trial>/trial.json     the point: parameters, engine, versions, machine
                        /epochs.jsonl   a line an epoch: losses, score, speed
                        /outcome.json   how it ended and why
                        /samples/       a PNG a row of pictures (source, output, target):
                                        the same inputs in every trial
                        /checkpoint.pt  the networks after the last epoch
                        /best.pt        the networks after the epoch with the best score
                        /tensorboard/   where it was asked for

Every file is replaced in one rename, so a killed process leaves the last whole version. Records of
version 0.1.0, which called the evaluator a judge and kept scores in pieces, are read as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.files import exclusive, is_locked, now, read_json, write_bytes, write_json
from core.task import Outcome, OutcomeKind, Score, UserError

RESERVED = ("evaluators", "artifacts", "gantune.db")
RENAMED_PARAMS = {"judge": "evaluator", "judge_weights": "evaluator_weights"}  # since 0.1.0


@dataclass(frozen=True)
class EpochLine:
    """One epoch of a trial, counted from 1: mean losses, score, wall-clock seconds, items/s."""

    epoch: int
    losses: dict[str, float]
    score: Score
    seconds: float
    items_per_second: float

    @classmethod
    def parse(cls, line: Mapping[str, Any]) -> EpochLine:
        """Read a line of epochs.jsonl; ValueError, TypeError or KeyError where it is damaged."""
        score = line.get("score", line)  # version 0.1.0 had its pieces in the line
        pieces = {name: score[name] for name in ("value", "parts", "violations")}
        speed = line.get("items_per_second", line.get("images_per_second", 0.0))
        return cls(line["epoch"], line["losses"], Score(**pieces), line["seconds"], speed)


@dataclass(frozen=True)
class Record:
    """A trial's folder. Reading one that is unfinished or damaged is never an error."""

    folder: Path

    @property
    def checkpoint(self) -> Path:
        """The networks after the last epoch."""
        return self.folder / "checkpoint.pt"

    @property
    def best(self) -> Path:
        """The networks after the epoch with the best score."""
        return self.folder / "best.pt"

    @property
    def pictures(self) -> Path:
        """The folder of pictures."""
        return self.folder / "samples"

    def begin(self, trial: Mapping[str, Any]) -> None:
        """Write what the trial is; a trial that continues keeps its epochs, not its outcome."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "outcome.json").unlink(missing_ok=True)
        write_json(self.folder / "trial.json", trial)

    def write_epochs(self, lines: list[EpochLine]) -> None:
        """Replace the epochs by these."""
        text = "".join(json.dumps(asdict(line)) + "\n" for line in lines)
        write_bytes(self.folder / "epochs.jsonl", text.encode())

    def end(self, outcome: Outcome, seconds: float) -> None:
        """Write how it ended; `seconds` is the time this process spent on it."""
        score = asdict(outcome.score) if outcome.score else None
        content = {"outcome": outcome.kind, "reason": outcome.reason, "score": score}
        write_json(self.folder / "outcome.json", {**content, "seconds": seconds, "ended": now()})

    def trial(self) -> dict[str, Any]:
        """What `begin` wrote, in today's words, or an empty dict."""
        return _modernised(read_json(self.folder / "trial.json"))

    def epochs(self) -> list[EpochLine]:
        """The epochs so far; a line that cannot be read ends the list."""
        lines: list[EpochLine] = []
        try:
            for text in (self.folder / "epochs.jsonl").read_text(encoding="utf-8").splitlines():
                lines.append(EpochLine.parse(json.loads(text)))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            pass
        return lines

    def outcome(self) -> Outcome | None:
        """How it ended, or None while it runs (or was killed)."""
        content = read_json(self.folder / "outcome.json")
        try:
            score = Score(**content["score"]) if content["score"] else None
            return Outcome(OutcomeKind(content["outcome"]), str(content["reason"]), score)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def seconds(self) -> float:
        """Training and scoring time over all its epochs."""
        return sum(line.seconds for line in self.epochs())

    def running(self) -> AbstractContextManager[None]:
        """Hold the lock that marks the trial as running; it is released when the process dies.

        One process may hold it repeatedly. Raises UserError when another process holds it.
        """
        message = f"{self.folder}: another process is working on this trial"
        return exclusive(self.folder / ".lock", message)

    def is_running(self) -> bool:
        """Whether some process works on this trial now."""
        return is_locked(self.folder / ".lock")


def _modernised(trial: dict[str, Any]) -> dict[str, Any]:
    """A trial.json of version 0.1.0 in today's words; today's stays as it is."""
    if isinstance(facts := trial.pop("judge", None), dict):
        kind = {"kind": facts.pop("judge")} if "judge" in facts else {}
        trial["evaluator"] = {**facts, **kind}
    for name in ("params", "defaults"):
        if isinstance(values := trial.get(name), dict):
            trial[name] = {RENAMED_PARAMS.get(k, k): v for k, v in values.items()}
    return trial


@dataclass(frozen=True)
class Study:
    """A study's folder: the records of its trials, and how the search was set up."""

    folder: Path
    about: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, runs: Path, name: str) -> Study:
        """Open `runs/name`; UserError, with the names of other studies, when it has no trial."""
        study = cls(runs / name, read_json(runs / name / "study.json"))
        if not any(study.folder.glob("*/trial.json")):
            names = sorted({p.parent.parent.name for p in runs.glob("*/*/trial.json")})
            known = f"there are: {', '.join(names)}" if names else "it has none yet"
            raise UserError(f"no trial of a study {name!r} under {runs}/ ({known})")
        return study

    @property
    def name(self) -> str:
        """The study's name is its folder's."""
        return self.folder.name

    def records(self) -> list[Record]:
        """Every trial's record, in order of trial number."""

        def order(record: Record) -> tuple[int, str]:
            number = record.trial().get("number")
            return number if isinstance(number, int) else 0, record.folder.name

        return sorted((Record(p.parent) for p in self.folder.glob("*/trial.json")), key=order)


def valid_name(name: str) -> str:
    """A study's or trial's name, which becomes a folder: UserError where it cannot."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) or name in RESERVED:
        raise UserError(
            f"{name!r} cannot name a study or trial: use up to 100 letters, digits, '.', '_', '-', "
            f"a letter or digit first, and none of {', '.join(RESERVED)}"
        )
    return name
