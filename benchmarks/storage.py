"""What eight processes at one study get out of each storage: a database itself, or its gRPC server.

    python -m benchmarks.storage [--processes 8] [--trials 25]    writes benchmarks/storage.md

Each process asks for trials, reports an epoch of each, and tells its score, as a worker of `gantune
tune` does: with locks, heartbeats, shares and records; it trains nothing. The storages take turns.
PostgreSQL is measured where its programs are found.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles

from benchmarks.scale import Times, gantune, median_search
from benchmarks.table import origin, save, table
from core.search.storage import default_storage
from tests.postgres import Postgres


def work(pipe: Connection, runs: Path, study: str, url: str, trials: int) -> None:
    """Open the study, and run so many trials when the signal comes."""
    search = median_search(runs, study, url)
    pipe.send("ready")
    pipe.recv()
    pipe.send([gantune(search) for _ in range(trials)])


@contextmanager
def served(runs: Path, url: str) -> Iterator[str]:
    """A `gantune storage-server` in front of a database: its URL."""
    words = ["storage-server", "--runs", str(runs), "--storage", url, "--port", "0"]
    code = "import sys; from core.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            lines = [server.stdout.readline() for _ in range(2)]
            yield lines[1].split()[-1]
        finally:
            server.kill()


def measure(runs: Path, study: str, url: str, processes: int, trials: int) -> list[Times]:
    """The times of all trials of all processes, and at the end the seconds of the whole."""
    context = mp.get_context("spawn")
    pipes = []
    median_search(runs, study, url)
    for _ in range(processes):
        ours, theirs = context.Pipe()
        context.Process(target=work, args=(theirs, runs, study, url, trials), daemon=True).start()
        pipes.append(ours)
    for pipe in pipes:
        pipe.recv()
    started = time.perf_counter()
    for pipe in pipes:
        pipe.send("go")
    times = [one for pipe in pipes for one in pipe.recv()]
    return [*times, Times(time.perf_counter() - started, 0, 0)]


def row(name: str, rounds: list[list[Times]]) -> list[str]:
    """Trials a second, and of ask, report and tell the median and the 95th percentile in ms."""
    rates = [(len(times) - 1) / times[-1].ask for times in rounds]
    cells = [name, f"{median(rates):.1f} ({min(rates):.1f}-{max(rates):.1f})"]
    every = [one for times in rounds for one in times[:-1]]
    for values in zip(*every, strict=True):
        cells.append(f"{median(values) * 1e3:.0f} / {quantiles(values, n=20)[-1] * 1e3:.0f}")
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--trials", type=int, default=25, help="trials of each process")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        runs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gantune-storage-")))
        urls = {"SQLite": default_storage(runs)}
        with suppress(FileNotFoundError):
            urls["PostgreSQL"] = stack.enter_context(Postgres()).url
        for name, url in list(urls.items()):
            urls[f"gRPC server, {name}"] = stack.enter_context(served(runs, url))
        rounds: dict[str, list[list[Times]]] = {name: [] for name in urls}
        for turn in range(arguments.rounds):
            for k, (name, url) in enumerate(urls.items()):
                size = arguments.processes, arguments.trials
                rounds[name].append(measure(runs, f"s{k}-{turn}", url, *size))
                print(*row(name, rounds[name]), flush=True)
    rows = [row(name, rounds[name]) for name in sorted(urls, key=lambda n: n.split()[::-1])]
    steps = [f"{step}, ms" for step in ("ask", "report", "tell")]
    size = f"{arguments.processes} processes, {arguments.trials} trials each"
    source = f"{origin('optuna')}; {size}, {arguments.rounds} rounds"
    save(__file__, source, table(["storage", "trials/s", *steps], rows))


if __name__ == "__main__":
    main()
