"""Optuna's storage: SQLite under `runs/`, or a server that several machines share.

A server may be restarted and SQLite may be busy: a call that finds no answer is made again until
there is one. What no waiting mends, such as a full disk, ends the search at once.
"""

from __future__ import annotations

import time
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna import exceptions
from optuna.storages import RDBStorage
from sqlalchemy import URL, exc, make_url, text

from core.search.config import HEARTBEAT
from core.search.grpc_storage import SCHEME, GrpcStorage
from core.search.patience import (
    MISSED,
    PATIENCE,
    PAUSE,
    StorageFault,
    away,
    make_patient,
    reason,
    remedy,
)
from core.task import UserError
from core.training.provenance import without_passwords

ANSWERED_LATER = (
    "_create_new_trial", "_get_best_trial_id", "_get_stale_trial_ids", "_get_trials",
    "_set_trial_param", "create_new_study", "delete_study", "get_study_directions",
    "get_study_id_from_name",
    "get_study_name_from_id", "get_study_system_attrs", "get_study_user_attrs", "get_trial",
    "get_trial_id_from_study_id_trial_number", "record_heartbeat", "set_study_system_attr",
    "set_study_user_attr", "set_trial_intermediate_value", "set_trial_state_values",
    "set_trial_system_attr", "set_trial_user_attr",
)  # fmt: skip

UNUSABLE = (exc.SQLAlchemyError, exceptions.OptunaError, ImportError, ValueError, OSError,
            RuntimeError)  # fmt: skip


class PatientStorage(RDBStorage):
    """Optuna's database, asked again for up to `patience` seconds while it does not answer.

    Only one attempt is made when a wait was given up or interrupted before. A trial that has
    missed four heartbeats, `heartbeat` seconds apart, is stale.
    """

    fault: StorageFault | None = None

    def __init__(self, url: str, heartbeat: int = HEARTBEAT) -> None:
        options: dict[str, Any] = {"pool_pre_ping": True}
        if url.startswith("sqlite"):
            options["connect_args"] = {"timeout": 60}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", exceptions.ExperimentalWarning)
            super().__init__(
                url,
                engine_kwargs=options,
                heartbeat_interval=heartbeat,
                grace_period=MISSED * heartbeat,
            )
        self.shown = without_passwords(url)
        self.heartbeat = heartbeat
        self.patience = PATIENCE

    @contextmanager
    def alone(self, study: str, folder: Path) -> Iterator[None]:
        """Keep every other process, on any machine where the database can, from proposing."""
        if self.engine.dialect.name != "postgresql":
            with FileLock(folder / ".ask.lock"):
                yield
            return
        connection = self._advisory_lock(zlib.crc32(study.encode()))
        try:
            yield
        finally:
            with suppress(exc.SQLAlchemyError):
                connection.close()  # the transaction's end lets the lock go

    def _advisory_lock(self, key: int) -> Any:
        connection = self.engine.connect()
        try:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        except BaseException:
            connection.close()
            raise
        return connection


make_patient(PatientStorage, (*ANSWERED_LATER, "_advisory_lock"))
Storage = PatientStorage | GrpcStorage


def open_storage(url: str, heartbeat: int = HEARTBEAT, patience: float = 0.0) -> Storage:
    """Open or make Optuna's storage; UserError when it is out of reach for `patience` seconds.

    A database in memory is refused: no worker and no later command would see the study.
    """
    until = time.monotonic() + patience
    kind = GrpcStorage if url.startswith(SCHEME) else PatientStorage
    try:
        if kind is PatientStorage and in_memory(make_url(url)):
            raise ValueError(
                "it is in memory, out of reach of workers and later commands; name a "
                "file, such as sqlite:///runs/gantune.db, or leave the flag out"
            )
        while True:
            try:
                return kind(url, heartbeat)
            except (exc.SQLAlchemyError, exceptions.StorageInternalError) as error:
                if not away(error) or time.monotonic() > until:
                    raise
                time.sleep(PAUSE)
    except UNUSABLE as error:
        why = reason(error)
        if isinstance(error, ImportError) and "postgresql" in url:
            why += "; for PostgreSQL: pip install 'gantune[postgresql]', postgresql+psycopg://…"
        what = f"cannot open it ({why})"
        if url.startswith("sqlite") and not isinstance(error, ValueError):
            what += f"; {remedy(why)}, or name another --storage"
        message = without_passwords(f"{url}: {what}")
        raise UserError(f"--storage {message}") from None


def in_memory(url: URL) -> bool:
    """Whether it is an SQLite database without a file."""
    memory = url.database in (None, "", ":memory:", "file:", "file::memory:")
    memory |= bool({"memory", "memdb"}.intersection(url.query.values()))
    return memory and url.get_backend_name() == "sqlite"


def default_storage(runs: Path) -> str:
    """The URL of the SQLite file under `runs`; UserError for a folder that none can name."""
    path = str((runs / "gantune.db").resolve())
    try:
        url = URL.create("sqlite", database=path).render_as_string(hide_password=False)
    except UnicodeEncodeError:
        problem = "no database's URL can hold the name; take another folder, or a UTF-8 locale"
        raise UserError(f"--runs {str(runs)!a}: {problem}") from None
    runs.mkdir(parents=True, exist_ok=True)
    return url
