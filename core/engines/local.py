"""No engine at all: one trial, on its own, with the published baseline or what flags say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from core.task import Ending, Params, Score


@dataclass(frozen=True)
class LocalTrial:
    """A trial nobody searches with: it always runs to its end."""

    params: Params
    searched: Mapping[str, Any]
    study: str
    workdir: Path
    number: int = 0
    engine: ClassVar[str] = "standalone"

    def report(self, epoch: int, score: Score) -> bool:
        """Never stops."""
        return False

    def finish(self, ending: Ending) -> None:
        """Nobody to tell."""
