"""gantune doctor: what would go wrong here, before it does."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.doctor.finding import Finding

SUMMARY = "what would go wrong here, before it does"
PORT = 8080  # nnictl's and the dashboard's


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """What to look at beside the machine."""
    configs = "NNI configs (nni_config.yml and docs/nni/*.yml, where there are any)"
    parser.add_argument(
        "--config", type=Path, nargs="+", action="extend", metavar="FILE", help=configs
    )
    parser.add_argument("--storage", help="an Optuna storage URL (the file under --runs)")
    parser.add_argument("--port", type=port, help=f"the port to serve on ({PORT})")
    parser.add_argument("--facts", action="store_true", help="say what is well, too")
    parser.epilog = "Prints nothing where nothing is wrong. Exit status 1: something will fail."


def port(text: str) -> int:
    """A TCP port, as argparse wants it."""
    number = int(text)
    if not 0 < number < 65536:
        raise ValueError
    return number


def run(arguments: argparse.Namespace) -> int:
    """Print what is wrong, errors first; 1 where something will fail."""
    from core.doctor.finding import Level

    order = list(Level) if arguments.facts else [Level.ERROR, Level.WARNING]
    findings = [f for f in dict.fromkeys(examine(arguments)) if f.level in order]
    for finding in sorted(findings, key=lambda f: order.index(f.level)):
        print(finding)
    return int(any(finding.level is Level.ERROR for finding in findings))


def examine(arguments: argparse.Namespace) -> list[Finding]:
    """Every finding. What needs PyTorch runs in a child, meanwhile the rest is looked at here."""
    from core.doctor import (
        disk,
        environment,
        evaluators,
        fonts,
        machine,
        nni_config,
        probe,
        storage,
    )

    configs = nni_config.find(arguments.config)
    with probe.start() as child:
        gpus = machine.gpus()
        found = [
            *environment.check(),
            *disk.check(arguments.runs),
            *evaluators.check(arguments.runs),
        ]
        found += fonts.check()
        experiments = []
        for path in configs:
            experiment, wrong = nni_config.check(path, len(gpus))
            found += wrong
            experiments += [experiment] if experiment else []
        afar = any(not experiment.local for experiment in experiments)
        serving = arguments.port or PORT  # NNI takes the next one, too, to talk to other machines
        found += machine.ports([serving, serving + 1] if afar else [serving], bool(arguments.port))
        requests = [request for e in experiments if (request := e.request())]
        learnt = probe.finish(child, requests)
    found += [*learnt.findings, *machine.devices(gpus, learnt.torch)]
    url = arguments.storage or _default_storage(arguments.runs)
    return found + (storage.check(url, learnt.directions) if url else [])


def _default_storage(runs: Path) -> str:
    """The URL of the file that searches keep under `runs`; '' before the first one."""
    from sqlalchemy import URL

    file = (runs / "gantune.db").resolve()
    there = file.exists()
    return URL.create("sqlite", database=str(file)).render_as_string() if there else ""
