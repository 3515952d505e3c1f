"""`gantune storage-server`: real servers, real clients, kills of both, the database's way away."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

import optuna
import pytest
from optuna.storages import run_grpc_proxy_server
from optuna.trial import TrialState

from core.cli import main
from core.record import Study
from core.search.grpc_storage import GrpcStorage
from core.search.storage import default_storage, open_storage
from core.task import OutcomeKind, UserError
from tests.conftest import GANTUNE, ROOT, free_port
from tests.postgres import Postgres

TOTAL, EPOCHS = 3, 15


class Server:
    """A `gantune storage-server` in front of a database, on a port that it keeps."""

    def __init__(self, runs: Path, storage: str = "") -> None:
        self.port = free_port()
        self.words = ["storage-server", "--runs", str(runs), "--port", str(self.port)]
        self.words += ["--storage", storage] if storage else []
        self.url = f"grpc://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [GANTUNE, *self.words], cwd=ROOT, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout
        self.said = [self.process.stdout.readline() for _ in range(2)]
        assert self.said[1] == f"for other commands: --storage {self.url}\n", self.said

    def end(self, how: int = signal.SIGKILL) -> int:
        self.process.send_signal(how)
        self.process.communicate(timeout=20)
        return self.process.returncode


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server in front of SQLite."""
    started = Server(tmp_path / "server")
    yield started
    started.end()


@contextmanager
def machine(runs: Path, host: str, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """`gantune tune` on a machine of this name, with what it says in `runs/said`."""
    runs.mkdir(exist_ok=True)
    words = ["--trials", str(TOTAL), "--epochs", str(EPOCHS), "--workers", "1", "--pruner", "none"]
    words += ["--threads", "1", "--device", "cpu", "--runs", str(runs), "--storage", url]
    words += ["--study", "shared", "--heartbeat", "1"]
    named = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', host]
    with (runs / "said").open("wb") as said:
        command = [*named, GANTUNE, "tune", "function_fit", *words]
        process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_for(text: str, runs: Path) -> None:
    deadline = time.monotonic() + 60
    while text not in (said := (runs / "said").read_text()):
        assert time.monotonic() < deadline, said
        time.sleep(0.05)


def test_a_dead_machine_and_a_restarted_server_lose_nothing(tmp_path: Path, server: Server) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    with machine(one, "one", server.url) as dying, machine(two, "two", server.url) as other:
        wait_for(" epoch 3/", one)
        dying.kill()
        wait_for(" epoch 3/", two)
        server.end()
        wait_for("does not answer; waiting for it", two)
        server.start()
        assert other.wait(60) == 0, (two / "said").read_text()
    assert "Traceback" not in (one / "said").read_text() + (two / "said").read_text()
    study = optuna.load_study(study_name="shared", storage=default_storage(tmp_path / "server"))
    assert not study.get_trials(states=(TrialState.RUNNING, TrialState.WAITING))
    done = study.get_trials(states=(TrialState.COMPLETE,))
    assert sorted(t.user_attrs["number"] for t in done) == list(range(TOTAL)), "each exactly once"
    (lost,) = study.get_trials(states=(TrialState.FAIL,))
    assert lost.user_attrs["runs"].startswith("one:")
    records = {r.trial()["number"]: r for r in Study.open(two, "shared").records()}
    ended = records[lost.user_attrs["number"]].outcome()
    assert ended
    assert ended.kind is OutcomeKind.COMPLETED


def hold(url: str, pipe: Connection) -> None:
    """Hold the study's lock until the process is killed."""
    with GrpcStorage(url).alone("s", Path("nowhere")):
        pipe.send("held")
        time.sleep(600)


def test_the_lock_is_one_for_all_and_is_released_when_its_process_dies(
    server: Server, tmp_path: Path
) -> None:
    context = mp.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    holder = context.Process(target=hold, args=(server.url, sender))
    holder.start()
    assert receiver.poll(60)
    storage, database = GrpcStorage(server.url), open_storage(default_storage(tmp_path / "server"))
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for each in (storage, database):  # who uses the database itself is kept out too
        signal.setitimer(signal.ITIMER_REAL, 1.5)
        with pytest.raises(KeyboardInterrupt), each.alone("s", tmp_path / "server" / "s"):
            pass
    with storage.alone("another", tmp_path):
        pass
    assert holder.pid
    os.kill(holder.pid, signal.SIGKILL)
    started = time.monotonic()
    with storage.alone("s", tmp_path):
        assert time.monotonic() - started < 5
    holder.join()


def test_a_database_that_is_away_is_waited_for_by_the_clients(
    tmp_path: Path, postgres: Postgres
) -> None:
    server = Server(tmp_path, postgres.url)
    try:
        storage = open_storage(server.url)
        study = optuna.create_study(storage=storage, study_name="s")
        trial = study.ask()
        postgres.kill()
        storage.patience = 0.0
        with pytest.raises(optuna.exceptions.StorageInternalError, match="the database: "):
            trial.report(1.0, 1)
        storage.patience = 60.0
        postgres.start()
        trial.report(1.0, 1)
        server.end()
        server.start()
        assert trial.suggest_float("x", 0, 1) <= 1, "a server that never saw the trial begin"
        with storage.alone("s", tmp_path):
            study.tell(trial, 1.0)
        assert [t.state for t in study.trials] == [TrialState.COMPLETE]
        assert server.end(signal.SIGINT) == 0
    finally:
        server.end()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("grpc://", "an address looks like grpc://HOST:13000"),
        ("grpc://localhost", "an address looks like"),
        ("grpc://localhost:70000", "out of range"),
        ("grpc://localhost:13000/path", "an address looks like"),
        ("grpc://127.0.0.1:1", "refused"),
    ],
)
def test_an_address_that_is_none_is_one_clear_error(url: str, reason: str) -> None:
    with pytest.raises(UserError, match=rf"^--storage {url}: cannot open it \(.*{reason}.*\)$"):
        open_storage(url)


def test_servers_and_installations_that_do_not_fit_are_clear_errors(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fails(complaint: str, *words: str) -> None:
        with suppress(SystemExit):
            assert main(["storage-server", "--runs", str(tmp_path), *words]) == 2
        assert complaint in capsys.readouterr().err

    fails("is the port in use?", "--port", str(server.port))
    fails("cannot open it", "--storage", "nonsense")
    fails("name a database", "--storage", server.url)
    fails("argument --port", "--port", "99999")
    code = (
        f"import sys, {run_grpc_proxy_server.__module__} as server; from optuna.storages import *\n"
    )
    code += "served = server.make_server(InMemoryStorage(), '127.0.0.1', int(sys.argv[1]))\n"
    code += "served.start(); print('started', flush=True); served.wait_for_termination()"
    port, pipe = str(free_port()), subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code, port], stdout=pipe) as foreign:
        assert foreign.stdout
        foreign.stdout.readline()
        with pytest.raises(UserError, match="no server that `gantune storage-server` started"):
            open_storage(f"grpc://127.0.0.1:{port}")
        foreign.kill()
    monkeypatch.setitem(sys.modules, "grpc", None)
    fails("pip install 'gantune[grpc]'")
    with pytest.raises(UserError, match=r"pip install 'gantune\[grpc\]'"):
        open_storage(server.url)
