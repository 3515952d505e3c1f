"""The command `gantune`: its subcommands, and what is printed when one goes wrong."""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from types import ModuleType

from core import __version__

# Each is core/commands/<name>.py, with _ for -, imported only when it is named.
COMMANDS = {
    "tasks": "list the tasks that can be tuned",
    "exam": "examine a task's evaluator on known-bad outputs; exit status 1 where it can be gamed",
    "tune": "search a task's parameters with Optuna",
    "sweep": "train every point of a grid of parameters, with as many seeds as you like",
    "compare": "compare tasks that share an objective under one budget, on one page",
    "confirm": "train a study's best trials and the baseline again, with common seeds",
    "audit": "train some of a study's trials for longer: do few epochs rank as many do?",
    "promote": "train a study's best trials further, from where they stopped",
    "report": "write a study's report: an HTML page, report.md, best.json",
    "translate": "translate images, or all its glyphs, with the networks of a trial",
    "generate": "make images from noise with the networks of a trial",
    "dashboard": "serve optuna-dashboard with the pictures of the trials",
    "storage-server": "serve the studies' database to other machines, at grpc://HOST:PORT",
    "doctor": "check for what would go wrong here, before it does",
}
SEARCHING = ("tune", "sweep", "compare", "confirm", "audit", "promote")


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0 done, 1 failed, 2 a user's mistake, 130 interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    name = next((word for word in argv if not word.startswith("-")), "")
    if name in SEARCHING:  # first of all: PyTorch is then imported here and there at once
        import_module("core.search.processes").preload(argv)
    module = f"core.commands.{name.replace('-', '_')}"
    command = import_module(module) if name in COMMANDS else None
    if command is None:
        _parser(argv, name, None).parse_args(argv)
        return 0
    return _run(command, argv, name)


def _run(command: ModuleType, argv: list[str], name: str) -> int:
    from core.metrics.exam import ExamFailed
    from core.params import print_user_error
    from core.task import UserError
    from core.training.signals import Interrupted, interruptible

    try:
        arguments = _parser(argv, name, command).parse_args(argv)
        with interruptible() if name in SEARCHING else nullcontext():
            status = int(command.run(arguments))
        sys.stdout.flush()
        return status
    except (UserError, OSError) as error:
        unread = isinstance(error, BrokenPipeError) and _is_unread()
        return 128 + signal.SIGPIPE if unread else print_user_error(error)
    except ExamFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Interrupted as error:
        resume = "the same command goes on with the study"
        print(f"stopped by {error}; nothing is lost: {resume}", file=sys.stderr)
        return 128 + error.signum
    except KeyboardInterrupt:
        return 130


def _is_unread() -> bool:
    """Whether nobody reads what is printed any more, as in `gantune tasks | head -1`."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    if closed := bool(poll.poll(0)):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what Python still flushes
    return closed


def _parser(argv: list[str], name: str, command: ModuleType | None) -> argparse.ArgumentParser:
    """The parser, with the flags of the command that is named."""
    parser = argparse.ArgumentParser(
        prog="gantune",
        description="Find the loss weights, learning rates and dropout that make a GAN work.",
    )
    parser.add_argument("--version", action="version", version=f"gantune {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for each, summary in COMMANDS.items():
        description = f"{summary[0].upper()}{summary[1:]}".removesuffix(".")
        description += "" if summary.endswith("?") else "."
        sub = commands.add_parser(each, help=summary, description=description)
        if command and each == name:
            command.add_flags(sub, argv)
        message = "folder of studies, records and evaluators (default: runs)"
        sub.add_argument("--runs", type=Path, default=Path("runs"), help=message)
    return parser
