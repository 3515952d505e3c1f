"""Calls of a storage that are made again while it does not answer."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from optuna import exceptions
from sqlalchemy import exc

PATIENCE = 300.0
PAUSE = 0.5
MISSED = 4  # heartbeats, after which a trial is stale


class StorageAway(exceptions.StorageInternalError):
    """The server of a storage does not answer, or its database does not."""


def make_patient(storage: type[Any], names: Iterable[str]) -> None:
    """Let a storage's methods of these names wait up to its `patience` seconds for an answer.

    `shown` is what the storage is called when it is waited for. Only one attempt is made when a
    wait was given up or interrupted before.
    """
    for name in names:
        setattr(storage, name, _patient(getattr(storage, name)))


def _patient(call: Callable[..., Any]) -> Callable[..., Any]:
    """The method, called again while the storage is away."""

    @functools.wraps(call)
    def patient(self: Any, *args: Any, **kwargs: Any) -> Any:
        since: float | None = None
        while True:
            try:
                return call(self, *args, **kwargs)
            except (exceptions.StorageInternalError, exc.DBAPIError) as error:
                if not away(error) or (since and time.monotonic() - since > self.patience):
                    self.patience = 0.0
                    raise
                if since is None:
                    since = time.monotonic()
                    if self.patience:
                        message = f"{self.shown} does not answer; waiting for it"
                        print(message, file=sys.stderr, flush=True)
            except exceptions.UpdateFinishedTrialError:
                if since is None:
                    raise
                return True  # the first call got through; only its answer was lost
            try:
                time.sleep(PAUSE)
            except BaseException:
                self.patience = 0.0
                raise

    return patient


def away(error: BaseException) -> bool:
    """Whether the storage may answer later."""
    if isinstance(error, StorageAway):
        return True
    cause = error.__cause__ if isinstance(error, exceptions.StorageInternalError) else error
    broken = isinstance(cause, exc.DBAPIError) and cause.connection_invalidated
    # Optuna asks a second time for what it could not read, on the connection that has broken
    silent = exc.OperationalError | exc.InterfaceError | exc.PendingRollbackError
    return broken or isinstance(cause, silent)
