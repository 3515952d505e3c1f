"""gantune exam: would the evaluator of a task score known-bad outputs as if they were good?"""

from __future__ import annotations

import argparse

from core.commands.flags import add_task_flags
from core.params import cli_overrides, load_task, validate_params


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """The task, and its own flags: the data, the size, the evaluator."""
    parser.add_argument("task", help="whose evaluator; `gantune tasks` lists them")
    add_task_flags(parser, argv)


def run(arguments: argparse.Namespace) -> int:
    """Prepare the evaluator, sit the exam anew, print and keep it; 1 where it fails."""
    from core.device import configure_torch
    from core.metrics.exam import sentence, sit_once, table
    from core.training.progress import Progress
    from core.training.run import prepare

    task = load_task(arguments.task)
    params = validate_params(task.params, cli_overrides(arguments))
    configure_torch(params)
    with Progress() as progress:
        data, evaluator, facts = prepare(task, params, progress, arguments.runs)
        exam = sit_once(evaluator, data, facts, arguments.runs, progress.say, again=True)
    print(table(exam))
    print(sentence(exam))
    return 0 if exam["passed"] else 1
