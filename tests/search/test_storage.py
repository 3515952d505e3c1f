"""Databases that go away in the middle of a question, and others that no waiting brings back."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy import Engine, create_engine, event, text

from core.cli import main
from core.record import Record
from core.search.config import SearchConfig
from core.search.storage import default_storage, open_storage
from core.search.study import open_search
from core.search.workers import run_trials
from core.task import OutcomeKind, Score, UserError
from core.training.progress import Progress
from core.training.signals import interruptible
from tests.postgres import Postgres
from tests.search import hill


def test_a_connection_that_breaks_amid_a_read_costs_nothing(postgres: Postgres) -> None:
    """Optuna asks a second time on the connection that has broken; that is no end either."""
    database = open_storage(postgres.url)
    study = optuna.create_study(storage=database, study_name="s")
    study.add_trial(optuna.trial.create_trial(value=1.0))
    broken: list[str] = []

    def breaks(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "FROM trials" in statement and not broken:
            broken.append(statement)
            pid = connection.connection.dbapi_connection.info.backend_pid
            with database.engine.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})

    event.listen(database.engine, "before_cursor_execute", breaks)
    (trial,) = optuna.load_study(study_name="s", storage=database).get_trials()
    assert broken
    assert trial.value == 1.0
    database.engine.dispose()


@pytest.mark.parametrize("patience", [20.0, 0.0])
def test_a_connection_that_breaks_amid_the_opening_is_waited_for(
    postgres: Postgres, patience: float
) -> None:
    """A worker that begins while the database is restarted; the command itself says so at once."""
    elsewhere, broken = create_engine(postgres.url), list[str]()

    def breaks(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "INSERT INTO version_info" in statement and not broken:
            broken.append(statement)
            pid = connection.connection.dbapi_connection.info.backend_pid
            with elsewhere.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})

    event.listen(Engine, "before_cursor_execute", breaks)
    try:
        if patience:
            database = open_storage(postgres.url, patience=patience)
            assert optuna.create_study(storage=database, study_name="s").trials == []
            database.engine.dispose()
        else:
            with pytest.raises(UserError, match="cannot open it"):
                open_storage(postgres.url)
    finally:
        event.remove(Engine, "before_cursor_execute", breaks)
        elsewhere.dispose()
    assert broken


def removed(file: Path) -> None:
    file.unlink()


def replaced_by_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def overwritten(file: Path) -> None:
    file.write_bytes(b"no database" * 1000)


@pytest.mark.parametrize(
    ("fault", "reason", "remedy"),
    [
        (None, "attempt to write a readonly database", "may be written to"),
        ("full", "database or disk is full", "free space for it"),
        (removed, "no such table: studies", "in its place"),
        (replaced_by_a_folder, "unable to open database file", "in its place"),
        (emptied, "no such table: studies", "in its place"),
        (overwritten, "file is not a database", "in its place"),
    ],
)
def test_a_lasting_fault_ends_at_once_with_the_drivers_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
    fault: Callable[[Path], None] | str | None, reason: str, remedy: str,
) -> None:  # fmt: skip
    file = tmp_path / "study.db"
    optuna.create_study(storage=open_storage(f"sqlite:///{file}"), study_name="s")
    url = f"sqlite:///{file}" if fault else f"sqlite:///file:{file}?mode=ro&uri=true"
    storage = open_storage(url)
    study = optuna.load_study(study_name="s", storage=storage)
    storage.engine.dispose()
    if fault == "full":
        event.listen(storage.engine, "connect", lambda c, _: c.execute("PRAGMA max_page_count = 1"))
    elif callable(fault):
        fault(file)
    started = time.monotonic()
    with pytest.raises(UserError) as caught:
        study.set_user_attr("long", "x" * 100_000)
    assert time.monotonic() - started < 30
    message = str(caught.value)
    assert message.startswith(f"--storage {url}: {reason}; ")
    assert remedy in message
    assert "waiting" not in capsys.readouterr().err
    assert storage.fault is caught.value


@pytest.mark.parametrize("patient", [True, False])
def test_a_busy_database_is_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], patient: bool
) -> None:
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    study = optuna.create_study(storage=storage, study_name="s")
    storage.engine.dispose()
    event.listen(storage.engine, "connect", lambda c, _: c.execute("PRAGMA busy_timeout = 1"))
    with sqlite3.connect(tmp_path / "study.db", check_same_thread=False) as other:
        other.execute("BEGIN EXCLUSIVE")
        if patient:
            threading.Timer(1.5, other.rollback).start()
            study.set_user_attr("a", 1)
            assert study.user_attrs == {"a": 1}
        else:
            storage.patience = 0.6
            message = r"does not answer \(database is locked\); when it does, the same command goes"
            with pytest.raises(UserError, match=message):
                study.set_user_attr("a", 1)
    assert "does not answer; waiting for it (database is locked)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("ALTER ROLE gantune SET default_transaction_read_only = on", "read-only transaction"),
        (
            "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE 'No space left on device' "
            "USING ERRCODE = 'disk_full'; END $$ LANGUAGE plpgsql; CREATE TRIGGER refuse BEFORE "
            "INSERT ON study_user_attributes EXECUTE FUNCTION refuse()",
            "No space left on device; free space",
        ),
    ],
)
def test_a_lasting_fault_of_a_server_ends_at_once_too(
    postgres: Postgres, sql: str, reason: str
) -> None:
    storage = open_storage(postgres.url)
    study = optuna.create_study(storage=storage, study_name="s")
    with storage.engine.begin() as connection:
        connection.execute(text(sql))
    storage.engine.dispose()
    started = time.monotonic()
    with pytest.raises(UserError, match=reason):
        study.set_user_attr("a", 1)
    assert time.monotonic() - started < 30
    storage.engine.dispose()


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "sqlite:///file:s?mode=memory&cache=shared&uri=true"],
)
@pytest.mark.parametrize("command", [["tune", "function_fit"], ["storage-server"]])
def test_a_database_in_memory_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], url: str
) -> None:
    assert main([*command, "--runs", str(tmp_path), "--storage", url]) == 2
    assert "in memory, out of reach of workers and later commands" in capsys.readouterr().err


class Removing(Progress):
    """Takes the database away while a trial runs."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    def scored(self, epoch: int, score: Score, rate: float, slot: int = 0) -> None:
        if epoch == 1 and self.file.is_file():
            self.file.rename(self.file.with_name("elsewhere"))


def test_a_fault_amid_a_trial_is_the_commands_error_and_costs_no_epoch(tmp_path: Path) -> None:
    config = SearchConfig(
        "hill", tmp_path, "s", default_storage(tmp_path), hill.SPACE, {"epochs": "3"}, trials=2
    )
    file = tmp_path / "gantune.db"
    with interruptible(), pytest.raises(UserError, match="attempt to write a readonly database"):
        run_trials(open_search(config, hill.TASK), Removing(file))
    record = Record(config.folder / "0000")
    assert record.outcome().kind is OutcomeKind.INTERRUPTED  # type: ignore[union-attr]
    assert len(record.epochs()) == 1
    file.with_name("elsewhere").rename(file)
    run_trials(search := open_search(config, hill.TASK), Progress())
    assert [kind.kind for _, kind in search.ended()] == [OutcomeKind.COMPLETED] * 2
    assert [line.epoch for line in record.epochs()] == [1, 2, 3]
