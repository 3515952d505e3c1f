"""What a check says: one line of what is wrong, where, and what to do about it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from core.training.provenance import without_passwords


class Level(enum.StrEnum):
    """How bad it is: something will fail, something will disappoint, or is merely so."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """`where` is a file with its key and value, or a part of the machine."""

    level: Level
    where: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        end = f"; {self.remedy}" if self.remedy else ""
        line = f"{self.level}: {self.where}: {self.what}{end}"
        return without_passwords(" ".join(line.split()))


def error(where: object, what: str, remedy: str = "") -> Finding:
    """A fault: something will fail, or be worthless."""
    return Finding(Level.ERROR, str(where), what, remedy)


def warning(where: object, what: str, remedy: str = "") -> Finding:
    """A weakness: all will run, and disappoint."""
    return Finding(Level.WARNING, str(where), what, remedy)


def note(where: object, what: str, remedy: str = "") -> Finding:
    """A fact; nothing is wrong."""
    return Finding(Level.NOTE, str(where), what, remedy)


def first_line(problem: BaseException) -> str:
    """An exception's first line, with its type where the text alone would not tell."""
    text = str(problem).strip().split("\n")[0]
    return f"{type(problem).__name__}: {text}" if text else type(problem).__name__
