"""A database that goes away in the middle of a question, for real."""

from __future__ import annotations

from typing import Any

import optuna
from sqlalchemy import event, text

from core.search.storage import open_storage
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
