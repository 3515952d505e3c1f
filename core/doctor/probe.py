"""What only a process with PyTorch can tell, asked of a child: a bad build may crash it.

`python -m core.doctor.probe` prints JSON lines: what it is about to do, and what it learnt. It
starts at once; the experiments to check it reads, as JSON, once it has imported all.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.doctor.finding import Finding, Level, error, first_line, warning

PATIENCE = 120
PAIR = "torch and torchvision are made in pairs; reinstall both from one index: pip install "
PAIR += "--force-reinstall torch torchvision"


@dataclass
class Learnt:
    """What the child found out: about PyTorch, the tasks' objectives, and what is wrong."""

    torch: dict[str, Any] = field(default_factory=dict)
    directions: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def start() -> subprocess.Popen[str]:
    """Start the child; it imports, and waits for `finish`."""
    command = [sys.executable, "-m", "core.doctor.probe"]
    checkout = Path(__file__).parent.parent.parent  # beside it lie trials and evaluators
    return subprocess.Popen(
        command,
        cwd=checkout,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(child: subprocess.Popen[str], experiments: Sequence[Mapping[str, Any]]) -> Learnt:
    """Hand it the experiments (`tasks.check_experiment` says what they are); what it learnt.

    A crash is a finding that names what the child was doing.
    """
    learnt, doing = Learnt(), "starting Python"
    asked = json.dumps(list(experiments), default=str)  # YAML knows dates
    try:
        said, complaints = child.communicate(asked, timeout=PATIENCE)
        how = _how(child.returncode, complaints)
    except subprocess.TimeoutExpired:
        child.kill()
        said, complaints = child.communicate()
        how = f"it took more than {PATIENCE} s"
    for told in _json_lines(said):
        doing = told.get("doing", doing)
        learnt.torch |= told.get("torch", {})
        learnt.directions |= told.get("directions", {})
        if finding := told.get("finding"):
            learnt.findings.append(Finding(**{**finding, "level": Level(finding["level"])}))
    if how:
        learnt.findings.append(error("torch", f"{doing} ended the process ({how})", PAIR))
    return learnt


def _json_lines(text: str) -> Iterator[dict[str, Any]]:
    """The lines that are ours: a compiled library may print, too."""
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            told = json.loads(line)
            if isinstance(told, dict):
                yield told


def _how(status: int, complaints: str) -> str:
    if status < 0:
        return signal.strsignal(-status) or f"signal {-status}"
    return (complaints.strip().splitlines() or [f"exit status {status}"])[-1] if status else ""


def main() -> None:
    """The child: PyTorch, torchvision, then every task, and the experiments' own flags."""
    say = _Say()
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        say(doing="import torch")
        try:
            say(torch=_torch())
            say(doing="import torchvision")
            wrong = _torchvision()
        except Exception as problem:
            where = "torchvision" if "torch" in sys.modules else "torch"
            wrong = [error(where, f"cannot be imported ({first_line(problem)})", PAIR)]
        for finding in wrong:
            say(finding=asdict(finding))
        if any(finding.level is Level.ERROR for finding in wrong):
            return  # every task would only say the same
        say(doing="import the tasks")
        _tasks(say)


class _Say:
    """Print a JSON line to the real stdout: what tasks print at their import must not get in."""

    def __init__(self) -> None:
        self.file = sys.stdout

    def __call__(self, **told: Any) -> None:
        print(json.dumps(told), file=self.file, flush=True)


def _torch() -> dict[str, Any]:
    import torch

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cuda = torch.cuda.is_available()
    return {
        "version": str(torch.__version__),
        "built for": torch.version.cuda or torch.version.hip or "",
        "cuda": [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
        if cuda
        else [],
        "mps": torch.backends.mps.is_available(),
        "complaint": str(caught[-1].message).split("\n")[0] if caught else "",
    }


def _torchvision() -> list[Finding]:
    """torchvision loads without its compiled half where that does not fit; an operator tells."""
    import torch
    import torchvision

    try:
        torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except (RuntimeError, AttributeError) as problem:
        version = f"{torchvision.__version__} beside torch {torch.__version__}"
        return [warning("torchvision", f"{version}: no operators ({first_line(problem)})", PAIR)]
    return []


def _tasks(say: _Say) -> None:
    from core.doctor import tasks

    found, wrong = tasks.load()
    experiments = json.loads(sys.stdin.read() or "[]")
    say(directions={name: task.objective.direction for name, task in found.items()})
    for experiment in experiments:
        wrong += tasks.check_experiment(experiment, found)
    for finding in wrong:
        say(finding=asdict(finding))


if __name__ == "__main__":
    main()
