"""gantune exam: would the judge of a task fall for outputs that nobody may win with?"""

from __future__ import annotations

import argparse

from core.catalog import load_task
from core.commands.tune import add_task_flags

SUMMARY = "examine a task's judge on known-bad outputs; exit status 1 where it can be gamed"


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Which task, and its own flags: the data, the size, the judge."""
    parser.add_argument("task", help="whose judge; `gantune tasks` lists them")
    add_task_flags(parser, argv)


def run(arguments: argparse.Namespace) -> int:
    """Prepare the judge, sit the exam anew, print and keep it; 1 where the judge fails."""
    from core.device import use
    from core.exam import in_a_sentence, sit_once, table
    from core.flags import given, make
    from core.progress import Progress
    from core.run import prepare

    task = load_task(arguments.task)
    params = make(task.params, given(arguments))
    use(params)
    with Progress() as progress:
        data, judge, facts = prepare(task, params, progress, arguments.runs)
        exam = sit_once(judge, data, facts, arguments.runs, progress.say, again=True)
    print(table(exam))
    print(in_a_sentence(exam))
    return 0 if exam["passed"] else 1
