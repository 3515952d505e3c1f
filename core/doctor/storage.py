"""Optuna's storage: reachable, whole, of this Optuna's schema, its studies the right way round.

Looking changes nothing: SQLite is opened read-only, PostgreSQL in read-only transactions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
import sqlalchemy
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from optuna.storages import RDBStorage
from sqlalchemy import URL, Engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from core.doctor.disk import network_file_system
from core.doctor.finding import Finding, error, first_line, warning

PATIENCE = 3


def check(url: str, directions: Mapping[str, str]) -> list[Finding]:
    """Check the storage (`directions`: each task's, maximize or minimize)."""
    where = f"storage {url}"
    try:
        parsed = make_url(url)
    except SQLAlchemyError as problem:
        remedy = "sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
        return [error(where, first_line(problem), remedy)]
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(where, parsed, directions)
    return _database(where, parsed, directions)


def _sqlite(where: str, url: URL, directions: Mapping[str, str]) -> list[Finding]:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        what = "is no file on disk, and workers could not share it"
        return [error(where, what, "sqlite:///FILE, or leave --storage out")]
    path = Path(url.database)
    wrong = []
    if kind := network_file_system(path):
        what = f"SQLite on a network file system ({kind}) loses writes and locks up"
        wrong.append(warning(where, what, "take a local disk, or postgresql+psycopg://…"))
    if not path.exists():
        if path.absolute().parent.is_dir():
            return wrong  # the first search makes it
        what = f"there is no folder {path.absolute().parent}"
        return [*wrong, error(where, what, "make it, or name another")]
    if broken := _broken(where, path):
        return [*wrong, *broken]
    read_only = url.set(database=f"file:{quote(str(path.absolute()))}")
    read_only = read_only.update_query_dict({"mode": "ro", "uri": "true"})
    return wrong + _database(where, read_only, directions)


def _broken(where: str, path: Path) -> list[Finding]:
    """A file that is damaged, is no database, or that another process does not let go of."""
    address = f"file:{quote(str(path.absolute()))}?mode=rw"
    try:
        with closing(sqlite3.connect(address, PATIENCE, isolation_level=None, uri=True)) as file:
            (said,) = file.execute("PRAGMA quick_check(1)").fetchone()
            if said != "ok":
                return [error(where, f"damaged ({said})", "restore a copy, or take another")]
            file.execute("BEGIN IMMEDIATE")
            file.execute("ROLLBACK")
    except sqlite3.OperationalError as problem:
        if "locked" in str(problem):
            what = f"locked for more than {PATIENCE} s by another process"
            return [error(where, what, "end it; `fuser FILE` names it")]
        return [error(where, f"cannot be opened ({problem})", "mend its mode, or take another")]
    except sqlite3.DatabaseError as problem:
        return [error(where, f"damaged ({problem})", "restore a copy, or take another")]
    return []


def _database(where: str, url: URL, directions: Mapping[str, str]) -> list[Finding]:
    try:
        engine = sqlalchemy.create_engine(url, connect_args=_options(url))
    except (SQLAlchemyError, ImportError) as problem:
        remedy = "pip install 'gantune[postgresql]', and postgresql+psycopg://…"
        return [error(where, first_line(problem), remedy)]
    try:
        wrong, ready = _schema(where, engine)
    except SQLAlchemyError as problem:
        reason = first_line(getattr(problem, "orig", None) or problem)
        return [error(where, f"out of reach ({reason})", "start the server, or mend the URL")]
    finally:
        engine.dispose()
    return wrong + (_studies(where, url, directions) if ready else [])


def _options(url: URL) -> dict[str, Any]:
    """Give up soon, and write nothing, where the driver can be told so."""
    if url.get_backend_name() == "postgresql" and url.get_driver_name().startswith("psycopg"):
        return {"connect_timeout": PATIENCE, "options": "-c default_transaction_read_only=on"}
    return {}


def _schema(where: str, engine: Engine) -> tuple[list[Finding], bool]:
    """Whether Optuna's tables are there and this Optuna's; an empty database is as good."""
    with engine.connect() as connection:
        if not sqlalchemy.inspect(connection).has_table("studies"):
            return _may_create(where, connection), False
        revision = MigrationContext.configure(connection).get_current_revision()
    folder = Path(optuna.storages.__file__).parent / "_rdb" / "alembic"
    script = ScriptDirectory(str(folder))
    if revision == script.get_current_head():
        return [], True
    if revision and revision not in {known.revision for known in script.walk_revisions()}:
        what = f"schema {revision} is of an Optuna newer than {optuna.__version__}"
        return [error(where, what, "pip install --upgrade optuna")], False
    what = f"schema {revision or 'of an old Optuna'}, Optuna {optuna.__version__} wants "
    what += str(script.get_current_head())
    return [error(where, what, "optuna storage upgrade --storage URL")], False


def _may_create(where: str, connection: sqlalchemy.Connection) -> list[Finding]:
    """From PostgreSQL 15 on not every user may make tables."""
    if connection.dialect.name != "postgresql":
        return []
    asked = "SELECT current_user, has_schema_privilege(current_schema(), 'CREATE')"
    user, may = connection.execute(sqlalchemy.text(asked)).one()
    if may:
        return []
    what = f"user {user} may not make Optuna's tables"
    return [error(where, what, f"GRANT CREATE ON SCHEMA public TO {user}")]


def _studies(where: str, url: URL, directions: Mapping[str, str]) -> list[Finding]:
    """Studies that search away from what their task is after."""
    storage = RDBStorage(
        url.render_as_string(hide_password=False),
        engine_kwargs={"connect_args": _options(url)},
        skip_compatibility_check=True,
        skip_table_creation=True,
    )
    wrong = []
    try:
        for study in storage.get_all_studies():
            task = study.user_attrs.get("setup", {}).get("task")
            ways = [direction.name.lower() for direction in study.directions]
            if task in directions and ways != [directions[task]]:
                what = f"it is to {' and '.join(ways)}, its task {task} to {directions[task]}"
                remedy = f"optuna delete-study --study-name {study.study_name}, or name another"
                wrong.append(error(f"{where}: study {study.study_name!r}", what, remedy))
    except SQLAlchemyError as problem:
        wrong.append(error(where, first_line(problem)))
    finally:
        storage.engine.dispose()
    return wrong
