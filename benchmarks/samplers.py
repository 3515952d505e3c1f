"""Which sampler and pruner find the best GAN for a given number of epochs, on imagined curves.

    python -m benchmarks.samplers [--seeds 20]     writes benchmarks/samplers.md

Every search is gantune's own, baseline first, over the curves of benchmarks/curves.py; only the
database is memory. Searches are compared at equal budgets of epochs, not of trials: a trial that is
cut short costs what it trained. What a search hands on at a budget is its best completed trial by
score; what that is worth, no search can see. A search that lies under runs/samplers/ is done.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any, cast

import numpy as np
import optuna
from optuna.storages import InMemoryStorage
from scipy.optimize import differential_evolution

from benchmarks.curves import EPOCHS, SOURCE, SPACE, TASK, Array, CurveParams, follow, truth
from benchmarks.table import origin, save, table
from core.files import read_json, write_json
from core.search.config import HEARTBEAT, PRUNERS, SAMPLERS, SearchConfig
from core.search.samplers import make_pruner
from core.search.storage import Storage
from core.search.study import Search
from core.task import OutcomeKind

FOLDER = Path("runs/samplers")
BUDGETS = (200, 600)


class Memory(InMemoryStorage):
    """Memory as a search uses a database: there are no other processes."""

    heartbeat, patience = HEARTBEAT, 0.0

    def alone(self, study: str, folder: Path) -> AbstractContextManager[None]:
        """Nothing to lock."""
        return nullcontext()

    def record_heartbeat(self, trial_id: int) -> None:
        """Nothing to write."""

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        return []


def memory_search(sampler: str, pruner: str, seed: int, folder: Path) -> Search:
    """A new search over the curves, in memory; `folder` takes the locks of its trials.

    Its name depends on the seed alone: Hyperband draws brackets by it.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = Memory()
    fields = (TASK.name, folder, f"curves-{seed}", "memory", SPACE.source, {"seed": str(seed)})
    config = SearchConfig(*fields, sampler, pruner, seed=seed, trials=10**9)
    about = {"study_name": config.study, "direction": TASK.objective.direction}
    study = optuna.create_study(storage=storage, pruner=make_pruner(pruner, EPOCHS), **about)
    return Search(config, TASK, SPACE, study, cast(Storage, storage))


def search(sampler: str, pruner: str, seed: int, budget: int) -> dict[str, Any]:
    """Search until so many epochs are spent; seconds, and each trial's history.

    Of a trial: the epochs spent when it began and when it ended, its final score (None where it did
    not complete), and what its point is worth.
    """
    spent, trials = 0, []
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gantune-samplers-") as folder:
        for trial in memory_search(sampler, pruner, seed, Path(folder)).trials():
            outcome, epochs = follow(trial, budget - spent)
            trial.finish(outcome)
            scored = outcome.score if outcome.kind is OutcomeKind.COMPLETED else None
            worth = float(truth(trial.searched))
            trials.append((spent, spent + epochs, scored.value if scored else None, worth))
            spent += epochs
            if spent >= budget:
                return {"seconds": time.monotonic() - started, "trials": trials}
    raise AssertionError("a search ends by its budget")


def search_once(sampler: str, pruner: str, seed: int) -> dict[str, Any]:
    """A search for the largest budget, from its file where it is done."""
    file = FOLDER / f"{sampler}-{pruner}-{seed}.json"
    if not file.exists():
        write_json(file, search(sampler, pruner, seed, BUDGETS[-1]))
    return read_json(file)


def choice(found: dict[str, Any], budget: int) -> float:
    """What the best completed trial by score is worth, of those that end within the budget."""
    ended = [(score, worth) for _, end, score, worth in found["trials"] if end <= budget]
    return float(max((s, w) for s, w in ended if s is not None)[1])


def landmarks() -> tuple[float, float]:
    """The worth that 1 % of the space exceeds, and that of the best point known."""
    units = np.random.default_rng(0).random((200_000, len(SOURCE)))
    bounds = [(0, 1)] * len(SOURCE)
    best = differential_evolution(lambda unit: -float(truth(points(unit))), bounds, seed=0)
    return float(np.quantile(truth(points(units)), 0.99)), float(-best.fun)


def points(units: Array) -> dict[str, Array]:
    """Points of the space from (n x) 6 numbers in [0, 1], uniform in what samplers draw."""
    found = {}
    for unit, (name, spec) in zip(units.T, SOURCE.items(), strict=True):
        low, high = spec["_value"]
        log = spec["_type"] == "loguniform"
        found[name] = low * (high / low) ** unit if log else low + (high - low) * unit
    return found


def row(sampler: str, pruner: str, seeds: int, top: float, best: float) -> list[str]:
    """A row: what searches are worth at each budget, beside the landmarks, and their cost."""
    done = [search_once(sampler, pruner, seed) for seed in range(seeds)]
    worth = [[choice(found, budget) for found in done] for budget in BUDGETS]
    cells = [f"{fmean(w):.3f} ± {stdev(w):.3f}" for w in worth]
    cells.append(f"{best - fmean(worth[-1]):.3f}")
    cells += [f"{sum(one >= top for one in w)} of {seeds}" for w in worth]
    trials = fmean(len(found["trials"]) for found in done)
    cells += [f"{trials:.0f}", f"{BUDGETS[-1] / trials / EPOCHS:.0%}"]
    cells.append(f"{median(found['seconds'] for found in done):.1f}")
    print(sampler, pruner, *cells, flush=True)
    return [sampler, pruner, *cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = parser.parse_args().seeds
    top, best = landmarks()
    rows = [row(sampler, pruner, seeds, top, best) for sampler in SAMPLERS for pruner in PRUNERS]
    columns = ["sampler", "pruner", *(f"worth at {b}" for b in BUDGETS)]
    columns += [f"regret at {BUDGETS[-1]}", *(f"in the top 1 % at {b}" for b in BUDGETS)]
    columns += [f"trials in {BUDGETS[-1]} epochs", "share of their epochs", "seconds"]
    baseline = float(truth(dict(CurveParams())))
    source = f"{origin('optuna')}; baseline {baseline:.3f}, best {best:.3f}, top 1 % {top:.3f}"
    save(__file__, f"{source}; {seeds} seeds", table(columns, rows, text=2))


if __name__ == "__main__":
    main()
