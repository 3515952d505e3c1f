"""gantune tune: search a task's parameters with Optuna."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from core.commands.report import publish
from core.params import load_task, task_summaries
from core.record import valid_name
from core.search.pruners import PRUNERS, pruner_argument
from core.task import OutcomeKind, Task, UserError

if TYPE_CHECKING:
    from core.search.space import Space
    from core.search.study import Search
    from core.training.progress import Progress

SUMMARY = "search a task's parameters with Optuna"
SAMPLERS = ("tpe", "random", "gp", "cmaes", "qmc")


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """The search's flags, and the task's own once a task is named."""
    parser.add_argument("task", help="what to tune; `gantune tasks` lists them")
    parser.add_argument("--trials", type=positive, default=20, help="trials in total (20)")
    parser.add_argument("--space", type=Path, help="search space (search_spaces/TASK.json)")
    parser.add_argument("--sampler", choices=SAMPLERS, default="tpe", help="who proposes (tpe)")
    add_pruner_flag(parser, None)
    parser.add_argument(
        "--objectives",
        type=names,
        default=[],
        metavar="A,B",
        help="search for parts of the score together, as in style,content: the report shows those "
        "that none beats in both (Pareto's front); nothing is pruned",
    )
    parser.add_argument(
        "--noise-floor",
        type=seeds,
        default=0,
        metavar="K",
        help="run the baseline with K seeds first: how far apart they score is the noise",
    )
    add_study_flags(parser)
    add_task_flags(parser, argv)


def add_pruner_flag(parser: argparse.ArgumentParser, default: str | None) -> None:
    """Who stops hopeless trials."""
    parser.add_argument(
        "--pruner",
        type=pruner_argument(*PRUNERS),
        default=default,
        metavar="NAME[:EPOCH]",
        help=f"who stops hopeless trials: {', '.join(PRUNERS)}; median:3 evaluators none before its "
        "epoch 3 (median, from a quarter of the epochs on)",
    )


def add_study_flags(parser: argparse.ArgumentParser) -> None:
    """Where a study is kept."""
    parser.add_argument("--study", type=str, help="the study's name (default: the task's)")
    add_storage_flags(parser)
    add_worker_flags(parser)
    add_exam_flag(parser)


def add_storage_flags(parser: argparse.ArgumentParser) -> None:
    """Where several machines meet."""
    parser.add_argument("--storage", help="Optuna storage URL (SQLite under --runs)")
    parser.add_argument(
        "--artifacts",
        help="where the dashboard finds pictures: a folder, or s3://BUCKET (a folder under --runs)",
    )


def add_exam_flag(parser: argparse.ArgumentParser) -> None:
    """What if the evaluator can be gamed."""
    told = "search though the evaluator has failed its exam"
    parser.add_argument("--ignore-exam", action="store_true", help=told)


def add_worker_flags(parser: argparse.ArgumentParser) -> None:
    """How many trials run at once, and what becomes of one whose process is killed."""
    parser.add_argument(
        "--workers",
        type=positive,
        help="trials at once, each in a process with its share of the machine (one a GPU, else "
        "one a CPU core, 4 at most); 1: the same seed proposes the same trials",
    )
    parser.add_argument(
        "--retries",
        type=whole,
        default=3,
        help="times that a trial is continued whose process was killed (3)",
    )
    parser.add_argument(
        "--heartbeat",
        type=positive,
        default=30,
        help="seconds between a trial's collapse_reasons of life; one of another machine that has missed "
        "four is continued here (30)",
    )


def add_rerun_flags(parser: argparse.ArgumentParser) -> None:
    """How trials are trained again on this machine, whatever the search's was."""
    told = "runs at once (one a GPU, else one a CPU core, 4 at most)"
    parser.add_argument("--workers", type=positive, metavar="W", help=told)
    parser.add_argument("--device", help="where to train: auto, cpu, cuda, mps (auto)")
    parser.add_argument("--threads", help="CPU threads of a run (0: its share of the machine)")


def machine(arguments: argparse.Namespace) -> dict[str, str]:
    """What the user said of the machine, as parameters; still as text."""
    told = {name: getattr(arguments, name) for name in ("device", "threads")}
    return {name: value for name, value in told.items() if value is not None}


def add_task_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """The parameters of the task that the command line names, where it names one."""
    parser.epilog = f"`{parser.prog} TASK --help` shows the task's own parameters too."
    words = argv[1:] if parser.prog.split()[-1:] == argv[:1] else []
    named = [word for word in words if word in task_summaries()]
    if named or (words and not words[0].startswith("-")):
        from core.params import add_param_flags

        add_param_flags(parser, load_task(named[0] if named else words[0]).params)


def at_least(least: int, name: str) -> Callable[[str], int]:
    """A whole number from `least` on, as argparse wants it; `name` is what it calls one."""

    def parse(text: str) -> int:
        number = int(text)
        if number < least:
            raise ValueError
        return number

    parse.__name__ = name
    return parse


def names(text: str) -> list[str]:
    """`style,content` -> two names, as argparse wants them."""
    found = [name.strip() for name in text.split(",")]
    if len(found) < 2 or not all(found) or len(set(found)) < len(found):
        raise ValueError
    return found


names.__name__ = "list of two or more names, as in style,content,"
positive = at_least(1, "whole number above 0")
whole = at_least(0, "whole number from 0")
seeds = at_least(2, "number of seeds, two or more,")


def run(arguments: argparse.Namespace) -> int:
    """Search; a second call on the same study goes on with it."""
    from core.search.space import Space

    task = load_task(arguments.task)
    file = arguments.space or task.search_space
    usual = "none" if arguments.objectives else "median"
    how = (arguments.sampler, arguments.pruner or usual)
    return search(task, arguments, lambda: Space.load(file, task.params), str(file), *how)


def search(
    task: Task,
    arguments: argparse.Namespace,
    space: Callable[[], Space],
    where: str,
    sampler: str,
    pruner: str,
) -> int:
    """Search a space (`where`: who declares it), report; 1 when no trial of the study completed."""
    from core.device import workers_for
    from core.params import cli_overrides, validate_params
    from core.search.worker import Job
    from core.search.workers import run_workers
    from core.training.progress import Progress
    from core.training.run import run_trial

    total = arguments.trials
    progress = Progress(total, task.objective.direction == "maximize")
    with progress:
        searched = prepare_search(task, arguments, space(), where, sampler, pruner, progress)
    if getattr(arguments, "noise_floor", 0):
        measure_noise(task, arguments, searched.folder.name)
    with progress:
        for number, outcome in searched.ended():
            value = outcome.score.value if outcome.score else None
            progress.seen(outcome.kind, value, number)
        wanted = arguments.workers or workers_for(
            validate_params(task.params, cli_overrides(arguments))
        )
        if (workers := min(wanted, total - sum(progress.ended.values()))) > 1:
            run_workers(Job.of(searched, total), workers, progress)
        for trial in searched.trials(total, progress.once):
            run_trial(task, trial, progress, arguments.runs)
    publish(arguments.runs, searched.folder.name)
    return 0 if OutcomeKind.COMPLETED in [outcome.kind for _, outcome in searched.ended()] else 1


def measure_noise(task: Task, arguments: argparse.Namespace, study: str) -> None:
    """The baseline with more seeds than the search's own, which trial 0 has."""
    from core.params import cli_overrides, validate_params
    from core.replicates.runs import Runs, changed, make_runs
    from core.report.noise import SUFFIX

    params = validate_params(task.params, cli_overrides(arguments))
    others = [(params.seed + i) % 2**31 for i in range(1, arguments.noise_floor)]
    changes = {f"seed-{seed}": {"seed": seed} for seed in others}
    wanted = changed(task, params, changes, ())
    make_runs(Runs(task.name, arguments.runs, study + SUFFIX, wanted), arguments.workers)


def prepare_search(
    task: Task,
    arguments: argparse.Namespace,
    space: Space,
    where: str,
    sampler: str,
    pruner: str,
    progress: Progress,
) -> Search:
    """Check everything before any training, prepare the evaluator, open the study."""
    from core.device import configure_torch
    from core.files import write_json
    from core.params import cli_overrides, flag, validate_params
    from core.search.config import open_search
    from core.search.objectives import chosen
    from core.search.storage import default_storage
    from core.training.provenance import provenance
    from core.training.run import prepare

    fixed = cli_overrides(arguments)
    # data, evaluator and device are checked for a point of the space, where it varies them
    params = validate_params(task.params, {**space.point(), **fixed})
    if both := [name for name in space.fields if name in fixed]:
        raise UserError(f"{flag(both[0])}: {where} searches it; drop the flag or the key")
    name = valid_name(arguments.study or task.name)
    wanted = getattr(arguments, "objectives", [])
    objectives = chosen(task.evaluator(params), wanted, sampler, pruner)
    configure_torch(params)
    task.load(params)
    storage = arguments.storage or default_storage(arguments.runs)
    search = open_search(
        arguments.runs,
        name,
        storage,
        task,
        space,
        fixed,
        sampler=sampler,
        pruner=pruner,
        seed=params.seed,
        retries=arguments.retries,
        heartbeat=arguments.heartbeat,
        artifacts=arguments.artifacts or "",
        objectives=objectives,
    )
    prepare(task, params, progress, arguments.runs, "sit" if arguments.ignore_exam else "pass")
    about = {"task": task.name, "engine": "optuna", "trials": arguments.trials}
    about |= {"space": space.source, "sampler": sampler, "pruner": pruner}
    about |= {"objectives": {o.name: o.direction for o in objectives}}
    write_json(search.folder / "study.json", {**about, **provenance()})
    return search
