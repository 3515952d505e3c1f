"""Several processes at one study: real workers, real kills, a real PostgreSQL that goes away."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import psutil
import pytest
from optuna.trial import TrialState

from core.device import Share, shares, workers_for
from core.record import Record, Study
from core.search.storage import default_storage, open_storage
from core.task import OutcomeKind, Params
from tests.conftest import GANTUNE, ROOT, TINY_GLYPHS, smallest
from tests.postgres import Postgres
from trials.glyph_autoencoder import TASK

EPOCHS = 40


def command(runs: Path, *more: str) -> list[str]:
    space = runs.with_name("space.json")
    space.write_text(json.dumps({"lr_g": {"_type": "loguniform", "_value": [2e-3, 1e-2]}}))
    small = [*TINY_GLYPHS, "--skip", "concat", "--epochs", str(EPOCHS)]
    small += ["--pruner", "none", "--space", str(space)]
    where = ["--study", "pool", "--runs", str(runs)]
    return [GANTUNE, "tune", "glyph_autoencoder", *small, *where, *more]


@pytest.fixture(scope="module", autouse=True)
def reader(evaluators: Path) -> None:
    """The evaluator that reads these glyphs is there before a clock runs."""
    params = smallest(TASK, evaluators)
    TASK.evaluator(params).prepare(TASK.load(params), evaluators, lambda line: None)


EAGER = ("--compile", "off")  # nobody waits for the end of so many epochs


@contextmanager
def tuning(runs: Path, *more: str, host: str = "") -> Iterator[subprocess.Popen[str]]:
    """`gantune tune` at work, on a host of this name, with what it says in `runs/said`."""
    where = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', host] if host else []
    with (runs / "said").open("a") as said:
        process = subprocess.Popen(
            [*where, *command(runs, *more)], cwd=ROOT, stderr=said, stdout=said, text=True
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def said(runs: Path) -> str:
    return (runs / "said").read_text()


def wait_until(condition: Callable[[], object], seconds: float, runs: Path) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, said(runs)
        time.sleep(0.05)


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes at work under a `gantune tune`."""
    found = []
    for child in psutil.Process(process.pid).children():
        try:
            if any("forkserver" in word for word in child.cmdline()):
                found += child.children()
        except psutil.Error:
            continue
    return found


def at_work(process: subprocess.Popen[str], runs: Path) -> list[psutil.Process]:
    """Those of them that hold a trial's record, as the kernel sees it; asking opens it too."""
    records = {str(lock.stat().st_ino) for lock in runs.glob("pool/*/.lock")}
    locks = [line.split() for line in Path("/proc/locks").read_text(encoding="utf-8").splitlines()]
    holders = {int(pid) for _, _, _, _, pid, file, *_ in locks if file.split(":")[-1] in records}
    return [worker for worker in workers(process) if worker.pid in holders]


def scores(runs: Path) -> dict[int, float]:
    """The score of each trial's record; every one of them complete, with all its epochs, once."""
    found = {}
    for record in Study.open(runs, "pool").records():
        outcome = record.outcome()
        assert outcome is not None, record.folder
        assert outcome.score, outcome
        assert outcome.kind is OutcomeKind.COMPLETED
        assert [line.epoch for line in record.epochs()] == list(range(1, EPOCHS + 1))
        found[record.trial()["number"]] = outcome.score.value
    return found


def finished(storage: str) -> list[int]:
    """The numbers of the trials that are finished in the study, by what they continue."""
    database = open_storage(storage)
    study = optuna.load_study(study_name="pool", storage=database)
    assert not study.get_trials(states=(TrialState.RUNNING, TrialState.WAITING))
    done = study.get_trials(states=(TrialState.COMPLETE,))
    database.engine.dispose()
    return sorted(int(t.user_attrs["number"]) for t in done)


def test_kills_and_a_restarted_database_lose_nothing(runs: Path, postgres: Postgres) -> None:
    total, chance = 7, random.Random(0)
    words = ("--workers", "2", "--trials", str(total), "--storage", postgres.url)
    with tuning(runs, *words, "--retries", "5") as process:
        for kill in range(5):
            wait_until(lambda: at_work(process, runs), 90, runs)
            time.sleep(chance.uniform(0, 1))
            if there := at_work(process, runs):
                os.kill(chance.choice(there).pid, signal.SIGKILL)
            if kill == 2:
                postgres.kill()
                time.sleep(2)
                postgres.start()
        assert process.wait(240) == 0, said(runs)
    assert "killed by SIGKILL" in said(runs)
    assert "Traceback" not in said(runs)
    assert finished(postgres.url) == list(range(total)), "exactly N, none twice, none running"
    found = scores(runs)
    assert sorted(found) == list(range(total))
    best = json.loads((runs / "pool" / "best.json").read_text())["best"]
    assert best["score"] == min(found.values())
    assert found[best["trial"]] == best["score"]


def test_a_machine_that_dies_loses_no_trial(
    runs: Path, evaluators: Path, tmp_path: Path, postgres: Postgres
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "evaluators").symlink_to(evaluators)
    words = ("--workers", "1", "--trials", "3", "--storage", postgres.url, "--heartbeat", "1")
    with tuning(elsewhere, *words, host="elsewhere"):
        wait_until(lambda: "trial 0 epoch 2/" in said(elsewhere), 60, elsewhere)
    with tuning(runs, *words) as process:
        assert process.wait(120) == 0, said(runs)
    assert finished(postgres.url) == [0, 1, 2]
    assert sorted(scores(runs)) == [0, 1, 2], "trial 0 began again, its record being elsewhere"


def test_ctrl_c_stops_all_and_the_same_command_goes_on(runs: Path) -> None:
    words = ("--workers", "2", "--trials", "3")
    with tuning(runs, *words) as process:
        wait_until(lambda: "epoch 1/" in said(runs), 90, runs)
        pool = workers(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130, said(runs)
        assert pool
        assert not any(worker.is_running() for worker in pool)
    assert "nothing is lost" in said(runs)
    assert "Traceback" not in said(runs)
    epochs = {r.folder.name: r.epochs() for r in Study.open(runs, "pool").records()}
    again = subprocess.run(command(runs, *words), cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert finished(default_storage(runs)) == [0, 1, 2]
    assert len(scores(runs)) == 3
    told = {record.trial()["command"] for record in Study.open(runs, "pool").records()}
    assert told == {shlex.join(["gantune", *command(runs, *words)[1:]])}, "a worker's is the user's"
    for name, before in epochs.items():
        assert Record(runs / "pool" / name).epochs()[: len(before)] == before, "not done twice"


def test_workers_whose_parent_is_killed_end_by_themselves(runs: Path) -> None:
    with tuning(runs, "--workers", "2", "--trials", "4", "--epochs", "1000", *EAGER) as process:
        wait_until(lambda: "epoch 1/" in said(runs), 90, runs)
        pool = workers(process)
        process.kill()
        _, left = psutil.wait_procs(pool, timeout=20)
    assert not left
    outcomes = {e.kind for r in Study.open(runs, "pool").records() if (e := r.outcome())}
    assert outcomes == {OutcomeKind.INTERRUPTED}


def test_a_trial_that_kills_its_process_each_time_is_given_up(runs: Path) -> None:
    words = ("--workers", "2", "--trials", "2", "--retries", "1", "--epochs", "100000", *EAGER)
    with tuning(runs, *words) as process:
        deadline = time.monotonic() + 240
        while process.poll() is None:
            assert time.monotonic() < deadline, said(runs)
            before = at_work(process, runs)
            time.sleep(
                0.5
            )  # the process that fails a stale trial holds its record for an instant only
            for worker in [w for w in at_work(process, runs) if w in before][:1]:
                worker.kill()
    assert process.returncode == 1, said(runs)
    outcomes = [r.outcome() for r in Study.open(runs, "pool").records()]
    assert [e.kind for e in outcomes if e] == [OutcomeKind.FAILED] * 2
    assert {e.reason for e in outcomes if e} == {"its process was killed 2 times"}


@pytest.mark.parametrize(("cores", "count", "threads"), [(2, 2, 1), (8, 3, 2), (2, 5, 1)])
def test_the_threads_are_divided(
    monkeypatch: pytest.MonkeyPatch, cores: int, count: int, threads: int
) -> None:
    monkeypatch.setattr("core.device.cores", lambda: cores)
    monkeypatch.setattr("core.device.gpus", list)
    assert shares(count) == [Share(threads)] * count


def test_gpus_are_handed_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.device.gpus", lambda: ["0", "3"])
    assert [share.gpu for share in shares(3)] == ["0", "3", "0"]


@pytest.mark.parametrize(
    ("cores", "threads", "count"), [(2, 0, 2), (16, 0, 4), (8, 4, 2), (2, 4, 1)]
)
def test_the_default_fits_the_machine(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int, count: int
) -> None:
    monkeypatch.setattr("core.device.cores", lambda: cores)
    assert workers_for(Params(device="cpu", threads=threads)) == count
