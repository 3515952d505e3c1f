"""gantune tasks: list the tasks that can be tuned."""

from __future__ import annotations

import argparse

from core.params import task_summaries


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """It has no flags of its own."""


def run(arguments: argparse.Namespace) -> int:
    """Print a line a task."""
    for name, summary in task_summaries().items():
        print(f"{name:<20} {summary}")
    return 0
