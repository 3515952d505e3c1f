"""gantune dashboard: optuna-dashboard on the studies that searches left."""

from __future__ import annotations

import argparse

from core.commands.flags import add_storage_flags
from core.task import UserError


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Which storage, and where to serve."""
    add_storage_flags(parser)
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to serve on (default: %(default)s)")
    add("--port", type=int, default=8080, help="port to serve on (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Serve optuna-dashboard until Ctrl-C."""
    from optuna.exceptions import OptunaError
    from optuna_dashboard import run_server
    from sqlalchemy.exc import SQLAlchemyError

    from core.search.artifacts import open_artifacts
    from core.search.grpc_storage import SCHEME
    from core.search.storage import default_storage, open_storage

    runs = arguments.runs
    if not arguments.storage and not (runs / "gantune.db").is_file():
        raise UserError(f"no study under {runs}/; `gantune tune` makes one")
    url = arguments.storage or default_storage(runs)
    storage = open_storage(url) if url.startswith(SCHEME) else url
    store = open_artifacts(arguments.artifacts or str(runs / "artifacts"))
    print(f"http://{arguments.host}:{arguments.port}/ (Ctrl-C ends it)", flush=True)
    try:
        run_server(storage, arguments.host, arguments.port, artifact_store=store)
    except (OSError, OverflowError, ValueError, SQLAlchemyError, OptunaError) as error:
        raise UserError(f"dashboard: {str(error).splitlines()[0]}") from None
    return 0
