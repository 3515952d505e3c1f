"""Ctrl-C and kill: a trial ends by them in good order."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AGAIN = 0.05  # seconds after which a signal that Python ignored is sent again


class Interrupted(BaseException):
    """SIGINT or SIGTERM arrived; not an Exception, so that nothing swallows it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


@contextmanager
def interruptible(signals: tuple[signal.Signals, ...] = SIGNALS) -> Iterator[None]:
    """Turn the first of these signals into Interrupted; a second one kills as usual.

    Python ignores what is raised while it destroys an object, so such a signal is sent again.
    """

    def handle(signum: int, frame: FrameType | None) -> NoReturn:
        for each in signals:
            signal.signal(each, signal.SIG_DFL)
        raise Interrupted(signum)

    def ignored(error: sys.UnraisableHookArgs) -> None:
        if isinstance(error.exc_value, Interrupted):
            for each in signals:
                signal.signal(each, handle)
            threading.Timer(AGAIN, os.kill, (os.getpid(), error.exc_value.signum)).start()
        else:
            hook(error)

    before = {s: signal.signal(s, handle) for s in signals}
    hook, sys.unraisablehook = sys.unraisablehook, ignored
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back until the block is done: an outcome is recorded whole."""
    caught: list[int] = []
    before = {s: signal.signal(s, lambda signum, frame: caught.append(signum)) for s in SIGNALS}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    if caught:
        signal.raise_signal(caught[0])
