"""The best trial again: what changes, what stays, and what is not run twice."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from core import repeat as module
from core.files import read_json, write_json
from core.params import load_task
from core.record import Record
from core.replicates.runs import RETRIES, Runs, changed, keep_cost, make_runs, with_less
from core.task import Outcome, OutcomeKind, Params, Score, UserError

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
        keep(trial.workdir, trial.params, OutcomeKind.COMPLETED)

    monkeypatch.setattr(module, "run_trial", run)
    return trials


def again(runs: Path, params: Params, *seeds: int) -> Runs:
    """Runs with other seeds of what trained with these parameters."""
    changes = {f"seed-{seed}": {"seed": seed} for seed in seeds}
    return Runs(TASK.name, runs, "again", changed(TASK, params, changes, ["lr_g"]))


def keep(folder: Path, params: Params, outcome: OutcomeKind | None) -> None:
    record = Record(folder)
    objective = {"name": "fixed L1", "direction": "minimize"}
    record.begin({"task": TASK.name, "params": params.model_dump(mode="json"), "number": 0,
                  "engine": "optuna", "searched": ["lr_g"], "objective": objective})  # fmt: skip
    if outcome:
        record.end(Outcome(outcome, "", Score(0.5)), 1.0)


@pytest.mark.parametrize("outcome", [*OutcomeKind, None])
def test_only_what_another_attempt_could_change_is_run_again(
    tmp_path: Path, started: list[Any], outcome: OutcomeKind | None
) -> None:
    params = TASK.params(lr_g=0.003, seed=5)
    keep(tmp_path / "again" / "seed-6", TASK.params(lr_g=0.003, seed=6, threads=7), outcome)
    outcome_file = tmp_path / "again" / "seed-6" / "outcome.json"
    if outcome:
        write_json(outcome_file, {**read_json(outcome_file), "ended": "2001-01-01T00:00:00+00:00"})
    make_runs(again(tmp_path, params, 6, 7), 1)
    final = (OutcomeKind.COMPLETED, OutcomeKind.DIVERGED, OutcomeKind.COLLAPSED)
    seeds = [trial.params.seed for trial in started]
    assert seeds == ([7] if outcome in final else [6, 7])
    last = started[-1]
    assert last.params == TASK.params(lr_g=0.003, seed=7)
    assert (last.study, last.workdir) == ("again", tmp_path / "again" / "seed-7")
    assert last.searched == {"lr_g": 0.003}
    started.clear()
    make_runs(again(tmp_path, params, 6, 7), 1)
    assert started == []


def test_a_folder_of_another_best_trial_is_refused(tmp_path: Path, started: list[Any]) -> None:
    params = TASK.params(lr_g=0.003)
    keep(tmp_path / "again" / "seed-1", TASK.params(lr_g=0.5, seed=1), OutcomeKind.COMPLETED)
    with pytest.raises(UserError, match=r"seed-1: holds a run of other parameters \(lr_g\)"):
        make_runs(again(tmp_path, params, 1), 1)
    assert started == []


def test_a_run_that_fails_is_tried_once_a_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def fails(task: Any, trial: Any, progress: Any, runs: Path) -> None:
        tried.append(trial.params.seed)
        keep(trial.workdir, trial.params, OutcomeKind.FAILED)

    monkeypatch.setattr(module, "run_trial", fails)
    make_runs(again(tmp_path, TASK.params(), 1, 2), 1)
    assert tried == [1, 2]


def test_a_run_that_kills_its_process_again_and_again_is_given_up(tmp_path: Path) -> None:
    wanted = again(tmp_path, TASK.params(), 1)
    for _ in range(1 + RETRIES):
        (trial,) = wanted.trials(print)
        assert trial.params.seed == 1
    assert list(wanted.trials(print)) == []
    outcome = wanted.record(wanted.wanted[0]).outcome()
    assert outcome
    assert (outcome.kind, outcome.reason) == (
        OutcomeKind.FAILED,
        f"its process was killed {1 + RETRIES} times",
    )


def test_two_workers_make_each_run_once_and_a_killed_one_is_replaced(tmp_path: Path) -> None:
    small = {"size": 32, "width": 4, "batch_size": 16, "device": "cpu", "characters": "ascii"}
    small |= {"source_font": "DejaVu Sans", "target_font": "DejaVu Serif"}
    params = TASK.params(epochs=15, **small)
    wanted = again(tmp_path, params, 1, 2)
    killed = threading.Thread(target=kill_one, args=(wanted,))
    killed.start()
    make_runs(wanted, 2)
    killed.join()
    for run in wanted.wanted:
        outcome, lines = wanted.record(run).outcome(), wanted.record(run).epochs()
        assert outcome
        assert outcome.kind is OutcomeKind.COMPLETED
        assert [line.epoch for line in lines] == list(range(1, 16))


def kill_one(wanted: Runs) -> None:
    """Kill -9 the first worker that has trained for some epochs."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        if len(wanted.record(wanted.wanted[0]).epochs()) >= 2:
            workers = [p for p in psutil.Process().children() if "spawn_main" in str(p.cmdline())]
            workers[0].kill()
            return
        time.sleep(0.05)


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
