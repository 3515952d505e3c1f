"""Optuna inside NNI, with a real `nnictl` and a task of the tests' own."""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from core.engines.storage import default_storage
from core.engines.study import open_search
from core.record import Record
from core.space import Space
from core.task import Ending, Outcome, Score, Task
from tests.nni_server import Nni, nni_server, wait_until

# Its loss is known, lower is better, and one corner of the space always fails. Run as a script it
# is a trial of NNI's in no time; run by `core.run` it takes its time.
HILL = '''"""a hill"""
import math, sys, time
from types import SimpleNamespace
from pydantic import Field
from core.task import Objective, Params, Samples, Score, Task

class HillParams(Params):
    x: float = Field(0.25, ge=0, le=1)
    rate: float = Field(0.01, gt=0, le=1)
    n: int = Field(3, ge=1, le=8)
    spread: float = 0.0
    kind: str = "plain"
    slope: float = Field(0.5, ge=0, le=1)
    epochs: int = Field(100, ge=1)

def loss(values):
    steep = values["slope"] if values["kind"] == "steep" else 0.1
    far = abs(values["x"] - 0.7) + abs(math.log10(values["rate"]) + 3) + abs(values["n"] - 5)
    return far + abs(values["spread"] - 0.5) - steep

class Climb:
    networks = {}
    def __init__(self, params, data, device):
        self.loss, self.steps = loss(dict(params)), 0
    def batches(self):
        import torch
        yield (torch.zeros(1),)
    def step(self, batch):
        import torch
        time.sleep(0.1)
        self.steps += 1
        return {"steps": torch.tensor(float(self.steps))}
    def samples(self):
        import torch
        return Samples(torch.rand(1, 3, 8, 8), torch.full((1, 3, 8, 8), self.loss))
    def state_dict(self):
        return {"steps": self.steps}
    def load_state_dict(self, state):
        self.steps = state["steps"]

class Judge:
    objectives = (Objective("height", "minimize", worst=99.0),)
    def prepare(self, data, folder, say):
        return {}
    def __call__(self, samples):
        return Score(float(samples.output.mean()))

def load(params):
    return SimpleNamespace(fingerprint="", notes=())

TASK = Task("hill", "", HillParams, load, Climb, lambda params: Judge(), Judge.objectives[0])

if __name__ == "__main__" and "quick" in sys.argv:
    import nni
    from core.space import flatten
    values = flatten(nni.get_next_parameter())
    if values["x"] > 0.8:
        sys.exit(1)
    nni.report_final_result({"default": -loss(values)})
elif __name__ == "__main__":
    from core.run import main
    main(TASK)
'''

SPACE = {
    "x": {"_type": "uniform", "_value": [0, 1]},
    "rate": {"_type": "loguniform", "_value": [1e-4, 1]},
    "n": {"_type": "quniform", "_value": [1, 8, 1]},
    "spread": {"_type": "normal", "_value": [0, 1]},
    "kind": {
        "_type": "choice",
        "_value": [
            {"_name": "plain"},
            {"_name": "steep", "slope": {"_type": "uniform", "_value": [0, 1]}},
        ],
    },
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder of code with one task, hill, and its search space."""
    folder = tmp_path / "checkout"
    (folder / "trials").mkdir(parents=True)
    (folder / "trials" / "__init__.py").write_text("")
    (folder / "trials" / "hill.py").write_text(HILL)
    (folder / "space.json").write_text(json.dumps(SPACE))
    return folder


@pytest.fixture
def nni(tmp_path: Path, checkout: Path) -> Iterator[Nni]:
    """An NNI that finds `trials.hill`."""
    with nni_server(tmp_path / "home", checkout) as server:
        yield server


def hill(checkout: Path) -> tuple[Any, Task]:
    """The task's module, under another name than the package's `trials`."""
    spec = importlib.util.spec_from_file_location("hill", checkout / "trials" / "hill.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, module.TASK


def experiment(checkout: Path, *flags: str, **changes: Any) -> dict[str, Any]:
    """The changes to the shipped config that make it one of the hill's."""
    arguments = {"task": "hill", "seed": 3}
    tuner = {"className": "core.engines.nni_tuner.OptunaTuner", "codeDirectory": str(checkout)}
    return {
        "trialCommand": shlex.join([sys.executable, "-m", "trials.hill", *flags]),
        "searchSpaceFile": str(checkout / "space.json"),
        "tuner": {**tuner, "classArgs": arguments},
        "trialConcurrency": 1,
        **changes,
    }


def test_nni_and_optuna_propose_the_same(nni: Nni, checkout: Path, tmp_path: Path) -> None:
    module, task = hill(checkout)
    space = Space.parse(SPACE, task.params, "space")
    how = {"fixed": {}, "sampler": "tpe", "pruner": "none", "seed": 3}
    search = open_search(tmp_path, "s", default_storage(tmp_path), task, space, **how)
    wanted = []
    for trial in search.trials(20):
        wanted.append(dict(trial.searched))
        lost = trial.searched["x"] > 0.8
        score = None if lost else Score(module.loss(trial.searched))
        trial.finish(Ending(Outcome.FAILED if lost else Outcome.COMPLETED, "", score))
    assert 0 < sum(values["x"] > 0.8 for values in wanted) < 10
    assert {values["kind"] for values in wanted} == {"plain", "steep"}

    nni.create(**experiment(checkout, "quick", maxTrialNumber=20))
    nni.wait_done(300)
    assert nni.proposed() == wanted


def study_of(nni: Nni) -> optuna.Study:
    """The tuner's study of an experiment."""
    folder = nni.home / "nni-experiments" / nni.experiment / "checkpoint"
    return optuna.load_study(study_name="0", storage=default_storage(folder))


def test_an_experiment_stopped_in_mid_trial_goes_on(
    nni: Nni, checkout: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    command = ("--runs", str(runs), "--epochs", "100")
    slow = experiment(checkout, *command, maxTrialNumber=4, trialConcurrency=2, assessor=None)
    nni.create(**slow)
    study = runs / f"nni-{nni.experiment}"
    wait_until(lambda: len(list(study.glob("*/checkpoint.pt"))) == 2, 90, "two first epochs")
    nni.ctl("stop", nni.experiment)
    wait_until(lambda: not nni.processes("NNI_EXP_ID", nni.experiment), 30, "the trials' end")
    cut = {r.folder.name: (r.trial(), r.epochs(), r.ending()) for r in map(Record, study.iterdir())}
    assert [e.outcome for *_, e in cut.values() if e] == [Outcome.INTERRUPTED] * 2

    nni.ctl("resume", nni.experiment, "--port", str(nni.port))
    nni.wait_done(240)
    records = {r.folder.name: r for r in map(Record, study.iterdir())}
    assert len(records) == 4
    assert {r.ending().outcome for r in records.values()} == {Outcome.COMPLETED}
    for name, (about, epochs, _) in cut.items():
        assert 0 < len(epochs) < 100
        assert records[name].epochs()[: len(epochs)] == epochs, "what was trained is not redone"
        assert records[name].trial()["params"] == about["params"]
        assert [line.losses["steps"] for line in records[name].epochs()] == [*range(1, 101)]
    assert sorted(r.trial()["number"] for r in records.values()) == [0, 1, 2, 3]
    points = [
        {k: t["params"][k] for k in t["searched"]} for t in (r.trial() for r in records.values())
    ]
    assert all(points.count(point) == 1 for point in points), "no point is tried twice"
    told = {t.user_attrs["number"]: t.value for t in study_of(nni).trials if t.value is not None}
    assert told == {r.trial()["number"]: r.ending().score.value for r in records.values()}


def test_a_trial_that_nnis_assessor_stops_teaches_the_sampler(
    nni: Nni, checkout: Path, tmp_path: Path
) -> None:
    command = ("--runs", str(tmp_path / "runs"), "--epochs", "40")
    nni.create(**experiment(checkout, *command, maxTrialNumber=4))
    nni.wait_done(240)
    records = map(Record, (tmp_path / "runs" / f"nni-{nni.experiment}").iterdir())
    record = {r.trial()["number"]: r for r in records}[2]
    assert nni.trials()[record.folder.name] in ("EARLY_STOPPED", "USER_CANCELED")
    stopped = study_of(nni).trials[2]
    assert stopped.state is TrialState.PRUNED
    known = {line.epoch: line.value for line in record.epochs()}
    assert 2 <= len(stopped.intermediate_values) <= len(known) < 40
    assert stopped.intermediate_values.items() <= known.items()
    assert stopped.value == stopped.intermediate_values[stopped.last_step]
