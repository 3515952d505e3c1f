"""What is installed here: packages that fit, a PyTorch and tasks that import; and free ports."""

from __future__ import annotations

import socket
import subprocess
import sys
from importlib.util import find_spec

from core.doctor.finding import Finding, Level, error, first_line, warning
from core.params import load_task, task_summaries
from core.task import Task


def check_packages() -> list[Finding]:
    """What `pip check` says, and a setuptools without the pkg_resources that nnictl imports."""
    check = subprocess.run(
        [sys.executable, "-m", "pip", "check"], capture_output=True, encoding="utf-8"
    )
    findings = []
    for line in check.stdout.splitlines() if check.returncode else ():
        report = error if line.startswith("gantune ") else warning
        findings.append(report("pip check", line, "install a version that fits"))
    if find_spec("pkg_resources") is None:
        what = "nnictl imports pkg_resources, which this setuptools does not have"
        findings.append(error("setuptools", what, "pip install 'setuptools<81'"))
    return findings


def check_pytorch() -> list[Finding]:
    """Whether torch and torchvision import as a pair; an operator shows whether it is one."""
    try:
        import torch
        import torchvision

        torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except Exception as problem:
        what = f"torch and torchvision cannot be imported ({first_line(problem)})"
        remedy = "they are built in pairs; pip install --force-reinstall torch torchvision"
        return [error("torch", what, remedy)]
    return []


def load_tasks() -> tuple[dict[str, Task], list[Finding]]:
    """The tasks that load, by name, and what is wrong with the others."""
    loaded: dict[str, Task] = {}
    findings = []
    for name in task_summaries():
        try:
            loaded[name] = load_task(name)
        except (Exception, SystemExit) as problem:
            what = f"cannot be loaded ({first_line(problem)})"
            findings.append(error(f"trials/{name}.py", what, f"see python -m trials.{name}"))
    return loaded, findings


def check_port(port: int, level: Level) -> list[Finding]:
    """A finding of this level where the TCP port cannot be listened on."""
    try:
        with socket.socket() as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind(("127.0.0.1", port))
    except OSError as problem:
        remedy = "nnictl create and gantune dashboard take another by --port"
        return [Finding(level, f"port {port}", str(problem.strerror), remedy)]
    return []
