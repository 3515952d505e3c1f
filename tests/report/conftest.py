"""Studies made up of records, as a search would leave them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.files import write_json
from core.record import EpochLine, Record, Study
from core.task import Outcome, OutcomeKind, Score

DEFAULTS = {"epochs": 2, "seed": 0, "device": "auto", "weight": 1.0, "rate": 0.001, "width": 64}
CONFUSION = {"a": {"a": 9, "b": 1}, "b": {"a": 1, "b": 9}}
SPACE = {
    "weight": {"_type": "loguniform", "_value": [0.1, 10.0]},
    "rate": {"_type": "uniform", "_value": [0.0, 0.1]},
}


@dataclass(frozen=True)
class Made:
    """A trial to make up; `score` None is one that left no epoch."""

    score: float | None = 0.5
    params: Mapping[str, Any] | None = None
    outcome: OutcomeKind | None = OutcomeKind.COMPLETED
    reason: str = ""
    name: str = ""
    number: int | None = None
    about: Mapping[str, Any] | None = None
    violations: Mapping[str, float] | None = None
    inputs: float = 120.0


Make = Callable[..., Study]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a study of these trials; `engine` and `direction` are all trials'."""

    def study(
        trials: Sequence[Made],
        engine: str = "optuna",
        direction: str = "maximize",
        space: Mapping[str, Any] | None = SPACE,
        name: str = "demo",
    ) -> Study:
        folder = tmp_path / name
        if space:
            write_json(folder / "study.json", {"task": "toy", "engine": engine, "space": space})
        for i, made in enumerate(trials):
            number = i if made.number is None else made.number
            record = Record(folder / (made.name or f"{number:04d}"))
            _write(record, made, number, engine, direction)
        return Study.open(tmp_path, name)

    return study


def _write(record: Record, made: Made, number: int, engine: str, direction: str) -> None:
    facts = {
        "task": "toy",
        "study": record.folder.parent.name,
        "number": number,
        "engine": engine,
        "objective": {"name": "toy score", "direction": direction},
        "params": {**DEFAULTS, **(made.params or {})},
        "searched": [] if engine == "standalone" else sorted(SPACE),
        "defaults": DEFAULTS,
        "evaluator": {"accuracy": 0.9, "seconds": 12.5, "confusion": CONFUSION},
        "hardware": "a CPU",
        "git": "c0ffee",
    }  # fmt: skip
    record.begin({**facts, **(made.about or {})})
    score = None
    if made.score is not None:
        parts, guards = {"style": made.score, "inputs": made.inputs}, dict(made.violations or {})
        half, score = (Score(value, parts, guards) for value in (made.score / 2, made.score))
        first = EpochLine(1, {"g": 1.0, "d": 0.7}, half, 1.5, 20.0)
        record.write_epochs([first, EpochLine(2, {"g": 0.8, "d": 0.6}, score, 1.5, 20.0)])
        record.pictures.mkdir()
        for i, picture in enumerate(("source", "output")):
            strip = Image.linear_gradient("L").resize((8 * 16, 16)).rotate(180 * i)
            strip.convert("RGB").save(record.pictures / f"{picture}.png")
    if made.outcome is not None:
        record.end(Outcome(made.outcome, made.reason, score), 3.0)


@pytest.fixture
def made() -> type[Made]:
    """The description of a trial, for `make`."""
    return Made


@pytest.fixture(autouse=True)
def without_optunas_plots(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take seconds a page: only tests of modules that name them (PLOTS) draw them."""
    if not hasattr(request.module, "PLOTS"):
        monkeypatch.setattr("core.report.page.optuna_plots", lambda *_: ({}, []))
