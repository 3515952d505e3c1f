"""The command `gantune`: its words, and what is said when one goes wrong."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from core import __version__
from core.commands import (
    audit,
    compare,
    confirm,
    dashboard,
    doctor,
    exam,
    report,
    sweep,
    tasks,
    translate,
    tune,
)
from core.metrics.exam import ExamFailed
from core.task import UserError
from core.training.signals import Interrupted, interruptible

COMMANDS = {
    "tasks": tasks,
    "exam": exam,
    "tune": tune,
    "sweep": sweep,
    "compare": compare,
    "confirm": confirm,
    "audit": audit,
    "report": report,
    "translate": translate,
    "dashboard": dashboard,
    "doctor": doctor,
}
SEARCHING = ("tune", "sweep", "compare", "confirm", "audit")


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0 done, 1 failed, 2 a user's mistake, 130 interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        arguments = _parser(argv).parse_args(argv)
        if arguments.command not in SEARCHING:
            return int(COMMANDS[arguments.command].run(arguments))
        with interruptible():
            return int(COMMANDS[arguments.command].run(arguments))
    except (UserError, OSError) as error:
        from core.params import print_user_error

        return print_user_error(error)
    except ExamFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Interrupted as error:
        again = "the same command goes on with the study"
        print(f"stopped by {error}; nothing is lost: {again}", file=sys.stderr)
        return 128 + error.signum
    except KeyboardInterrupt:
        return 130


def _parser(argv: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gantune",
        description="Find the loss weights, learning rates and dropout that make a GAN work.",
    )
    parser.add_argument("--version", action="version", version=f"gantune {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.SUMMARY, description=command.SUMMARY)
        command.add_flags(sub, argv)
        sub.add_argument("--runs", type=Path, default=Path("runs"), help="where all is kept (runs)")
    return parser
