"""gantune tasks: what can be tuned."""

from __future__ import annotations

import argparse

from core.params import task_summaries

SUMMARY = "what can be tuned, a line each"


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """None of its own."""


def run(arguments: argparse.Namespace) -> int:
    """List what can be tuned."""
    for name, summary in task_summaries().items():
        print(f"{name:<20} {summary}")
    return 0
