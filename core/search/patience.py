"""Calls of a storage: made again while it does not answer, ended where waiting cannot help."""

from __future__ import annotations

import functools
import re
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from optuna import exceptions
from sqlalchemy import exc

from core.task import UserError

PATIENCE = 300.0
PAUSE = 0.5
MISSED = 4  # heartbeats, after which a trial is stale
# What passes by itself: SQLite's codes busy, locked and protocol (a race for a lock); SQLSTATEs of
# broken connections, deadlocks, too many connections, a lock not free, a server that shuts down.
PASSING_CODES = (5, 6, 15)
PASSING_STATES = ("08", "40", "53300", "55P03", "57")


class StorageFault(exceptions.StorageInternalError, UserError):
    """A storage that cannot be used, and not by waiting either; why, and what to do."""


class StorageAway(StorageFault):
    """The server of a storage does not answer, or its database does not."""


def make_patient(storage: type[Any], names: Iterable[str]) -> None:
    """Let a storage's methods of these names wait up to its `patience` seconds for an answer.

    `shown` is what the storage is called when it is waited for. Only one attempt is made when a
    wait was given up or interrupted before. They raise StorageFault, kept as the storage's `fault`,
    at once where waiting cannot help, StorageAway where it did not.
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
                if error is self.fault:
                    raise  # the method has called another one, which gave up
                if not away(error) or (since and time.monotonic() - since > self.patience):
                    self.patience, self.fault = 0.0, fault(self.shown, error)
                    raise self.fault from error
                if since is None:
                    since = time.monotonic()
                    if self.patience:
                        message = f"{self.shown} does not answer; waiting for it ({reason(error)})"
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
    cause = error.__cause__ if type(error) is exceptions.StorageInternalError else error
    # Optuna asks a second time for what it could not read, on the connection that has broken
    if isinstance(cause, StorageAway | exc.PendingRollbackError):
        return True
    if not isinstance(cause, exc.DBAPIError):
        return False
    if cause.connection_invalidated:
        return True
    if code := getattr(cause.orig, "sqlite_errorcode", None):
        return code & 0xFF in PASSING_CODES  # its lowest byte is the kind of error
    if state := getattr(cause.orig, "sqlstate", None):
        return str(state).startswith(PASSING_STATES)
    return isinstance(cause, exc.OperationalError | exc.InterfaceError)


def reason(error: BaseException) -> str:
    """What went wrong in the words of the database's driver, in one line."""
    words, cause = str(error), error.__cause__ or error
    while cause.__cause__ and not isinstance(cause, exc.DBAPIError):
        cause = cause.__cause__
    if isinstance(cause, exc.DBAPIError):
        words = str(cause.orig)
    return (words.splitlines() or [type(error).__name__])[0]


def fault(shown: str, error: BaseException) -> StorageFault:
    """The error that says why a storage cannot be used any more, and what to do."""
    why = reason(error)
    if away(error):
        go_on = "when it does, the same command goes on with the study"
        return StorageAway(f"--storage {shown}: does not answer ({why}); {go_on}")
    go_on = "then the same command goes on with the study; or name another --storage"
    return StorageFault(f"--storage {shown}: {why}; {remedy(why)}, {go_on}")


def remedy(why: str) -> str:
    """What helps a database that cannot be used for this reason."""
    full = re.search(r"\bfull\b|no space", why, re.IGNORECASE)
    return "free space for it" if full else "see that it is in its place and may be written to"
