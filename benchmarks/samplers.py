"""Which sampler and pruner find the best GAN for a given number of epochs, on recorded curves.

    python -W ignore -m benchmarks.samplers [--seeds 20]     writes benchmarks/samplers.md

Every search is gantune's own, baseline first, over the curves that benchmarks/replay.py replays;
only the database is memory. Searches are compared at equal budgets of epochs, not of trials: a
trial that is cut short costs what it trained. What a search hands on at a budget is its best
completed trial by score, and what that is worth is its last score without noise. Its aim is what
random search without pruning hands on, in the median, after the largest budget. A search that lies
under runs/replays/ is done.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import fmean, median
from typing import Any, cast

import optuna
from optuna.storages import InMemoryStorage

from benchmarks.recorded import EPOCHS, SPACE
from benchmarks.replay import TASK, follow, landmarks, worth
from benchmarks.table import origin, save, table
from core.files import read_json, write_json
from core.search.config import HEARTBEAT, PRUNERS, SAMPLERS, SearchConfig
from core.search.samplers import make_pruner
from core.search.storage import Storage
from core.search.study import Search
from core.task import OutcomeKind

FOLDER = Path("runs/replays")
BUDGETS = (180, 540)  # 540: twenty whole trials


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
    fields = (
        TASK.name,
        folder,
        f"replay-{seed}",
        "memory",
        SPACE.source,
        {"seed": str(seed), "epochs": str(EPOCHS)},
    )
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
            value = worth(trial.params.model_dump())
            trials.append((spent, spent + epochs, scored.value if scored else None, value))
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


def reached(found: dict[str, Any], aim: float) -> float:
    """The epochs after which a search would hand on a trial worth so much; infinite if it never."""
    ends = [end for _, end, score, _ in found["trials"] if score is not None]
    return float(next((end for end in ends if choice(found, end) >= aim), math.inf))


def row(sampler: str, pruner: str, seeds: int, aim: float) -> list[str]:
    """A row: when searches reach the aim, what they hand on at each budget, and their cost."""
    done = [search_once(sampler, pruner, seed) for seed in range(seeds)]
    epochs = [reached(found, aim) for found in done]
    middle = median(epochs)
    cells = [f"{middle:.0f}" if middle <= BUDGETS[-1] else f"over {BUDGETS[-1]}"]
    cells.append(f"{sum(e <= BUDGETS[-1] / 3 for e in epochs)} of {seeds}")
    cells += [f"{fmean(choice(found, budget) for found in done):.4f}" for budget in BUDGETS]
    trials = fmean(len({begun for begun, *_ in found["trials"]}) for found in done)
    cells += [f"{trials:.0f}", f"{median(found['seconds'] for found in done):.1f}"]
    print(sampler, pruner, *cells, flush=True)
    return [sampler, pruner, *cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = parser.parse_args().seeds
    aim = median(choice(search_once("random", "none", seed), BUDGETS[-1]) for seed in range(seeds))
    rows = [row(sampler, pruner, seeds, aim) for sampler in SAMPLERS for pruner in PRUNERS]
    columns = ["sampler", "pruner", f"epochs to reach {aim:.4f}", f"within {BUDGETS[-1] // 3}"]
    columns += [f"worth at {budget}" for budget in BUDGETS]
    columns += [f"trials and rungs in {BUDGETS[-1]} epochs", "seconds"]
    source = "{}; worth of the baseline {:.4f}, of the space's median {:.4f}, of its best {:.4f}"
    source = source.format(origin("optuna"), worth(TASK.params().model_dump()), *landmarks())
    save(__file__, f"{source}; {seeds} seeds", table(columns, rows, text=2))


if __name__ == "__main__":
    main()
