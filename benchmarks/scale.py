"""What asking, reporting and telling cost beside bare Optuna, and a report, with many trials.

    python -m benchmarks.scale [--sizes 10 100 1000 10000] [--rounds 7]   writes benchmarks/scale.md

Both sides take turns at the same study, each through its own connection, with the same sampler and
the same median pruner. gantune's side is what a worker of `gantune tune` does: locks, heartbeats,
the search for stale trials, shares, records. The finished trials are benchmarks/finished.py's.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import optuna

from benchmarks.curves import EPOCHS, SPACE, TASK
from benchmarks.table import origin, save, table
from core.record import Study
from core.report import write_report
from core.search.config import SearchConfig
from core.search.samplers import make_pruner, make_sampler
from core.search.storage import default_storage
from core.search.study import Search, open_search
from core.task import Outcome, OutcomeKind
from tests.finished import DISTRIBUTIONS, HALF, finished, record, score_of, store
from tests.postgres import Postgres


class Times(NamedTuple):
    """Seconds of a trial's ask, its report of an epoch with the pruner's answer, and its tell."""

    ask: float
    report: float
    tell: float


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """The seconds a call takes, and what it returns."""
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def median_search(runs: Path, name: str, url: str) -> Search:
    """A search over the curves, random and with the median pruner; the one call of gantune's."""
    fields = (TASK.name, runs, name, url, SPACE.source, {"epochs": str(EPOCHS)})
    return open_search(SearchConfig(*fields, "random", "median", trials=10**9), TASK)


def gantune(search: Search) -> Times:
    """One trial of gantune's."""
    trials, score = search.trials(), score_of(0.5)
    ask, trial = timed(lambda: next(trials))
    report, _ = timed(lambda: trial.report(HALF, score))
    tell, _ = timed(lambda: trial.finish(Outcome(OutcomeKind.COMPLETED, "", score)))
    trials.close()
    return Times(ask, report, tell)


def bare(study: optuna.Study) -> Times:
    """One trial of bare Optuna's, in the same space."""
    ask, trial = timed(lambda: study.ask(DISTRIBUTIONS))
    report, _ = timed(lambda: (trial.report(0.5, HALF), trial.should_prune()))
    tell, _ = timed(lambda: study.tell(trial, 0.5))
    return Times(ask, report, tell)


@dataclass(frozen=True)
class Sides:
    """gantune and bare Optuna at one study, with a connection each."""

    search: Search
    study: optuna.Study

    @classmethod
    def open(cls, runs: Path, url: str, size: int) -> Sides:
        """A new study with so many finished trials."""
        name = f"scale-{size}"
        store(median_search(runs, name, url), finished(size))
        study = optuna.load_study(
            study_name=name, storage=url, pruner=make_pruner("median", EPOCHS)
        )
        return cls(median_search(runs, name, url), study)

    def turns(self, sampler: str, rounds: int) -> list[tuple[Times, Times]]:
        """Both sides' times, turn by turn."""
        search = replace(self.search, config=replace(self.search.config, sampler=sampler))
        self.study.sampler = make_sampler(sampler, 0, 0)
        return [(gantune(search), bare(self.study)) for _ in range(rounds)]


def figures(pairs: list[tuple[Times, Times]]) -> list[str]:
    """Of ask, report and tell: medians in milliseconds, and median and range of the ratios."""
    cells = []
    for step in ("ask", "report", "tell"):
        ours, theirs = ([getattr(pair[side], step) for pair in pairs] for side in (0, 1))
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        cells.append(f"{median(ours) * 1e3:.1f} / {median(theirs) * 1e3:.1f}")
        cells.append(f"**{median(ratios):.2f}** ({min(ratios):.2f}-{max(ratios):.2f})")
    return cells


def measure_report(runs: Path, size: int) -> list[str]:
    """The report of so many trials: seconds on the clock and of CPU, and the page's megabytes."""
    name = f"report-{size}"
    record(runs / name, finished(size))
    busy = time.process_time()
    wall, page = timed(lambda: write_report(Study.open(runs, name)))
    figures = (wall, time.process_time() - busy, page.stat().st_size / 1e6)
    return [f"{size:,}", *(f"{figure:.1f}" for figure in figures)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    rows, first = [], []
    with tempfile.TemporaryDirectory(prefix="gantune-scale-") as folder, Postgres() as server:
        runs = Path(folder)
        for storage, url in {"SQLite": default_storage(runs), "PostgreSQL": server.url}.items():
            for size in arguments.sizes:
                sides = Sides.open(runs, url, size)
                ours, theirs = sides.turns("random", 1)[0]  # both read all there is
                first.append([storage, f"{size:,}", f"{ours.ask:.2f} / {theirs.ask:.2f}"])
                for sampler in ("tpe", "random"):
                    pairs = sides.turns(sampler, arguments.rounds)
                    rows.append([storage, f"{size:,}", sampler, *figures(pairs)])
                    print(*rows[-1], flush=True)
        reports = [measure_report(runs, size) for size in arguments.sizes]
    study, steps = ["storage", "finished trials"], ["ask, ms", "ratio", "report, ms", "ratio"]
    save(
        __file__,
        f"{origin('optuna')}; {arguments.rounds} rounds",
        table([*study, "sampler", *steps, "tell, ms", "ratio"], rows),
        table([*study, "first ask, s"], first),
        table(["trials", "seconds", "CPU seconds", "page, MB"], reports, text=0),
    )


if __name__ == "__main__":
    main()
