"""A database that goes away in the middle of a question, for real."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from sqlalchemy import Engine, create_engine, event, text

from core.search.storage import open_storage
from core.task import UserError
from tests.postgres import Postgres


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
