"""This machine: ports that are taken, and GPUs that PyTorch does not see."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import psutil
import pynvml

from core.doctor.finding import Finding, error, note, warning


def ports(wanted: Sequence[int], asked: bool) -> list[Finding]:
    """Ports somebody listens on; an error where the user asked for just these."""
    say = error if asked else warning
    wrong = []
    for port in dict.fromkeys(wanted):
        try:
            with socket.socket() as attempt:
                attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                attempt.bind(("127.0.0.1", port))
        except OSError as problem:
            taken = problem.errno == errno.EADDRINUSE
            why = f"in use{_holder(port)}" if taken else str(problem.strerror).lower()
            remedy = "nnictl create and gantune dashboard take another by --port"
            wrong.append(say(f"port {port}", why, remedy))
    return wrong


def _holder(port: int) -> str:
    """` by python3 (pid 17)`, where the system lets us know."""
    with suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            if listens and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""


def gpus() -> list[str]:
    """The names of the NVIDIA GPUs that the driver knows, as NNI counts them."""
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(k) for k in range(pynvml.nvmlDeviceGetCount())]
        return [str(pynvml.nvmlDeviceGetName(handle)) for handle in handles]
    except pynvml.NVMLError:
        return []


def devices(there: Sequence[str], torch: Mapping[str, Any]) -> list[Finding]:
    """What trials will train on; a warning where PyTorch sees none of the GPUs that are there."""
    if not torch:
        return []
    if torch["cuda"]:
        return [note("device", f"trials use cuda: {', '.join(torch['cuda'])}")]
    if not there:
        return [note("device", "trials use mps" if torch["mps"] else "trials use the CPU")]
    names = ", ".join(there)
    if not torch["built for"]:
        what = f"torch {torch['version']} is built for the CPU alone"
        remedy = "install the CUDA builds of torch and torchvision: https://pytorch.org"
    elif "CUDA_VISIBLE_DEVICES" in os.environ:
        what = f"CUDA_VISIBLE_DEVICES={os.environ['CUDA_VISIBLE_DEVICES']!r} hides it"
        remedy = "unset it"
    else:
        what = torch["complaint"] or f"torch {torch['version']} wants CUDA {torch['built for']}"
        remedy = "update the driver, or install a torch for its CUDA: https://pytorch.org"
    return [warning("device", f"trials use the CPU though there is {names}: {what}", remedy)]
