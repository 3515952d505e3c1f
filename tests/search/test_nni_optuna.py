"""Optuna inside NNI for real: `nnictl` runs trials that our tuner proposes."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from core.record import Record
from core.search.storage import default_storage
from core.task import OutcomeKind
from tests.conftest import GANTUNE
from tests.nni_server import Nni, nni_server, wait_until
from tests.search import hill
from tests.search.conftest import proposed_by_optuna


@pytest.fixture
def nni(tmp_path: Path, checkout: Path) -> Iterator[Nni]:
    """An NNI that finds `trials.hill`."""
    with nni_server(tmp_path / "home", checkout) as server:
        yield server


def experiment(checkout: Path, *flags: str, **changes: Any) -> dict[str, Any]:
    """The changes to the shipped config that make it one of the hill's."""
    arguments = {"seed": 3}
    tuner = {"className": "core.search.nni_tuner.OptunaTuner", "codeDirectory": str(checkout)}
    return {
        "trialCommand": shlex.join([sys.executable, "-m", "trials.hill", *flags]),
        "searchSpaceFile": str(checkout / "space.json"),
        "tuner": {**tuner, "classArgs": arguments},
        "trialConcurrency": 1,
        **changes,
    }


def test_nni_and_optuna_propose_the_same(nni: Nni, checkout: Path, tmp_path: Path) -> None:
    wanted = proposed_by_optuna(tmp_path, "tpe", 3, 20)
    assert 0 < sum(map(hill.fails, wanted)) < 10
    assert {values["kind"] for values in wanted} == {"plain", "steep"}

    nni.create(**experiment(checkout, "quick", maxTrialNumber=20))
    nni.wait_done(400)
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
    cut = {
        r.folder.name: (r.trial(), r.epochs(), r.outcome()) for r in map(Record, study.iterdir())
    }
    assert [e.kind for *_, e in cut.values() if e] == [OutcomeKind.INTERRUPTED] * 2

    nni.ctl("resume", nni.experiment, "--port", str(nni.port))
    nni.wait_done(240)
    records = {r.folder.name: r for r in map(Record, study.iterdir())}
    assert len(records) == 4
    assert {r.outcome().kind for r in records.values()} == {OutcomeKind.COMPLETED}
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
    assert told == {r.trial()["number"]: r.outcome().score.value for r in records.values()}


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
    known = {line.epoch: line.score.value for line in record.epochs()}
    assert 2 <= len(stopped.intermediate_values) <= len(known) < 40
    assert stopped.intermediate_values.items() <= known.items()
    assert stopped.value == stopped.intermediate_values[stopped.last_step]


def test_a_space_the_task_refuses_ends_the_experiment(nni: Nni, checkout: Path) -> None:
    (checkout / "space.json").write_text('{"width": {"_type": "uniform", "_value": [0, 1]}}')
    nni.create(**experiment(checkout, "quick", maxTrialNumber=1))
    wait_until(lambda: nni.rest("check-status")["status"] == "ERROR", 90, "status ERROR")
    log = nni.home / "nni-experiments" / nni.experiment / "log" / "dispatcher.log"
    last = log.read_text().splitlines()[-1]
    assert "ERROR" in last
    assert "NNI's search space: 'width': no such parameter; there are " in last


def test_trials_that_stop_at_rungs_go_on_in_their_folder(
    nni: Nni, checkout: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    changes = experiment(checkout, "--runs", str(runs), "--epochs", "9", maxTrialNumber=8)
    changes["tuner"]["classArgs"] = {"seed": 3, "pruner": "asha"}
    nni.create(**changes, assessor=None)
    nni.wait_done(240)
    records = [r for r in map(Record, (runs / f"nni-{nni.experiment}").iterdir()) if r.trial()]
    lengths = {r.trial()["number"]: len(r.epochs()) for r in records}
    assert sorted(lengths) == list(range(len(lengths)))
    assert set(lengths.values()) == {3, 9}
    longer = list(lengths.values()).count(9)
    assert len(lengths) + longer == 8, "NNI's jobs: trials, and those of them that go on"
    for record in records:  # a process that begins anew would count its steps anew
        steps = [line.losses["steps"] for line in record.epochs()]
        assert steps == list(range(1, len(steps) + 1))
    best = min(r.epochs()[2].score.value for r in records)
    assert best in [r.epochs()[2].score.value for r in records if len(r.epochs()) == 9]
    written = subprocess.run(
        [GANTUNE, "report", "--nni", nni.experiment, "--runs", str(runs)],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(checkout)},
    )  # fmt: skip
    assert written.returncode == 0, written.stderr
    page = (runs / f"nni-{nni.experiment}" / "report.md").read_text()
    reached = f"{len(lengths)} trials trained to epoch 3, {longer} went on to epoch 9"
    assert reached in page
