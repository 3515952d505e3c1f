"""gantune report: what a study found, from its records."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.files import read_json
from core.record import Study, valid_name
from core.task import UserError


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Which study."""
    parser.add_argument("study", nargs="?", help="name of the study")
    parser.add_argument("--nni", metavar="EXPERIMENT", help="id of an NNI experiment instead")


def run(arguments: argparse.Namespace) -> int:
    """Write the report of a study, or of an NNI experiment."""
    if (arguments.study is None) == (arguments.nni is None):
        raise UserError("name one study, or one NNI experiment by --nni")
    publish(arguments.runs, arguments.study or f"nni-{arguments.nni}")
    return 0


def publish(runs: Path, name: str) -> None:
    """Write a study's report; print its verdict and where it lies."""
    from core.report import write_report

    page = write_report(Study.open(runs, valid_name(name)))
    print(read_json(page.with_name("best.json"))["verdict"])
    print(f"report: {page}")
