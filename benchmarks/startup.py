"""How long a command takes to start: `gantune --help`, and until the first training step.

    python -m benchmarks.startup [--repeats 7]      writes benchmarks/startup.md

Everything is cached before: the evaluator is fitted, its exam sat, the files are in memory. Each
repeat starts each command once, in a study of its own, and ends it at its first training step;
benchmarks/first_step.py says when that is. The trial under NNI has NNI's environment and its file
of parameters, and no NNI that answers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from types import MappingProxyType

from benchmarks.first_step import MARK
from benchmarks.table import origin, save, table

SMALL = ["--size", "64", "--width", "16", "--blocks", "1", "--batch-size", "4", "--epochs", "1"]
WATCHED = [sys.executable, "-m", "benchmarks.first_step"]
TUNE = [*WATCHED, "core.cli:main", "tune", "cyclegan", *SMALL, "--trials", "2"]


def until_first_step(command: list[str], more: Mapping[str, str] = MappingProxyType({})) -> float:
    """Seconds from the start of a command to the first training step, at which it is ended."""
    started = time.time()
    process = subprocess.Popen(
        command, env=os.environ | more, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    said = []
    assert process.stderr
    for line in process.stderr:
        said.append(line)
        if line.startswith(MARK):
            process.terminate()
            process.communicate()
            return float(line.removeprefix(MARK)) - started
    raise RuntimeError("no training step:\n" + "".join(said))


def until_help() -> float:
    """Seconds that `gantune --help` takes."""
    command = [sys.executable, "-c", "from core.cli import main; main(['--help'])"]
    started = time.time()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.time() - started


def under_nni(folder: Path) -> dict[str, str]:
    """NNI's environment of a trial, whose parameters lie in `folder`."""
    folder.mkdir()
    parameters = {"parameter_id": 0, "parameters": {"lambda_cycle": 10.0}}
    (folder / "parameter.cfg").write_text(json.dumps(parameters))
    names = {"PLATFORM": "local", "EXP_ID": folder.name, "TRIAL_JOB_ID": folder.name}
    names |= {"TRIAL_SEQ_ID": "0", "SYS_DIR": str(folder), "OUTPUT_DIR": str(folder)}
    return {f"NNI_{name}": value for name, value in names.items()}


def measure(folder: Path, number: int) -> dict[str, float]:
    """Seconds of one start of each command."""
    runs = ["--runs", str(folder / "runs")]
    pool = [*TUNE, *runs, "--study", f"pool{number}"]
    alone = [*TUNE, *runs, "--workers", "1", "--study", f"alone{number}"]
    trial = [*WATCHED, "trials.cyclegan", *SMALL, *runs, "--threads", "1"]
    return {
        "`gantune --help`": until_help(),
        "`gantune tune`, a worker a core": until_first_step(pool),
        "`gantune tune`, one worker": until_first_step(alone),
        "a trial under NNI": until_first_step(trial, under_nni(folder / f"nni{number}")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gantune-startup-") as name:
        folder = Path(name)
        warm = [*TUNE, "--runs", str(folder / "runs"), "--study", "warm"]
        until_first_step(warm)  # fits the evaluator, which sits its exam
        measure(folder, 0)
        turns = [measure(folder, number) for number in range(1, arguments.repeats + 1)]
    rows = []
    for command in turns[0]:
        seconds = [turn[command] for turn in turns]
        rows.append([command, f"{median(seconds):.2f}", f"{min(seconds):.2f}-{max(seconds):.2f}"])
        print(*rows[-1], flush=True)
    cores = len(os.sched_getaffinity(0))
    source = f"{origin('torch', 'nni')}; on {cores} of the cores; {len(turns)} repeats"
    save(__file__, source, table(["command", "seconds", "range"], rows))


if __name__ == "__main__":
    main()
