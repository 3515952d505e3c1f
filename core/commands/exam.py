"""gantune exam: would the evaluator of a task fall for outputs that nobody may win with?"""

from __future__ import annotations

import argparse

from core.commands.tune import add_task_flags
from core.params import load_task

SUMMARY = "examine a task's evaluator on known-bad outputs; exit status 1 where it can be gamed"


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Which task, and its own flags: the data, the size, the evaluator."""
    parser.add_argument("task", help="whose evaluator; `gantune tasks` lists them")
    add_task_flags(parser, argv)


def run(arguments: argparse.Namespace) -> int:
    """Prepare the evaluator, sit the exam anew, print and keep it; 1 where the evaluator fails."""
    from core.device import configure_torch
    from core.metrics.exam import sentence, sit_once, table
    from core.params import cli_overrides, validate_params
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
