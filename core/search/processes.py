"""How this machine's workers begin: forked from one process that has imported all they need.

The imports, PyTorch's above all, take seconds and hundreds of megabytes. On Linux one process, the
fork server, makes them once, while the command itself still prepares. Its workers share them, and
one that replaces another starts at once. It trains nothing and never initialises CUDA. Elsewhere
each worker is a fresh process.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver, get_context, resource_tracker
from multiprocessing.context import ForkServerContext, SpawnContext

from core.params import task_summaries
from core.training.signals import SIGNALS

# torch._dynamo: the first optimiser imports it, though nothing is compiled, and it takes a second
IMPORTS = "core.search.workers", "torch._dynamo"
CORES = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
ALONE = re.compile(r"--(workers|trials)[ =]0*1\b|(?<!\S)(-h|--help)(?!\S)")


def start_context() -> ForkServerContext | SpawnContext:
    """What starts workers."""
    return get_context("forkserver") if sys.platform == "linux" else get_context("spawn")


def preload(argv: Sequence[str]) -> None:
    """Begin to import the tasks of a command line for its workers, unless it will have none."""
    tasks = [f"trials.{word}" for word in argv if word in task_summaries()]
    if tasks and CORES > 1 and not ALONE.search(" ".join(argv)):
        forkserver.set_forkserver_preload([*tasks, *IMPORTS])
        with signals_blocked():
            forkserver.ensure_running()


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Start a process with SIGINT and SIGTERM blocked, which are often sent to all processes.

    The fork server stays so and outlives its workers; a worker lets them in when it is ready.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
