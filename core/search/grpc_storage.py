"""A storage behind `gantune storage-server`: Optuna's gRPC proxy, with a lock and heartbeats.

Optuna's proxy has neither of them. The server has further methods: `hello`, `heartbeat` and
`stale`, whose messages are JSON, and `lock`, a stream that holds a study's lock while it is open.
The streams of a process that dies are closed.
"""

from __future__ import annotations

import functools
import json
import os
import random
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, GrpcStorageProxy

from core.search.config import HEARTBEAT
from core.search.patience import MISSED, PATIENCE, StorageAway, StorageFault, make_patient

SCHEME = "grpc:"
SERVICE = "gantune.Storage"
PORT = 13000
ANSWER = 10.0  # seconds in which a server says hello
INSTALL = "gRPC needs grpcio: pip install 'gantune[grpc]'"
# a server that is back is found within a second; a machine without power is noticed
OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),
)


class GrpcStorage(GrpcStorageProxy):
    """Optuna's storage at grpc://HOST:PORT, asked again for up to `patience` seconds.

    Raises ValueError for another URL or another server than gantune's, ImportError without grpcio,
    StorageAway where no server answers.
    """

    fault: StorageFault | None = None

    def __init__(self, url: str, heartbeat: int = HEARTBEAT) -> None:
        self.target = target_of(url)
        self.shown = url
        self.heartbeat = heartbeat
        self.patience = PATIENCE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            super().__init__()
        self._hello()

    def _setup(self) -> None:
        """Optuna's own channel waits for up to two minutes before it connects again."""
        grpc = import_grpc()
        from optuna.storages._grpc.auto_generated.api_pb2_grpc import StorageServiceStub
        from optuna.storages._grpc.client import GrpcClientCache

        self._channel = grpc.insecure_channel(self.target, options=OPTIONS)
        self._stub = StorageServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._cache = GrpcClientCache(self._stub)

    def record_heartbeat(self, trial_id: int) -> None:
        """Record that the process of a trial lives."""
        self._request("heartbeat", trial_id=trial_id)

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        """Running trials that have missed four heartbeats."""
        found: list[int] = self._request("stale", study_id=study_id, grace=MISSED * self.heartbeat)
        return found

    @contextmanager
    def alone(self, study: str, folder: Path) -> Iterator[None]:
        """Keep every other process, on any machine, from proposing."""
        stream = self._lock(study)
        try:
            yield
        finally:
            stream.cancel()

    def _lock(self, study: str) -> Any:
        """The stream that holds the lock. The server ends one that has not got it after a while."""
        while True:
            stream = self._channel.unary_stream(f"/{SERVICE}/lock")(study.encode())
            try:
                if next(stream, b""):
                    return stream
                time.sleep(random.uniform(0, 0.1))
            except BaseException:
                stream.cancel()
                raise

    def _hello(self) -> None:
        self._request("hello", ANSWER)

    def _request(self, method: str, timeout: float | None = None, **fields: Any) -> Any:
        call = self._channel.unary_unary(f"/{SERVICE}/{method}")
        return json.loads(call(json.dumps(fields).encode(), timeout=timeout))


def import_grpc() -> Any:
    """The module grpc, without its log; ImportError that says what to install."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        import grpc
    except ImportError:
        raise ImportError(INSTALL) from None
    return grpc


def target_of(url: str) -> str:
    """grpc://HOST:PORT -> HOST:PORT; ValueError for anything else."""
    parts = urlsplit(url)
    if not (parts.scheme == "grpc" and parts.hostname and parts.port) or url.count("/") != 2:
        raise ValueError(f"an address looks like grpc://HOST:{PORT}")
    return parts.netloc


def _translated(call: Callable[..., Any]) -> Callable[..., Any]:
    """The method, with the errors that a database has."""

    @functools.wraps(call)
    def translated(self: GrpcStorage, *args: Any, **kwargs: Any) -> Any:
        try:
            return call(self, *args, **kwargs)
        except Exception as error:
            grpc = import_grpc()
            if not isinstance(error, grpc.RpcError):
                raise
            codes, code = grpc.StatusCode, error.code()
            if code is codes.UNIMPLEMENTED:
                raise ValueError("it is no server that `gantune storage-server` started") from None
            away = code in (codes.UNAVAILABLE, codes.DEADLINE_EXCEEDED, codes.CANCELLED)
            raise (StorageAway if away else StorageInternalError)(error.details()) from None

    return translated


_ASKED = (*sorted(BaseStorage.__abstractmethods__), "record_heartbeat", "_get_stale_trial_ids")
for _name in (*_ASKED, "_lock", "_hello"):
    setattr(GrpcStorage, _name, _translated(getattr(GrpcStorage, _name)))
make_patient(GrpcStorage, (*_ASKED, "_lock"))
