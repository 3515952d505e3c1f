"""gantune storage-server: one address by which all machines reach a study's database."""

from __future__ import annotations

import argparse
import socket

from core.task import UserError


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Which database, and where to serve."""
    add = parser.add_argument
    message = "the database to serve (default: an SQLite file under --runs)"
    add("--storage", default="", metavar="URL", help=message)
    message = "address to serve on; 0.0.0.0: all of this machine's, and whoever reaches the port "
    message += "may change the studies (default: %(default)s)"
    add("--host", default="127.0.0.1", help=message)
    message = "port to serve on; 0: any free one (default: %(default)s)"
    add("--port", type=port_number, default=13000, metavar="PORT", help=message)


def port_number(text: str) -> int:
    """A TCP port, for argparse."""
    if not 0 <= (port := int(text)) < 2**16:
        raise ValueError
    return port


def run(arguments: argparse.Namespace) -> int:
    """Serve the database until Ctrl-C."""
    import optuna

    from core.search.grpc_storage import SCHEME, import_grpc
    from core.search.storage import PatientStorage, default_storage, open_storage

    try:
        import_grpc()
        from core.search.storage_server import StorageServer
    except (ImportError, RuntimeError) as error:  # Optuna's code is made for some versions of it
        raise UserError(f"storage-server: {error}") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = arguments.storage or default_storage(arguments.runs)
    storage = None if url.startswith(SCHEME) else open_storage(url)
    if not isinstance(storage, PatientStorage):
        raise UserError(f"--storage {url}: name a database; other servers cannot be served")
    host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
    server = StorageServer(storage, arguments.runs, f"{host}:{arguments.port}")
    reached = socket.gethostname() if host in ("0.0.0.0", "[::]") else host
    print(f"serving {storage.shown} at {host}:{server.port} (Ctrl-C ends it)")
    print(f"for other commands: --storage grpc://{reached}:{server.port}", flush=True)
    server.wait()
    return 0
