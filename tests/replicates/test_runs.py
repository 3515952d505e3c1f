"""Replicates: what changes, what stays, what is not run twice, and how the queue recovers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from optuna.trial import TrialState

from core.files import read_json, write_json
from core.params import load_task
from core.record import Record
from core.replicates.cost import keep_cost
from core.replicates.runs import (
    FINAL,
    Replicate,
    run_replicates,
    variants,
    with_less_data,
)
from core.search.config import QUEUE, RETRIES, SearchConfig
from core.search.study import open_search
from core.task import Outcome, OutcomeKind, Params, Score, UserError
from tests.conftest import ROOT

TASK = load_task("glyph_autoencoder")


def queue(runs: Path, **more: Any) -> SearchConfig:
    return SearchConfig(TASK.name, runs, "again", sampler=QUEUE, **more)


@pytest.mark.parametrize(
    ("patience", "fraction", "changes"),
    [
        (0, 0.1, {"data_fraction": 0.1, "epochs": 70}),
        (3, 0.3, {"data_fraction": 0.3, "epochs": 23, "patience": 10}),
        (0, 1.0, {"data_fraction": 1.0, "epochs": 7}),
    ],
)
def test_less_data_takes_more_epochs(
    patience: int, fraction: float, changes: dict[str, Any]
) -> None:
    assert with_less_data(Params(epochs=7, patience=patience), fraction) == changes


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The trials that were run; each completes at once."""
    trials: list[Any] = []

    def run(task: Any, trial: Any, progress: Any, runs: Path, **_: Any) -> None:
        trials.append(trial)
        end(trial, OutcomeKind.COMPLETED)

    monkeypatch.setattr("core.search.workers.run_trial", run)
    return trials


def again(params: Params, *seeds: int) -> list[Replicate]:
    """Replicates with other seeds of what trained with these parameters."""
    changes = {f"seed-{seed}": {"seed": seed} for seed in seeds}
    return variants(TASK, params, changes, ["lr_g"])


def make(runs: Path, wanted: Sequence[Replicate], workers: int = 1, **more: Any) -> None:
    run_replicates(queue(runs, workers=workers, **more), wanted)


def keep(folder: Path, params: Params, kind: OutcomeKind | None) -> None:
    record = Record(folder)
    objective = {"name": "fixed L1", "direction": "minimize"}
    record.begin({"task": TASK.name, "params": params.model_dump(mode="json"), "number": 0,
                  "engine": "optuna", "searched": ["lr_g"], "objective": objective})  # fmt: skip
    if kind:
        record.end(Outcome(kind, "", Score(0.5)), 1.0)


def end(trial: Any, kind: OutcomeKind) -> None:
    keep(trial.workdir, trial.params, kind)
    trial.finish(Outcome(kind, "", Score(0.5)))


@pytest.mark.parametrize("kind", [*OutcomeKind, None])
def test_only_what_another_attempt_could_change_is_run_again(
    tmp_path: Path, started: list[Any], kind: OutcomeKind | None
) -> None:
    """Records of another scheduler, which version 0.1.0 had, count as well."""
    params = TASK.params(lr_g=0.003, seed=5)
    keep(tmp_path / "again" / "seed-6", TASK.params(lr_g=0.003, seed=6, threads=7), kind)
    make(tmp_path, again(params, 6, 7))
    seeds = [trial.params.seed for trial in started]
    assert seeds == ([7] if kind in FINAL else [6, 7])
    last = started[-1]
    assert last.params == TASK.params(lr_g=0.003, seed=7)
    assert (last.study, last.workdir) == ("again", tmp_path / "again" / "seed-7")
    assert last.searched == {"lr_g": 0.003}
    started.clear()
    make(tmp_path, again(params, 6, 7))
    assert started == []


def test_a_folder_of_another_best_trial_is_refused(tmp_path: Path, started: list[Any]) -> None:
    params = TASK.params(lr_g=0.003)
    keep(tmp_path / "again" / "seed-1", TASK.params(lr_g=0.5, seed=1), OutcomeKind.COMPLETED)
    with pytest.raises(UserError, match=r"seed-1: holds a run of other parameters \(lr_g was 0.5"):
        make(tmp_path, again(params, 1))
    assert started == []


def test_a_run_whose_folder_was_removed_is_made_again(tmp_path: Path, started: list[Any]) -> None:
    make(tmp_path, again(TASK.params(), 1))
    (tmp_path / "again" / "seed-1").rename(tmp_path / "removed")
    make(tmp_path, again(TASK.params(), 1))
    assert [trial.params.seed for trial in started] == [1, 1]


def test_a_run_that_fails_is_tried_once_a_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def fails(task: Any, trial: Any, progress: Any, runs: Path, **_: Any) -> None:
        tried.append((trial.params.seed, trial.number))
        end(trial, OutcomeKind.FAILED)

    monkeypatch.setattr("core.search.workers.run_trial", fails)
    make(tmp_path, again(TASK.params(), 1, 2))
    assert tried == [(1, 1), (2, 2)]
    make(tmp_path, again(TASK.params(), 1, 2))
    assert tried == [(1, 1), (2, 2)] * 2, "under its own number"


def test_how_a_run_uses_the_machine_is_this_command_s(tmp_path: Path, started: list[Any]) -> None:
    params = TASK.params(threads=3, device="cpu")
    make(tmp_path, again(params, 1))
    make(tmp_path, again(params, 2), fixed={"threads": "2", "device": "cpu"})
    assert [(t.params.threads, t.params.device) for t in started] == [(0, "auto"), (2, "cpu")]


HOLD = """
import os, signal, sys
from pathlib import Path
from core.params import load_task
from core.search.config import QUEUE, SearchConfig
from core.search.study import open_search
config = SearchConfig("glyph_autoencoder", Path(sys.argv[1]), "again", sampler=QUEUE)
search = open_search(config,
                     load_task("glyph_autoencoder"))
trial = next(search.trials())
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_kills_its_process_again_and_again_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = queue(tmp_path, workers=1)
    search = open_search(config, TASK)
    (run,) = again(TASK.params(), 1)
    monkeypatch.setattr("core.replicates.runs.run_search", lambda *_: None)
    run_replicates(config, [run])  # enqueued, and left to the processes below
    for _ in range(1 + RETRIES):
        command = [sys.executable, "-c", HOLD, str(tmp_path)]
        killed = subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert list(search.trials(worker=True)) == []
    outcome = Record(tmp_path / "again" / "seed-1").outcome()
    assert outcome
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.reason == f"its process was killed {1 + RETRIES} times"
    assert not search.own(TrialState.WAITING, TrialState.RUNNING)


def test_two_workers_make_each_run_once_and_a_killed_one_is_replaced(tmp_path: Path) -> None:
    small = {"size": 32, "width": 4, "batch_size": 16, "device": "cpu", "characters": "ascii"}
    small |= {"source_font": "DejaVu Sans", "target_font": "DejaVu Serif"}
    wanted = again(TASK.params(epochs=15, **small), 1, 2)
    records = [Record(tmp_path / "again" / run.folder) for run in wanted]
    killer = threading.Thread(target=kill_one, args=(records[0],))
    killer.start()
    make(tmp_path, wanted, workers=2, fixed={"device": "cpu"})
    killer.join()
    for record in records:
        outcome = record.outcome()
        assert outcome
        assert outcome.kind is OutcomeKind.COMPLETED
        assert [line.epoch for line in record.epochs()] == list(range(1, 16))


def kill_one(record: Record) -> None:
    """Kill -9 the first worker once a run has trained for some epochs."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        if len(record.epochs()) >= 2:
            below = psutil.Process().children(recursive=True)
            workers = [p for p in below if p.ppid() != os.getpid()]  # the fork server's children
            os.kill(workers[0].pid, signal.SIGKILL)
            return
        time.sleep(0.05)


def test_a_cost_is_measured_once_and_a_failure_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[Any] = []
    answers: list[dict[str, Any]] = [{"failed": "no memory"}, {"step_ms": 1.0}, {"step_ms": 2.0}]

    def measure(task: str, params: dict[str, Any]) -> dict[str, Any]:
        measured.append(params)
        return answers[len(measured) - 1]

    monkeypatch.setattr("core.replicates.cost.measure_apart", measure)
    path = tmp_path / "cost.json"
    for _ in range(3):
        keep_cost(TASK, TASK.params(), path)
    assert len(measured) == 2
    write_json(path, {**read_json(path), "note": "kept"})
    keep_cost(TASK, TASK.params(threads=2), path)
    assert len(measured) == 3
