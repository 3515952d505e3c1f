"""Where a result comes from: command, code, versions and machine."""

from __future__ import annotations

import multiprocessing
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from core.files import now


def provenance() -> dict[str, Any]:
    """Where a result comes from: command, code, versions and machine."""
    packages = ("gantune", "torch", "torchvision", "optuna", "nni", "numpy", "pillow")
    return {
        "started": now(),
        "command": without_passwords(_command()),
        "git": git_commit(),
        "versions": {"python": platform.python_version()} | {p: _version(p) for p in packages},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores",
    }


def _command() -> str:
    """The command that the user typed, also in a worker process."""
    ours = multiprocessing.parent_process() or Path(sys.argv[0]).name == "gantune"
    typed = sys.argv if ours else sys.orig_argv
    return shlex.join([Path(typed[0]).name, *typed[1:]])


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def scored_by(fingerprint: str, facts: Mapping[str, Any]) -> dict[str, str]:
    """What tells scores' data and evaluator from others: fingerprint, names and hashes.

    What was measured of the evaluator may differ between machines and is left out.
    """
    names = {k: v for k, v in facts.items() if isinstance(v, str) and v and v != fingerprint}
    found = {"evaluator" if k == "evaluator" else f"evaluator_{k}": v for k, v in names.items()}
    return {"data_fingerprint": fingerprint, **found} if fingerprint else found


def without_passwords(text: str) -> str:
    """Text with the passwords of URLs masked, since reports are passed on."""
    return re.sub(r"(://[^:/@\s]*:)[^@\s]+@", r"\1***@", text)


def git_commit() -> str:
    """The checkout's commit, marked `+changes` where files differ from it; '' outside git."""

    def git(*args: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *args]
        return subprocess.run(
            command, capture_output=True, encoding="utf-8", check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""
