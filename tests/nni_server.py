"""A real NNI for tests: `nnictl` in a home folder of its own, which keeps the user's clean."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import psutil
import pytest
import yaml

from core.search.nni_trial import TRIAL
from core.search.space import flatten
from tests.conftest import ROOT, free_port

SHIPPED: dict[str, Any] = yaml.safe_load((ROOT / "nni_config.yml").read_text())


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Ask again and again; fails after so many seconds, saying what did not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {seconds} s")
        time.sleep(0.1)


@dataclass
class Nni:
    """An NNI of its own: `~/nni-experiments` lies in `home`; it runs the code in `code`."""

    home: Path
    code: Path = ROOT
    port: int = 0
    experiment: str = ""

    def ctl(self, *words: str) -> str:
        """Run `nnictl`; what it printed."""
        command = [str(Path(sys.executable).parent / "nnictl"), *words]
        folders = [str(self.code), str(ROOT), os.environ.get("PYTHONPATH")]
        path = os.pathsep.join(filter(None, folders))
        done = subprocess.run(
            command,
            cwd=self.code,
            env={**os.environ, "HOME": str(self.home), "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def create(self, **changes: Any) -> None:
        """Start the shipped experiment with some keys of its config changed, from this folder."""
        tuner = {**SHIPPED["tuner"], "codeDirectory": str(self.code)}
        where = {"trialCodeDirectory": str(self.code), "tuner": tuner}
        config = {**SHIPPED, **where, **changes}
        config = {k: v for k, v in config.items() if v is not None}
        file = self.home / "config.yml"
        file.write_text(yaml.safe_dump(config))
        self.port = free_port()
        printed = self.ctl("create", "--config", str(file), "--port", str(self.port))
        found = re.search(r"nnictl stop (\w+)", printed)
        assert found, printed
        self.experiment = found[1]

    def rest(self, path: str) -> Any:
        """What NNI's web portal asks."""
        with build_opener(ProxyHandler({})).open(
            f"http://127.0.0.1:{self.port}/api/v1/nni/{path}", timeout=20
        ) as answer:
            return json.load(answer)

    def trials(self) -> dict[str, str]:
        """NNI's status of each trial, by the trial's id."""
        return {trial["trialJobId"]: trial["status"] for trial in self.rest("trial-jobs")}

    def finals(self) -> dict[str, float]:
        """The final metric of each trial that has one."""
        return {
            trial["trialJobId"]: json.loads(json.loads(trial["finalMetricData"][0]["data"]))[
                "default"
            ]
            for trial in self.rest("trial-jobs")
            if trial.get("finalMetricData")
        }

    def proposed(self) -> list[dict[str, Any]]:
        """What the tuner proposed, flat, in the order of NNI's sequence numbers."""
        trials = sorted(self.rest("trial-jobs"), key=lambda trial: int(trial["sequenceId"]))
        points = [flatten(json.loads(t["hyperParameters"][0])["parameters"]) for t in trials]
        return [{k: v for k, v in point.items() if k != TRIAL} for point in points]

    def wait_done(self, seconds: float) -> None:
        """Wait for the last trial's end."""

        def done() -> bool:
            now = self.rest("check-status")
            assert now["status"] != "ERROR", now
            return bool(now["status"] == "DONE")

        wait_until(done, seconds, "status DONE")

    def stderr(self, trial: str) -> str:
        """What a trial printed to stderr."""
        folder = self.home / "nni-experiments" / self.experiment / "environments"
        return (folder / "local-env" / "trials" / trial / "trial.stderr").read_text()

    def processes(self, variable: str, value: str) -> list[psutil.Process]:
        """The living processes that have this in their environment."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(variable) == value:
                    found.append(process)
            except psutil.Error:
                continue
        return [p for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@contextmanager
def nni_server(home: Path, code: Path = ROOT) -> Iterator[Nni]:
    """An NNI without experiments; whatever is started in it is stopped at the end."""
    home.mkdir(parents=True)
    nni = Nni(home, code)
    try:
        yield nni
    finally:
        try:
            if nni.experiment:
                nni.ctl("stop", nni.experiment)
        finally:
            for process in nni.processes("HOME", str(home)):
                process.kill()
