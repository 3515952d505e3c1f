"""Flags that several subcommands share, and their argparse types."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import takewhile
from typing import Any

from core.params import add_param_flags, load_task, task_summaries, validate_params
from core.search import config
from core.task import Task

AT_ONCE = "one a GPU, else one a CPU core, 4 at most"


def number_from(least: int, description: str) -> Callable[[str], int]:
    """The argparse type of a whole number from `least` on; errors call it by `description`."""

    def parse(text: str) -> int:
        if (number := int(text)) < least:
            raise ValueError
        return number

    parse.__name__ = description
    return parse


def part_names(text: str) -> list[str]:
    """`style,content` -> two names or more, for argparse."""
    found = [name.strip() for name in text.split(",")]
    if len(found) < 2 or not all(found) or len(set(found)) < len(found):
        raise ValueError
    return found


def fractions(text: str) -> list[float]:
    """`.1,.3,1` -> [0.1, 0.3, 1.0]: shares above 0, of at most 1, for argparse."""
    shares = sorted({float(share) for share in text.split(",")})
    if not all(0 < share <= 1 for share in shares):
        raise ValueError
    return shares


part_names.__name__ = "list of two or more names, as in style,content,"
fractions.__name__ = "list of shares, each above 0 and at most 1,"
positive = number_from(1, "whole number above 0")
whole = number_from(0, "whole number from 0")
seed_count = number_from(2, "number of seeds, two or more,")


def add_sampler_flags(parser: argparse.ArgumentParser, pruner: str | None) -> None:
    """The sampler and the pruner."""
    add = parser.add_argument
    add("--sampler", choices=config.SAMPLERS, default="tpe", help="Optuna's sampler (default: tpe)")
    message = (
        f"prunes hopeless trials: {', '.join(config.PRUNERS)}; with asha and hyperband trials "
    )
    message += "stop at rungs and the best third goes on, asha:4 a quarter; median:3 prunes none "
    message += "before its epoch 3 (default: median, from a quarter of the epochs on)"
    kind = config.pruner_argument(*config.PRUNERS)
    add("--pruner", type=kind, default=pruner, metavar="NAME[:N]", help=message)


def add_study_flags(parser: argparse.ArgumentParser, default: str) -> None:
    """The study's name, and where several machines meet."""
    parser.add_argument("--study", help=f"name of the study (default: {default})")
    add_storage_flags(parser)


def add_storage_flags(parser: argparse.ArgumentParser) -> None:
    """Optuna's storage and artifact store."""
    add = parser.add_argument
    message = "Optuna storage: a database, or the grpc://HOST:PORT of `gantune storage-server` "
    message += "(default: an SQLite file under --runs)"
    add("--storage", default="", metavar="URL", help=message)
    message = "store of the dashboard's pictures: a folder, or s3://BUCKET (default: under --runs)"
    add("--artifacts", default="", metavar="WHERE", help=message)


def add_search_flags(parser: argparse.ArgumentParser) -> None:
    """How many trials run at once, what happens to one whose process is killed, and the exam."""
    add = parser.add_argument
    message = "trials at once, each in a process with its share of the machine; with 1 the same "
    message += f"seed proposes the same trials (default: {AT_ONCE})"
    add("--workers", type=positive, metavar="W", help=message)
    message = "times that a trial is continued whose process was killed (default: %(default)s)"
    add("--retries", type=whole, default=config.RETRIES, metavar="N", help=message)
    message = "seconds between a trial's signs of life; a trial of another machine that has missed "
    message += "four is continued here (default: %(default)s)"
    add("--heartbeat", type=positive, default=config.HEARTBEAT, metavar="SECONDS", help=message)
    message = "search though the evaluator has failed its exam"
    add("--ignore-exam", action="store_true", help=message)


def add_machine_flags(parser: argparse.ArgumentParser) -> None:
    """Where trials are trained again, whatever the search used."""
    add = parser.add_argument
    add("--workers", type=positive, metavar="W", help=f"runs at once (default: {AT_ONCE})")
    add("--device", help="where to train: auto, cpu, cuda, mps (default: auto)")
    add("--threads", help="CPU threads of a run; 0: its share of the machine (default: 0)")
    add_storage_flags(parser)


def machine_queue(
    task: Task, study: str, arguments: argparse.Namespace, **more: Any
) -> config.SearchConfig:
    """A study of replicates, trained where the machine flags say; UserError for a bad one."""
    flags = {name: getattr(arguments, name) for name in ("device", "threads")}
    fixed = {name: value for name, value in flags.items() if value is not None}
    validate_params(task.params, fixed)
    where = {name: getattr(arguments, name) for name in ("storage", "artifacts", "workers")}
    how: dict[str, Any] = {"sampler": config.QUEUE, "fixed": fixed, **where, **more}
    return config.SearchConfig(task.name, arguments.runs, study, **how)


def named_tasks(parser: argparse.ArgumentParser, argv: list[str]) -> list[str]:
    """The tasks on the command line: its first words, and later ones that are tasks."""
    words = argv[1:] if parser.prog.split()[-1:] == argv[:1] else []
    first = takewhile(lambda word: not word.startswith("-"), words)
    return list(dict.fromkeys([*first, *(word for word in words if word in task_summaries())]))


def add_task_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """The parameters of the task that the command line names, where it names one."""
    parser.epilog = f"`{parser.prog} TASK --help` shows the task's own parameters too."
    if names := named_tasks(parser, argv):
        add_param_flags(parser, load_task(names[0]).params)
