"""What a check reports: what is wrong, where, and what to do about it, in one line."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import partial

from core.training.provenance import without_passwords


class Level(enum.StrEnum):
    """How bad a finding is: something will fail, will be worse than it could, or is merely so."""

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
        line = f"{self.level}: {self.where}: {self.what}"
        line += f"; {self.remedy}" if self.remedy else ""
        return without_passwords(" ".join(line.split()))


error, warning, note = (partial(Finding, level) for level in Level)


def first_line(problem: BaseException) -> str:
    """An exception's type, and the first line of its message."""
    return f"{type(problem).__name__}: {str(problem).strip()}".split("\n")[0].removesuffix(": ")
