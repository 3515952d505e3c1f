"""The server behind grpc://HOST:PORT: Optuna's gRPC proxy in front of a database.

It has what the proxy lacks: a lock for each study, the database's own, so that processes that use
the database itself are kept out too; heartbeats; and an answer that says when the database is away.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from optuna.exceptions import StorageInternalError
from optuna.storages import _CachedStorage
from optuna.storages._grpc.auto_generated.api_pb2_grpc import add_StorageServiceServicer_to_server
from optuna.storages._grpc.servicer import OptunaStorageProxyService
from sqlalchemy.exc import SQLAlchemyError

from core.record import valid_name
from core.search.grpc_storage import SERVICE
from core.search.patience import away, reason
from core.search.storage import PatientStorage
from core.task import UserError

THREADS, LOCKS = 40, 24  # calls at once; those of them that may hold a lock or wait for one
TURN = 1.0  # seconds that a call waits for a lock before it gives way
GRACE = 2.0  # seconds without locks, in which clients of a server before finish what they locked
# Linux lets two servers share a port otherwise; clients may ask whether the server lives
OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.max_receive_message_length", -1),
)


class StorageServer:
    """A database served at `address`, HOST:PORT; a port 0 is replaced by a free one.

    Records lie under `runs`, where those that use SQLite directly have their locks. Raises
    UserError where it cannot listen.
    """

    def __init__(self, storage: PatientStorage, runs: Path, address: str) -> None:
        self.storage = storage
        self.runs = runs
        self.storage.patience = 0.0  # the clients wait
        self.locks: dict[str, threading.Lock] = {}
        self.slots = threading.BoundedSemaphore(LOCKS)
        self.stale_query = threading.Lock()
        self.opens = time.monotonic() + GRACE
        cached = _CachedStorage(storage)
        for study in storage.get_all_studies():  # it refuses parameters of trials unknown to it
            cached.get_all_trials(study._study_id, deepcopy=False)
        self.server = grpc.server(
            ThreadPoolExecutor(THREADS), interceptors=[_AwayInterceptor()], options=OPTIONS
        )
        service = OptunaStorageProxyService(cached)
        add_StorageServiceServicer_to_server(service, self.server)  # type: ignore[no-untyped-call]
        self.server.add_generic_rpc_handlers((self._methods(),))
        try:
            self.port = self.server.add_insecure_port(address)
        except RuntimeError:
            message = f"{address}: cannot listen there; is the port in use? --port names another"
            raise UserError(message) from None
        self.server.start()

    def wait(self) -> None:
        """Serve until Ctrl-C."""
        try:
            self.server.wait_for_termination()
        except KeyboardInterrupt:
            self.server.stop(1.0).wait()

    def _methods(self) -> Any:
        unary = grpc.unary_unary_rpc_method_handler
        methods = {
            "hello": unary(_json(dict)),
            "heartbeat": unary(_json(self.storage.record_heartbeat)),
            "stale": unary(_json(self._stale)),
            "lock": grpc.unary_stream_rpc_method_handler(self._lock),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def _stale(self, study_id: int, grace: int) -> list[int]:
        """The running trials without a heartbeat for `grace` seconds, of the client's choice."""
        with self.stale_query:
            self.storage.grace_period = grace
            return self.storage._get_stale_trial_ids(study_id)

    def _lock(self, request: bytes, context: Any) -> Iterator[bytes]:
        """Hold a study's lock while the client listens; end without a word when it is not free."""
        if not self.slots.acquire(blocking=False):
            return
        try:
            folder = self.runs / valid_name(request.decode())
            folder.mkdir(parents=True, exist_ok=True)
            time.sleep(max(0.0, self.opens - time.monotonic()))
            lock = self.locks.setdefault(folder.name, threading.Lock())
            if lock.acquire(timeout=TURN):
                try:
                    yield from self._held(folder, context)
                finally:
                    lock.release()
        except (StorageInternalError, SQLAlchemyError) as error:
            _abort(context, error)
        except (UserError, OSError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        finally:
            self.slots.release()

    def _held(self, folder: Path, context: Any) -> Iterator[bytes]:
        ended = threading.Event()
        with self.storage.alone(folder.name, folder):
            if context.add_callback(ended.set):
                yield b"held"
                ended.wait()


class _AwayInterceptor:
    """Tells clients that the database is away, which Optuna's service leaves to chance."""

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        handler = continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler

        def answer(request: Any, context: Any) -> Any:
            try:
                return handler.unary_unary(request, context)
            except (StorageInternalError, SQLAlchemyError) as error:
                _abort(context, error)

        return grpc.unary_unary_rpc_method_handler(
            answer, handler.request_deserializer, handler.response_serializer
        )


def _abort(context: Any, error: Exception) -> None:
    codes = grpc.StatusCode
    code = codes.UNAVAILABLE if away(error) else codes.INTERNAL
    context.abort(code, f"the database: {reason(error)}")


def _json(call: Callable[..., Any]) -> Callable[[bytes, Any], bytes]:
    """A method whose messages are JSON."""
    return lambda request, context: json.dumps(call(**json.loads(request))).encode()
