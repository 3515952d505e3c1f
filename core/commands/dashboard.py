"""gantune dashboard: optuna-dashboard on the studies that searches left."""

from __future__ import annotations

import argparse
import socket

from core.commands.flags import add_storage_flags
from core.commands.storage_server import port_number
from core.task import UserError


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Which storage, and where to serve."""
    add_storage_flags(parser)
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to serve on (default: %(default)s)")
    message = "port to serve on; 0: any free one (default: %(default)s)"
    add("--port", type=port_number, default=8080, metavar="PORT", help=message)


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
    port = usable_port(arguments.host, arguments.port)
    print(f"http://{arguments.host}:{port}/ (Ctrl-C ends it)", flush=True)
    try:
        run_server(storage, arguments.host, port, artifact_store=store)
    except (OSError, OverflowError, ValueError, SQLAlchemyError, OptunaError) as error:
        raise UserError(f"dashboard: {str(error).splitlines()[0]}") from None
    return 0


def usable_port(host: str, port: int) -> int:
    """The port, or a free one for 0; UserError where nobody can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            attempt.bind((host, port))
            return int(attempt.getsockname()[1])
    except OSError as error:
        why = error.strerror or error
        remedy = "--port names another port, --host another address"
        raise UserError(f"{host}:{port}: cannot listen there ({why}); {remedy}") from None
