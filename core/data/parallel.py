"""Work on many files by threads, and what a person sees of it: nothing, then a bar or lines.

Pillow and hashlib release the GIL: threads on two cores decode 1.1 times as many images a second
as processes. On eight, processes win: by a tenth, by more only where images are 64 pixels small.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

from rich.console import Console
from rich.file_proxy import FileProxy
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")
Result = TypeVar("Result")
QUIET, PAUSE = 2.0, 5.0  # seconds before anything is said, and between two lines


def in_threads(
    call: Callable[[Item], Result], items: Sequence[Item], what: str, before: int = 0
) -> Iterator[Result]:
    """The call's results, in the items' order; few are computed ahead of the one that is asked.

    Progress is shown as `what`, with the number of items done `before` these.
    """
    return _watched(_results(call, items), what, before, before + len(items))


def say(line: str) -> None:
    """Print a line to stderr, above the bars that another part of the program has there."""
    print(line, file=sys.stderr, flush=True)


def _results(call: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    workers = min(32, (os.cpu_count() or 1) + 2)
    ahead = deque[Future[Result]]()
    with ThreadPoolExecutor(workers) as pool:
        for item in items:
            ahead.append(pool.submit(call, item))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _watched(items: Iterable[Item], what: str, before: int, total: int) -> Iterator[Item]:
    """The items; after 2 seconds a bar, or every 5 seconds a line, says how many are done.

    The bar is for a terminal in which no other bars are.
    """
    began, said, bar = time.monotonic(), time.monotonic() + QUIET - PAUSE, None
    console = Console(stderr=True)
    with ExitStack() as stack:
        for number, item in enumerate(items, before + 1):
            now = time.monotonic()
            if bar:
                bar.update(bar.task_ids[0], completed=number)
            elif now - began >= QUIET and console.is_terminal and not _has_bars():
                columns = (BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn())
                text = TextColumn("{task.description}")
                bar = stack.enter_context(Progress(text, *columns, console=console, transient=True))
                bar.add_task(what, total=total, completed=number)
            elif now - said >= PAUSE:
                said = now
                say(f"{what}: {number:,} of {total:,}")
            yield item


def _has_bars() -> bool:
    """Whether rich shows live bars already: it then stands between us and stderr."""
    return isinstance(sys.stderr, FileProxy)
