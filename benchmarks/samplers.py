"""Which sampler and pruner find the best GAN for a given number of epochs, on imagined curves.

    python -m benchmarks.samplers [--seeds 20]     writes benchmarks/samplers.md

Every search is gantune's own, baseline first, over the curves of benchmarks/curves.py; only the
database is memory. Searches are compared at equal budgets of epochs, not of trials: a trial that is
cut short costs what it trained. What a search hands on at a budget is its best completed trial by
score; what that is worth, no search can see. Figures lie under runs/samplers/, and a search that
is done is not made again; one takes a second, gp's up to half a minute.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any, cast

import numpy as np
import optuna
from optuna.storages import InMemoryStorage

from benchmarks.curves import EPOCHS, SOURCE, SPACE, TASK, Array, CurveParams, follow, truth
from core.files import read_json, write_bytes, write_json
from core.search.config import RETRIES
from core.search.pruners import PRUNERS
from core.search.samplers import SAMPLERS, make_pruner
from core.search.storage import HEARTBEAT, PatientStorage
from core.search.study import Search
from core.task import OutcomeKind
from core.training.provenance import provenance

FOLDER = Path("runs/samplers")
BUDGETS = (200, 600)
DRAWS = 200_000

HOW = """\
Six parameters, 20 epochs, a score from 0 to 1 that is better when higher; the curves cross, differ
by seed, diverge and collapse (benchmarks/curves.py). The published baseline is worth
{baseline:.3f}, the best point known {best:.3f}; 1 % of all points are worth {top:.3f} or more. Mean
and standard deviation over {seeds} seeds of what a search hands on after so many epochs in all: its
best completed trial by score, and what that is worth, its last score without noise times the chance
that its point does not break with another seed. A trial that is pruned costs what it trained:
"share of their epochs" is what pruning left of the trials begun. Seconds are the median search's
own, for proposals and pruning.
"""
SAID = """\
What can be said of these curves: at 600 epochs and without a pruner, tpe, cmaes and gp (0.70 to
0.72) beat random search (0.68), gp most clearly; after 200 epochs, ten full trials, most choices
are hardly better than the baseline. The standard error of a mean is about 0.005 (0.015 where the
spread is wide: a few choices at the edge of divergence, worth little with another seed), so at 600
epochs the median pruner neither helps nor harms beyond the noise, and hyperband harms gp: fast
starters end low here, and what pruning saves it loses by misjudging slow ones. What cannot be said:
how much any of this is worth on a real GAN. The curves are smooth, with six parameters and neither
choices nor conditions, which suits gp; samplers and pruners have gantune's settings, none tuned.
"""


class Memory(InMemoryStorage):
    """No database, as a search asks one: a single process has nobody to wait for or to bury."""

    heartbeat = HEARTBEAT
    patience = 0.0

    @contextmanager
    def alone(self, study: str, folder: Path) -> Iterator[None]:
        """Nobody else is here."""
        yield

    def record_heartbeat(self, trial_id: int) -> None:
        """Nobody listens."""

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        return []


def memory_search(sampler: str, pruner: str, seed: int, folder: Path) -> Search:
    """A new search over the curves, in memory; `folder` takes the locks of its trials.

    Its name is the same whenever it is made: Hyperband draws brackets by it.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = Memory()
    study = optuna.create_study(
        storage=storage, study_name=f"curves-{seed}", direction=TASK.objective.direction,
        pruner=make_pruner(pruner, EPOCHS),
    )  # fmt: skip
    how = (sampler, pruner, seed, folder, RETRIES, str(folder / "artifacts"))
    database = cast(PatientStorage, storage)
    return Search(study, database, TASK, SPACE, {"seed": str(seed)}, *how)


def search(sampler: str, pruner: str, seed: int, budget: int) -> dict[str, Any]:
    """Search until so many epochs are spent; seconds, and each trial's history.

    Of a trial: the epochs spent when it began and when it ended, its final score (None where it did
    not complete), and what its point is worth.
    """
    spent, trials = 0, []
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gantune-samplers-") as folder:
        for trial in memory_search(sampler, pruner, seed, Path(folder)).trials(10**9):
            outcome, epochs = follow(trial, budget - spent)
            trial.finish(outcome)
            scored = outcome.score if outcome.kind is OutcomeKind.COMPLETED else None
            worth = float(truth(trial.searched))
            trials.append((spent, spent + epochs, scored.value if scored else None, worth))
            spent += epochs
            if spent >= budget:
                return {"seconds": time.monotonic() - started, "trials": trials}
    raise AssertionError("a search ends by its budget")


def searches(sampler: str, pruner: str, seeds: int) -> list[dict[str, Any]]:
    """The searches of a sampler and a pruner, one a seed; those not yet made are made."""
    made = []
    for seed in range(seeds):
        file = FOLDER / f"{sampler}-{pruner}-{seed}.json"
        if not (found := read_json(file)):
            found = search(sampler, pruner, seed, BUDGETS[-1])
            write_json(file, found)
        made.append(found)
    return made


def choice(found: dict[str, Any], budget: int) -> float:
    """What the best completed trial by score is worth, of those that end within the budget."""
    ended = [(score, worth) for _, end, score, worth in found["trials"] if end <= budget]
    return float(max((s, w) for s, w in ended if s is not None)[1])


def landmarks() -> tuple[float, float]:
    """The worth that 1 % of the space exceeds, and that of the best point known."""
    random = np.random.default_rng(0)
    units = random.random((DRAWS, len(SOURCE)))
    worth = truth(points(units))
    best, at = worth.max(), units[worth.argmax()]
    for width in 0.3 * 0.8 ** np.arange(30):
        near = (at + width * random.standard_normal((1000, len(SOURCE)))).clip(0, 1)
        found = truth(points(near))
        if found.max() > best:
            best, at = found.max(), near[found.argmax()]
    return float(np.quantile(worth, 0.99)), float(best)


def points(units: Array) -> dict[str, Array]:
    """Points of the space from n x 6 numbers in [0, 1], uniform in what samplers draw."""
    found = {}
    for unit, (name, spec) in zip(units.T, SOURCE.items(), strict=True):
        low, high = spec["_value"]
        log = spec["_type"] == "loguniform"
        found[name] = low * (high / low) ** unit if log else low + (high - low) * unit
    return found


def table(seeds: int) -> str:
    """Markdown: a row a sampler and pruner."""
    top, best = landmarks()
    columns = [f"worth at {b}" for b in BUDGETS] + [f"regret at {BUDGETS[-1]}"]
    columns += [f"in the top 1 % at {b}" for b in BUDGETS]
    columns += [f"trials in {BUDGETS[-1]} epochs", "share of their epochs", "seconds"]
    lines = [f"| sampler | pruner | {' | '.join(columns)} |", "|---|---" + "|---:" * 8 + "|"]
    for sampler in SAMPLERS:
        for pruner in PRUNERS:
            made = searches(sampler, pruner, seeds)
            worth = [[choice(found, budget) for found in made] for budget in BUDGETS]
            cells = [f"{fmean(w):.3f} ± {stdev(w):.3f}" for w in worth]
            cells.append(f"{best - fmean(worth[-1]):.3f}")
            cells += [f"{sum(one >= top for one in w)} of {seeds}" for w in worth]
            trials = fmean(len(found["trials"]) for found in made)
            cells += [f"{trials:.0f}", f"{BUDGETS[-1] / trials / EPOCHS:.0%}"]
            cells.append(f"{median(found['seconds'] for found in made):.1f}")
            lines.append(f"| {sampler} | {pruner} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = parser.parse_args().seeds
    measured = table(seeds)
    top, best = landmarks()
    baseline = float(truth(dict(CurveParams())))
    facts = provenance()
    text = f"""# Samplers and pruners on imagined curves

`{facts["command"]}`, {datetime.now(UTC):%Y-%m-%d}, {facts["machine"]}, optuna \
{facts["versions"]["optuna"]}.

{HOW.format(top=top, best=best, baseline=baseline, seeds=seeds)}
{measured}

{SAID}"""
    write_bytes(Path(__file__).with_suffix(".md"), text.encode())


if __name__ == "__main__":
    main()
