"""What asking, reporting and telling cost beside bare Optuna, and a report, with many trials.

    python -m benchmarks.scale [--sizes 10 100 1000 10000] [--rounds 7]   writes benchmarks/scale.md

Both sides take turns at the same study, each through its own connection, with the same sampler and
the same median pruner. gantune's side is what a worker of `gantune tune` does: locks, heartbeats,
the search for dead trials, shares, records. The finished trials are benchmarks/finished.py's.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TypeVar

import optuna

from benchmarks.curves import EPOCHS, SPACE, TASK
from benchmarks.finished import DISTRIBUTIONS, HALF, finished, record, store
from core.files import write_bytes
from core.record import Study
from core.report import write_report
from core.search.config import open_search
from core.search.samplers import make_pruner, make_sampler
from core.search.storage import default_storage
from core.search.study import Search
from core.task import Outcome, OutcomeKind, Score
from core.training.provenance import provenance
from tests.postgres import Postgres

T = TypeVar("T")


@dataclass(frozen=True)
class Times:
    """Seconds of a trial's ask, its report of an epoch with the pruner's answer, and its tell."""

    ask: float
    report: float
    tell: float


Pairs = list[tuple[Times, Times]]


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """The seconds a call takes, and what it gives."""
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def gantune(search: Search) -> Times:
    """One trial of gantune's."""
    trials = search.trials(10**9)
    score = Score(0.5, {"content": 0.5, "style": 0.5})
    ask, trial = timed(lambda: next(trials))
    report, _ = timed(lambda: trial.report(HALF, score))
    tell, _ = timed(lambda: trial.finish(Outcome(OutcomeKind.COMPLETED, "", score)))
    trials.close()  # type: ignore[attr-defined]  # it is a generator
    return Times(ask, report, tell)


def bare(study: optuna.Study) -> Times:
    """One trial of bare Optuna's, in the same space."""

    def draw() -> optuna.Trial:
        trial = study.ask()
        for name, d in DISTRIBUTIONS.items():
            trial.suggest_float(name, d.low, d.high, log=d.log)
        return trial

    def prune(trial: optuna.Trial) -> bool:
        trial.report(0.5, HALF)
        return trial.should_prune()

    ask, trial = timed(draw)
    report, _ = timed(lambda: prune(trial))
    tell, _ = timed(lambda: study.tell(trial, 0.5))
    return Times(ask, report, tell)


@dataclass(frozen=True)
class Sides:
    """gantune and bare Optuna at one study, with a connection each."""

    search: Search
    study: optuna.Study

    @classmethod
    def open(cls, runs: Path, url: str, size: int, sampler: str = "random") -> Sides:
        """A new study with so many finished trials."""
        name, pruner = f"scale-{size}", "median"
        how = (runs, name, url, TASK, SPACE, {"epochs": str(EPOCHS)}, sampler, pruner, 0)
        store(open_search(*how), finished(size))
        study = optuna.load_study(study_name=name, storage=url, pruner=make_pruner(pruner, EPOCHS))
        return cls(open_search(*how), study)

    def turns(self, sampler: str, rounds: int) -> Pairs:
        """Both sides' times, turn by turn."""
        search = replace(self.search, sampler=sampler)
        self.study.sampler = make_sampler(sampler, 0, 0)
        return [(gantune(search), bare(self.study)) for _ in range(rounds)]


def report(runs: Path, size: int) -> tuple[float, float, float]:
    """The report of so many trials: seconds on the clock and of CPU, and the page's megabytes."""
    name = f"report-{size}"
    record(runs / name, finished(size))
    busy = time.process_time()
    wall, page = timed(lambda: write_report(Study.open(runs, name)))
    return wall, time.process_time() - busy, page.stat().st_size / 1e6


@contextmanager
def databases(runs: Path) -> Iterator[dict[str, str]]:
    """The URL of each storage, by what to call it."""
    with Postgres() as server:
        yield {"SQLite": default_storage(runs), "PostgreSQL": server.url}


def row(head: str, pairs: Pairs) -> str:
    """A line of the table: medians in milliseconds, and medians and range of the ratios."""
    cells = []
    for step in ("ask", "report", "tell"):
        ours, theirs = ([getattr(pair[side], step) for pair in pairs] for side in (0, 1))
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        cells.append(f"{median(ours) * 1e3:.1f} / {median(theirs) * 1e3:.1f}")
        cells.append(f"**{median(ratios):.2f}** ({min(ratios):.2f}-{max(ratios):.2f})")
    return f"| {head} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    parser.add_argument("--samplers", nargs="+", default=["tpe", "random"])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    runs = Path(tempfile.mkdtemp(prefix="gantune-scale-"))
    lines, first, reports = [], [], []
    try:
        with databases(runs) as urls:
            for storage, url in urls.items():
                for size in arguments.sizes:
                    sides = Sides.open(runs, url, size)
                    ours, theirs = sides.turns("random", 1)[0]  # both read all there is
                    first.append(f"| {storage} | {size:,} | {ours.ask:.2f} / {theirs.ask:.2f} |")
                    for sampler in arguments.samplers:
                        pairs = sides.turns(sampler, arguments.rounds)
                        lines.append(row(f"{storage} | {size:,} | {sampler}", pairs))
                        print(lines[-1], flush=True)
        for size in arguments.sizes:
            wall, busy, megabytes = report(runs, size)
            reports.append(f"| {size:,} | {wall:.1f} | {busy:.1f} | {megabytes:.1f} |")
            print(reports[-1], flush=True)
    finally:
        shutil.rmtree(runs)
    facts = provenance()
    text = TEXT.format(
        command=facts["command"], date=f"{datetime.now(UTC):%Y-%m-%d}", machine=facts["machine"],
        optuna=facts["versions"]["optuna"], rounds=arguments.rounds, lines="\n".join(lines),
        first="\n".join(first), reports="\n".join(reports),
    )  # fmt: skip
    write_bytes(Path(__file__).with_suffix(".md"), text.encode())


TEXT = """# Many trials

`{command}`, {date}, {machine}, optuna {optuna}.
SQLite lies on the disk of that machine, PostgreSQL runs on it with fsync off.

Milliseconds of gantune / of bare Optuna, which take turns at the same study, each through its own
connection, with the same sampler and the median pruner; medians of {rounds} rounds, and of the
rounds' ratios, with their range. To ask is to have every value of the next trial; gantune also
locks, looks for trials whose process is gone, counts the shares and sends a first heartbeat. To
report is to give an epoch's score and hear whether to stop; to tell is to close the trial, with
its outcome, reason and parts. tests/test_scale.py holds asking below 3 times, and the report to a
limit that is 30 s for 10,000 trials.

| storage | finished trials | sampler | ask, ms | ratio | report, ms | ratio | tell, ms | ratio |
|---|---:|---|---:|---:|---:|---:|---:|---:|
{lines}

The first ask of a process reads every trial; seconds of gantune / of bare Optuna:

| storage | finished trials | first ask, s |
|---|---:|---:|
{first}

`gantune report`, one after the other in one process; the first two pay for imports:

| trials | seconds | CPU seconds | page, MB |
|---:|---:|---:|---:|
{reports}
"""

if __name__ == "__main__":
    main()
