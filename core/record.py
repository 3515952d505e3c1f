"""What a trial leaves on disk, and the only thing reports read.

    runs/<study>/study.json             the search: task, space, engine, how it was started
    runs/<study>/<trial>/trial.json     the point: parameters, engine, versions, machine
                        /epochs.jsonl   a line an epoch: losses, score and its parts, speed
                        /outcome.json   how it ended and why
                        /samples/       source.png, output.png, and target.png where there is one:
                                        the same inputs in every trial
                        /checkpoint.pt  the networks after the last epoch
                        /best.pt        with early stopping: the networks after the best epoch
                        /tensorboard/   where it was asked for

Every file is replaced in one rename, so a killed process leaves the last whole version.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO
from weakref import WeakValueDictionary

from filelock import BaseFileLock, FileLock, Timeout

from core.task import Ending, Outcome, Score, UserError

LOCKS: WeakValueDictionary[str, BaseFileLock] = WeakValueDictionary()  # one a file and process
RESERVED = ("evaluators", "artifacts", "gantune.db")


@dataclass(frozen=True)
class EpochLine:
    """One epoch of a trial (counted from 1)."""

    epoch: int
    losses: dict[str, float]
    value: float
    parts: dict[str, float]
    violations: dict[str, float]
    seconds: float
    images_per_second: float


@dataclass(frozen=True)
class Record:
    """A trial's folder. Reading one that is unfinished or damaged is never an error."""

    folder: Path

    @property
    def checkpoint(self) -> Path:
        """Where the networks after the last epoch lie."""
        return self.folder / "checkpoint.pt"

    @property
    def best(self) -> Path:
        """Where early stopping keeps the networks after the best epoch."""
        return self.folder / "best.pt"

    @property
    def samples(self) -> Path:
        """The folder of pictures."""
        return self.folder / "samples"

    def begin(self, trial: Mapping[str, Any]) -> None:
        """Write who this trial is; a trial that continues keeps its epochs, not its ending."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "outcome.json").unlink(missing_ok=True)
        write_json(self.folder / "trial.json", {**trial, **provenance()})

    def write_epochs(self, lines: list[EpochLine]) -> None:
        """Replace the epochs by these."""
        text = "".join(json.dumps(asdict(line)) + "\n" for line in lines)
        write_bytes(self.folder / "epochs.jsonl", text.encode())

    def end(self, ending: Ending, seconds: float) -> None:
        """Write how it ended; `seconds` is the time this process spent on it."""
        score = asdict(ending.score) if ending.score else None
        outcome = {"outcome": ending.outcome, "reason": ending.reason, "score": score}
        write_json(self.folder / "outcome.json", {**outcome, "seconds": seconds, "ended": now()})

    def trial(self) -> dict[str, Any]:
        """What `begin` wrote, or an empty dict."""
        return read_json(self.folder / "trial.json")

    def epochs(self) -> list[EpochLine]:
        """The epochs so far; a line that cannot be read ends the list."""
        lines = []
        try:
            for text in (self.folder / "epochs.jsonl").read_text().splitlines():
                lines.append(EpochLine(**json.loads(text)))
        except (OSError, ValueError, TypeError):
            pass
        return lines

    def ending(self) -> Ending | None:
        """How it ended, or None while it runs (or was killed)."""
        outcome = read_json(self.folder / "outcome.json")
        try:
            score = Score(**outcome["score"]) if outcome["score"] else None
            return Ending(Outcome(outcome["outcome"]), str(outcome["reason"]), score)
        except (KeyError, TypeError, ValueError):
            return None

    def seconds(self) -> float:
        """Training and scoring time over all its epochs."""
        return sum(line.seconds for line in self.epochs())

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Hold the lock that says a process works on this trial; a dead process lets it go.

        A process may hold it twice over. Raises UserError when another process holds it.
        """
        lock = self._lock()
        try:
            lock.acquire(timeout=1)
        except Timeout:
            raise UserError(f"{self.folder}: another process is working on this trial") from None
        try:
            yield
        finally:
            lock.release()

    def is_alive(self) -> bool:
        """Whether some process works on this trial now."""
        lock = self._lock()
        if lock.is_locked:
            return True
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False

    def _lock(self) -> BaseFileLock:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = str(self.folder.resolve() / ".lock")
        if (lock := LOCKS.get(path)) is None:
            lock = LOCKS[path] = FileLock(path)
        return lock


@dataclass(frozen=True)
class Study:
    """A study's folder: the records of its trials, and how the search was set up."""

    folder: Path
    about: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, runs: Path, name: str) -> Study:
        """Open `runs/name`; UserError, with the studies there are, when it holds no trial."""
        study = cls(runs / name, read_json(runs / name / "study.json"))
        if not any(study.folder.glob("*/trial.json")):
            there = sorted(p.parent.parent.name for p in runs.glob("*/*/trial.json"))
            known = f"there are: {', '.join(dict.fromkeys(there))}" if there else "it has none yet"
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


def now() -> str:
    """This moment, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def provenance() -> dict[str, Any]:
    """Where a result comes from: command, code, versions and machine."""
    packages = ("gantune", "torch", "torchvision", "optuna", "nni", "numpy", "pillow")
    return {
        "started": now(),
        "command": without_passwords(_command()),
        "git": git_commit(),
        "versions": {"python": platform.python_version()} | {p: _version(p) for p in packages},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores",
    }


def _command() -> str:
    """What the user typed: of a worker, which is told its parent's words, what started that."""
    ours = multiprocessing.parent_process() or Path(sys.argv[0]).name == "gantune"
    typed = sys.argv if ours else sys.orig_argv
    return shlex.join([Path(typed[0]).name, *typed[1:]])


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def without_passwords(text: str) -> str:
    """Text with the passwords of URLs masked: reports are passed on."""
    return re.sub(r"(://[^:/@\s]*:)[^@\s]+@", r"\1***@", text)


def git_commit() -> str:
    """The checkout's commit, marked `+changes` where files differ from it; '' outside git."""
    here = Path(__file__).parent

    def git(*args: str) -> str:
        command = ["git", "-C", str(here), *args]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def replace(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Fill a file through `write` and put it in place at once: whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file's content at once."""
    replace(path, lambda file: file.write(content))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a file by JSON people can read; NaN is refused."""
    write_bytes(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file, or {} where there is none that can be read."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
