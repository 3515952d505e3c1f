"""NNI's remote service for real: trials of this machine, reached over SSH."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml

from core.record import Record
from core.task import OutcomeKind
from tests.conftest import ROOT, TINY, Run
from tests.nni_server import Nni
from tests.ssh_server import Ssh

EXAMPLE: dict[str, Any] = yaml.safe_load((ROOT / "docs" / "nni_remote.yml").read_text())


def test_the_remote_example_runs_over_ssh(
    nni: Nni, domains: Path, runs: Path, gantune: Run, tmp_path: Path
) -> None:
    far = tmp_path / "far"  # the home folder on the other side
    far.mkdir()
    (far / "gantune-runs").symlink_to(runs)
    environment = {"HOME": str(far), "PIP_NO_INDEX": "1"}
    if path := os.environ.get("PYTHONPATH"):
        environment["PYTHONPATH"] = path
    with Ssh(environment) as server:
        (machine,) = EXAMPLE["trainingService"]["machineList"]
        here = {"host": server.host, "port": server.port, "user": server.user}
        here |= {"sshKeyFile": str(server.key), "pythonPath": str(Path(sys.executable).parent)}
        assert here.keys() == machine.keys()
        small = shlex.join([*TINY, "--epochs", "1", "--data", str(domains)])
        left = ("tuner", "trialCodeDirectory", "maxTrialNumber")
        changes = {k: v for k, v in EXAMPLE.items() if k not in left}
        changes["trialCommand"] += f" {small}"
        changes["searchSpaceFile"] = str(ROOT / "search_spaces" / "cyclegan.json")
        changes["trainingService"] = {**EXAMPLE["trainingService"], "machineList": [here]}
        nni.create(**changes, maxTrialNumber=3)
        nni.wait_done(400)
        trials, finals = nni.trials(), nni.finals()
        assert list(trials.values()) == ["SUCCEEDED"] * 3
        for name in trials:
            outcome = Record(runs / f"nni-{nni.experiment}" / name).outcome()
            assert outcome
            assert outcome.score
            assert outcome.kind is OutcomeKind.COMPLETED
            assert finals[name] == outcome.score.value
        done = gantune("report", "--nni", nni.experiment)
        assert done.returncode == 0, done.stderr

    (trial,) = far.glob("nni-experiments/*/environments/*/upload/*/trials/cyclegan.py")
    sent = trial.parent.parent
    assert (sent / ".nniignore").is_file()
    assert not any((sent / name).exists() for name in (".git", ".venv", "runs"))
