"""gantune dashboard: optuna-dashboard on what the searches left."""

from __future__ import annotations

import argparse

from core.task import UserError

SUMMARY = "optuna-dashboard on the default storage, with the pictures"


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Which storage, and where to serve."""
    parser.add_argument("--storage", help="an Optuna storage URL (default: the file under --runs)")
    told = "where the pictures are: a folder, or s3://BUCKET (default: the folder under --runs)"
    parser.add_argument("--artifacts", help=told)
    parser.add_argument("--host", default="127.0.0.1", help="the address to serve on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8080, help="the port to serve on (8080)")


def run(arguments: argparse.Namespace) -> int:
    """Serve optuna-dashboard until Ctrl-C."""
    from optuna.exceptions import OptunaError
    from optuna_dashboard import run_server
    from sqlalchemy.exc import SQLAlchemyError

    from core.search.artifacts import default_artifacts, open_artifacts
    from core.search.storage import default_storage

    if not arguments.storage and not (arguments.runs / "gantune.db").is_file():
        raise UserError(f"no study under {arguments.runs}/; `gantune tune` makes one")
    storage = arguments.storage or default_storage(arguments.runs)
    store = open_artifacts(arguments.artifacts or default_artifacts(arguments.runs))
    print(f"http://{arguments.host}:{arguments.port}/ (Ctrl-C ends it)", flush=True)
    try:
        run_server(storage, arguments.host, arguments.port, artifact_store=store)
    except (OSError, OverflowError, ValueError, SQLAlchemyError, OptunaError) as error:
        raise UserError(f"dashboard: {str(error).splitlines()[0]}") from None
    return 0
