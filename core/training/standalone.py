"""A trial that no engine proposed: the published baseline, or what flags say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from core.task import Outcome, Params, Score


@dataclass(frozen=True)
class StandaloneTrial:
    """It always runs to its end."""

    params: Params
    study: str
    workdir: Path
    number: int = 0
    searched: ClassVar[Mapping[str, Any]] = {}
    engine: ClassVar[str] = "standalone"

    @property
    def until(self) -> int:
        """The last epoch."""
        return self.params.epochs

    def report(self, epoch: int, score: Score) -> bool:
        """Never stop."""
        return False

    def finish(self, outcome: Outcome) -> None:
        """Nothing to do: there is no engine."""
