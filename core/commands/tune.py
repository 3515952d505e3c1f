"""gantune tune: search a task's parameters with Optuna."""

from __future__ import annotations

import argparse
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psutil import Process

from core.commands.flags import (
    add_sampler_flags,
    add_search_flags,
    add_study_flags,
    add_task_flags,
    part_names,
    positive,
    seed_count,
)
from core.commands.report import publish
from core.files import read_json, write_json
from core.params import cli_overrides, flag, load_task, validate_params
from core.record import valid_name
from core.search.budget import REPORT, Budget, affordable, bought, clock, cost_of, seconds_of
from core.search.config import GRID, SearchConfig, choose_objectives
from core.search.setup import point_of
from core.search.space import Space
from core.search.space_file import single_values
from core.task import OutcomeKind, Task, UserError
from core.training.progress import Progress
from core.training.provenance import provenance, scored_by

if TYPE_CHECKING:
    from core.search.study import Search

BUSY = (
    "note: other programs keep {others:.1f} of the {cores} CPU cores busy; trials will be slower, "
    "two threads beside them several times"
)

TRIALS = 20
SEEDS = 4  # of a confirmation
MOST = 27  # epochs that time may buy though a task's published trial is shorter

# Flags that a search's configuration takes as they are.
FLAGS = "sampler", "pruner", "trials", "storage", "artifacts", "workers", "retries", "heartbeat"


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """The search's flags, and the task's own once a task is named."""
    add = parser.add_argument
    add("task", help="what to tune; `gantune tasks` lists them")
    message = f"trials of the study in total (default: {TRIALS}, or as many as --timeout allows)"
    add("--trials", type=positive, metavar="N", help=message)
    message = "time for everything, the report included, as in 45m or 1h30m; prints what that buys"
    message += " and, without --epochs, trains each trial as long as that allows"
    add("--timeout", type=seconds_of, default=0.0, metavar="TIME", help=message)
    add("--space", type=Path, metavar="FILE", help="search space (default: the task's own)")
    add_sampler_flags(parser, None)
    message = "search for parts of the score together, as in style,content, without pruning; the "
    message += "report shows the trials that none beats in both, Pareto's front"
    add("--objectives", type=part_names, default=[], metavar="A,B", help=message)
    message = "train the baseline with K seeds first: how far apart they score is the noise floor"
    add("--noise-floor", type=seed_count, default=0, metavar="K", help=message)
    add_study_flags(parser, "the task's name")
    add_search_flags(parser)
    add_task_flags(parser, argv)


def run(arguments: argparse.Namespace) -> int:
    """Search; a second call on the same study goes on with it."""
    task = load_task(arguments.task)
    path = arguments.space or task.search_space
    pruner = arguments.pruner or ("none" if arguments.objectives else "median")
    space, fixed = Space.load(path, task.params), cli_overrides(arguments)
    how = {"pruner": pruner, "trials": arguments.trials or TRIALS}
    config = search_config(task, space, str(path), fixed, arguments, **how)
    if names := arguments.objectives:
        evaluator = task.evaluator(point_of(config, task))
        chosen = choose_objectives(evaluator, names, config.sampler, pruner)
        config = replace(config, objectives=chosen)
    if arguments.timeout:
        deadline = Process().create_time() + arguments.timeout - REPORT
        config = replace(config, budget=Budget(deadline, 0.0, bool(arguments.trials)))
    return search(config, task, arguments.ignore_exam, arguments.noise_floor)


def search_config(
    task: Task,
    space: Space,
    source: str,
    fixed: dict[str, str],
    arguments: argparse.Namespace,
    **more: Any,
) -> SearchConfig:
    """The search that flags define; UserError for one that `space` (from `source`) varies too."""
    params = validate_params(task.params, {**space.point(), **fixed})
    if both := [name for name in space.fields if name in fixed]:
        raise UserError(f"{flag(both[0])}: {source} searches it; drop the flag or the key")
    how = {name: getattr(arguments, name) for name in FLAGS if name in arguments}
    how |= {"space": space.source, "fixed": fixed, "seed": params.seed, **more}
    if how["sampler"] != GRID:
        for line in single_values(space.dimensions, source):
            print(line)
    how["study"] = valid_name(more.get("study") or arguments.study or task.name)
    return SearchConfig(task.name, arguments.runs, **how)


def search(config: SearchConfig, task: Task, ignore_exam: bool, noise_floor: int = 0) -> int:
    """Search and write the report; 1 when no trial of the study completed."""
    from core.device import Busy, configure_torch, cores, limit_threads, shares, workers_for
    from core.search.study import open_search
    from core.search.workers import run_search
    from core.training.choice import Way, choose
    from core.training.pace import epoch_seconds
    from core.training.run import prepare

    progress = Progress(config.trials, task.objective.direction == "maximize")
    with progress:  # everything is checked before any training
        params, busy = point_of(config, task), Busy()
        device = configure_torch(params)
        task.load(params)
        if config.has_length(task):
            open_search(config, task)
        data, evaluator, facts = prepare(
            task, params, progress, config.runs, "sit" if ignore_exam else "pass"
        )
        config = replace(config, prepared=scored_by(data.fingerprint, facts))
        workers = config.workers or workers_for(params)
        if not config.budget or config.budget.limited:
            workers = min(workers, config.trials)
        limit_threads(shares(workers)[0].threads)
        memory, point = 0, params
        length = max(1.0, config.budget.left) if config.budget else 0.0
        share = 1.0 if config.budget else config.share(task) / workers
        with suppress(RuntimeError, MemoryError):  # the trials will say so, each as its outcome
            point, compute = choose(
                task, params, data, device, config.runs, progress.once, share, length=length
            )
            memory = compute.get("memory", 0)
            config = replace(config, compute={k: compute[k] for k in Way._fields if k in compute})
        if config.budget:
            epoch = epoch_seconds(task, point, data, evaluator, device)
            config = plan(config, task, epoch, workers, progress)
        if (others := busy.cores()) > 0.5:
            progress.say(BUSY.format(others=others, cores=cores()))
        found = open_search(config, task)
        write_json(config.folder / "study.json", {**config.about(), **provenance()})
    if noise_floor:
        measure_noise(config, task, noise_floor)
    with progress:
        _show_ended(found, progress)
        left = config.trials - len(progress.ended)
        run_search(found, config.params(task), left, progress, memory)
    publish(config.runs, config.study)
    kinds = [outcome.kind for _, outcome in found.ended()]
    return 0 if OutcomeKind.COMPLETED in kinds else 1


def _show_ended(search: Search, progress: Progress) -> None:
    """Count the trials that have ended before."""
    for number, outcome in search.ended():
        progress.seen(outcome, number)


def plan(
    config: SearchConfig, task: Task, epoch: float, workers: int, progress: Progress
) -> SearchConfig:
    """The search that its time buys, epochs of `epoch` seconds each; says what that is."""
    from core.replicates.stats import detectable

    budget, pruner = config.budget, config.pruner
    assert budget
    total = max(0.0, budget.left) * workers / epoch
    length = config.params(task).epochs
    if not config.has_length(task):
        known = read_json(config.folder / "study.json").get("epochs")
        length, pruner = (
            (int(known), pruner) if known else affordable(total, max(length, MOST), pruner, workers)
        )
        pruner = pruner if cost_of(length, pruner) < inf else "none"  # too short for rungs
        config = replace(config, pruner=pruner, fixed={**config.fixed, "epochs": str(length)})
    trials = bought(total, length, pruner)
    if budget.limited:
        trials = min(trials, config.trials)
    rungs = config.rungs(task)
    stops = f" with rungs at {', '.join(map(str, rungs.levels[:-1]))}" if rungs else ""
    progress.say(
        f"time: {clock(budget.left)} are left, an epoch takes {clock(epoch)} here: about "
        f"{total:.0f} epochs by {workers} worker{'s' * (workers > 1)}, which is {trials} "
        f"trial{'s' * (trials > 1)} of {length} epochs{stops}; "
        f"confirming the best with {SEEDS} seeds would then take "
        f"{clock(2 * SEEDS * length * epoch / workers)} and tell a gain above "
        f"{detectable(SEEDS):.2g} deviations of a score between seeds"
    )
    progress.total, progress.deadline = trials, budget.deadline
    return replace(config, trials=trials, budget=replace(budget, epoch=epoch))


def measure_noise(config: SearchConfig, task: Task, seeds: int) -> None:
    """Train the baseline with further seeds than the search's own, which trial 0 has."""
    from core.replicates.runs import run_replicates, variants
    from core.replicates.stats import other_seeds
    from core.report.noise import SUFFIX

    params = config.params(task)
    queue = config.queue(config.study + SUFFIX)
    run_replicates(queue, variants(task, params, other_seeds(params.seed, seeds), ()))
