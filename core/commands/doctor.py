"""gantune doctor: what would go wrong here, before it does."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.doctor.finding import Finding

PORT = 8080  # of nnictl and of the dashboard


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Add the flags that say what to check beside the machine."""
    add = parser.add_argument
    images = "a data set of images in CycleGAN's layout, to see what training would take of it"
    add("--data", type=Path, metavar="DIR", help=images)
    add("--recursive", action="store_true", help="with the sub-folders of --data")
    configs = "NNI configs (default: nni_config.yml and docs/nni/*.yml, where they exist)"
    add("--config", type=Path, nargs="+", action="extend", metavar="FILE", help=configs)
    add("--storage", help="an Optuna storage URL (default: the file gantune.db under --runs)")
    add("--port", type=port, help=f"the port to serve on (default: {PORT})")
    add("--facts", action="store_true", help="print what is well, too")
    message = "fetch torchvision's weights for --evaluator-weights resnet18, and check nothing"
    add("--download", action="store_true", help=message)
    parser.epilog = "Prints nothing where nothing is wrong. Exit status 1: something will fail."


def port(text: str) -> int:
    """A TCP port, for argparse."""
    number = int(text)
    if not 0 < number < 65536:
        raise ValueError
    return number


def run(arguments: argparse.Namespace) -> int:
    """Print what is wrong, errors first, or download; 1 where something will fail, else 0."""
    from core.doctor.finding import Level

    if arguments.download:
        from core.backbone import download  # torch is slow to import

        print(download())
        return 0
    logging.disable(logging.CRITICAL)  # NNI and Optuna log as they load
    shown = list(Level) if arguments.facts else [Level.ERROR, Level.WARNING]
    findings = [f for f in dict.fromkeys(examine(arguments)) if f.level in shown]
    for finding in sorted(findings, key=lambda f: shown.index(f.level)):
        print(finding)
    return int(any(finding.level is Level.ERROR for finding in findings))


def examine(arguments: argparse.Namespace) -> list[Finding]:
    """All findings; where PyTorch does not import, those that need neither it nor a task."""
    from core.data import cache_folder
    from core.doctor import data, environment, nni_config, runs
    from core.doctor.finding import Level
    from core.search.storage import default_storage

    configs = nni_config.find(arguments.config)
    level = Level.ERROR if arguments.port else Level.WARNING
    findings = environment.check_packages() + environment.check_port(arguments.port or PORT, level)
    findings += runs.check_folder(arguments.runs) + runs.check_folder(cache_folder(), "the cache")
    findings += runs.check_evaluators(arguments.runs)
    findings += data.check(arguments.data, arguments.recursive) if arguments.data else []
    if broken := environment.check_pytorch():
        return findings + broken
    tasks, wrong = environment.load_tasks()
    findings += wrong
    for path in configs:
        findings += nni_config.check(path, tasks)
    directions = {name: task.objective.direction for name, task in tasks.items()}
    kept = (arguments.runs / "gantune.db").exists()
    url = arguments.storage or (default_storage(arguments.runs) if kept else "")
    return findings + (runs.check_storage(url, directions) if url else [])
