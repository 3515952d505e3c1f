"""The best trial again: what changes, what stays, and what is not run twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core import repeat as module
from core.catalog import load_task
from core.record import Record, Study
from core.repeat import keep_cost, repeat, with_less
from core.report.summary import summarize
from core.task import Ending, Outcome, Params, Score, UserError

TASK = load_task("glyph_autoencoder")


@pytest.mark.parametrize(
    ("patience", "fraction", "told"),
    [
        (0, 0.1, {"data_fraction": 0.1, "epochs": 70}),
        (3, 0.3, {"data_fraction": 0.3, "epochs": 23, "patience": 10}),
        (0, 1.0, {"data_fraction": 1.0, "epochs": 7}),
    ],
)
def test_less_data_takes_more_epochs(patience: int, fraction: float, told: dict[str, Any]) -> None:
    assert with_less(Params(epochs=7, patience=patience), fraction) == told


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The trials that were run; each comes to its end at once."""
    trials: list[Any] = []

    def run(task: Any, trial: Any, progress: Any, runs: Path) -> None:
        trials.append(trial)
        keep(trial.workdir, trial.params, Outcome.COMPLETED)

    monkeypatch.setattr(module, "run_trial", run)
    return trials


def keep(folder: Path, params: Params, outcome: Outcome | None) -> None:
    record = Record(folder)
    objective = {"name": "fixed L1", "direction": "minimize"}
    record.begin({"task": TASK.name, "params": params.model_dump(mode="json"), "number": 0,
                  "engine": "optuna", "searched": ["lr_g"], "objective": objective})  # fmt: skip
    if outcome:
        record.end(Ending(outcome, "", Score(0.5)), 1.0)


@pytest.mark.parametrize("outcome", [*Outcome, None])
def test_only_what_another_attempt_could_change_is_run_again(
    tmp_path: Path, started: list[Any], outcome: Outcome | None
) -> None:
    params = TASK.params(lr_g=0.003, seed=5)
    keep(tmp_path / "search" / "0000", params, Outcome.COMPLETED)
    best = summarize(Study.open(tmp_path, "search")).best
    assert best
    keep(tmp_path / "again" / "seed-6", TASK.params(lr_g=0.003, seed=6, threads=7), outcome)
    changes = {"seed-6": {"seed": 6}, "seed-7": {"seed": 7}}
    repeat(TASK, best, params, changes, tmp_path / "again")
    final = (Outcome.COMPLETED, Outcome.DIVERGED, Outcome.COLLAPSED)
    seeds = [trial.params.seed for trial in started]
    assert seeds == ([7] if outcome in final else [6, 7])
    last = started[-1]
    assert last.params == TASK.params(lr_g=0.003, seed=7)
    assert (last.study, last.workdir) == ("again", tmp_path / "again" / "seed-7")
    assert last.searched == {"lr_g": 0.003}
    started.clear()
    repeat(TASK, best, params, changes, tmp_path / "again")
    assert started == []


def test_a_folder_of_another_best_trial_is_refused(tmp_path: Path, started: list[Any]) -> None:
    params = TASK.params(lr_g=0.003)
    keep(tmp_path / "search" / "0000", params, Outcome.COMPLETED)
    best = summarize(Study.open(tmp_path, "search")).best
    assert best
    keep(tmp_path / "again" / "seed-1", TASK.params(lr_g=0.5, seed=1), Outcome.COMPLETED)
    with pytest.raises(UserError, match=r"seed-1: holds a run of other parameters \(lr_g\)"):
        repeat(TASK, best, params, {"seed-1": {"seed": 1}}, tmp_path / "again")
    assert started == []


def test_a_cost_is_measured_once_and_a_failure_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    answers: list[dict[str, Any]] = [{"failed": "no memory"}, {"step_ms": 1.0}, {"step_ms": 2.0}]

    def measured(task: str, params: dict[str, Any]) -> dict[str, Any]:
        asked.append(params)
        return answers[len(asked) - 1]

    monkeypatch.setattr(module, "measure_apart", measured)
    path = tmp_path / "cost.json"
    for _ in range(3):
        keep_cost(TASK, TASK.params(), path)
    assert len(asked) == 2
    keep_cost(TASK, TASK.params(threads=2), path)
    assert len(asked) == 3
