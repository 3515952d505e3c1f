"""NNI for real: `nnictl` runs the trials."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import requests
import torch
import yaml

from core.params import cli_overrides, load_task, validate_params
from core.record import Record
from core.search.nni_trial import NniTrial, trial_parser
from core.search.nni_tuner import OptunaTuner
from core.task import OutcomeKind, Score
from core.training.signals import Interrupted, interruptible
from tests.conftest import ROOT, TINY, TINY_GLYPHS, Run
from tests.nni_server import SHIPPED, Nni, wait_until
from trials.cyclegan import TASK

# A trial whose score is what the search space says, in forty epochs of 0.05 s.
KNOWN_SCORE = """
import time
from types import SimpleNamespace
import torch
from pydantic import Field
from core.main import main
from core.data.outputs import ImagePairs
from core.task import Case, Objective, Params, Score, Task

class KnownParams(Params):
    quality: float = Field(0.5, ge=0, le=1, description="the score")
    epochs: int = Field(40, ge=1, description="epochs")

class Known:
    networks = {}
    def __init__(self, params, data, device):
        self.quality = params.quality
    def batches(self):
        yield (torch.zeros(1),)
    def step(self, batch):
        time.sleep(0.05)
        return {"loss": torch.zeros(())}
    def outputs(self):
        return ImagePairs(torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), self.quality))
    def state_dict(self):
        return {}
    def load_state_dict(self, state):
        pass

class FakeEvaluator:
    objectives = (Objective("quality", "maximize", worst=0.0),)
    def prepare(self, data, folder, say):
        return {}
    def __call__(self, outputs):
        return Score(float(outputs.output.mean()))
    def exam(self, data):
        for quality in (1.0, 0.1):
            image = torch.full((1, 3, 8, 8), quality)
            yield Case(str(quality), ImagePairs(image, image), quality == 1.0)

load = lambda params: SimpleNamespace(fingerprint="", notes=())
evaluator = lambda params: FakeEvaluator()
main(Task("known", "", KnownParams, load, Known, evaluator, FakeEvaluator.objectives[0]))
"""


def trial_command(domains: Path, runs: Path, *more: str) -> str:
    """The shipped command, by this Python, on tiny data: a later flag beats an earlier one."""
    words = shlex.split(SHIPPED["trialCommand"])
    here = ["--data", str(domains), "--runs", str(runs)]
    return shlex.join([sys.executable, *words[1:], *TINY, *here, *more])


def test_the_shipped_config_is_fit_for_two_cores() -> None:
    words = shlex.split(SHIPPED["trialCommand"])
    assert words[1:3] == ["-m", "trials.cyclegan"]
    assert Path(words[0]).name.startswith("python")
    assert not re.search(r"[;&|<>$`(){}\n]", SHIPPED["trialCommand"])
    assert SHIPPED["tuner"]["className"] == f"{OptunaTuner.__module__}.{OptunaTuner.__name__}"
    assert SHIPPED["tuner"]["classArgs"] == {"sampler": "tpe", "seed": 0}
    assert SHIPPED["assessor"]["name"] == "Medianstop"
    assert SHIPPED["assessor"]["classArgs"]["optimize_mode"] == "maximize"
    assert trial_parser(TASK).parse_args(words[3:]).param_threads == "1"
    assert SHIPPED["trialConcurrency"] == 2
    assert (ROOT / SHIPPED["searchSpaceFile"]).samefile(TASK.search_space)


def test_the_shipped_config_runs_the_shipped_trial(
    nni: Nni, domains: Path, runs: Path, gantune: Run
) -> None:
    space_file = ROOT / SHIPPED["searchSpaceFile"]
    nni.create(
        trialCommand=trial_command(domains, runs, "--epochs", "1"),  # one: none is stopped early
        searchSpaceFile=str(space_file),
        maxTrialNumber=3,
    )
    nni.wait_done(120)

    trials, finals = nni.trials(), nni.finals()
    assert list(trials.values()) == ["SUCCEEDED"] * 3
    folders = list((runs / f"nni-{nni.experiment}").iterdir())
    assert {f.name for f in folders} == set(trials)
    space = json.loads(space_file.read_text())
    for record in map(Record, folders):
        about, outcome = record.trial(), record.outcome()
        assert (about["engine"], set(about["searched"])) == ("nni", set(space))
        for name, dimension in space.items():
            low, high = dimension["_value"]
            assert low <= about["params"][name] <= high
        assert outcome
        assert outcome.score
        assert outcome.kind is OutcomeKind.COMPLETED
        assert finals[record.folder.name] == outcome.score.value

    done = gantune("report", "--nni", nni.experiment)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.split()[-1]).name == "report.html"
    assert Path(done.stdout.split()[-1]).is_file()


def test_a_trial_that_is_cancelled_leaves_a_whole_record(
    nni: Nni, domains: Path, runs: Path
) -> None:
    nni.create(
        trialCommand=trial_command(domains, runs, "--epochs", "1000", "--compile", "off"),
        searchSpaceFile=str(ROOT / SHIPPED["searchSpaceFile"]),
        maxTrialNumber=1,
    )
    study = runs / f"nni-{nni.experiment}"
    wait_until(lambda: list(study.glob("*/checkpoint.pt")), 60, "the first epoch")
    (record,) = map(Record, study.iterdir())
    trial = record.folder.name
    assert nni.processes("NNI_TRIAL_JOB_ID", trial)

    nni.ctl("trial", "kill", nni.experiment, "--trial_id", trial)
    wait_until(lambda: not nni.processes("NNI_TRIAL_JOB_ID", trial), 10, "the trial's end")
    wait_until(lambda: nni.trials()[trial] == "USER_CANCELED", 10, "status USER_CANCELED")
    outcome = record.outcome()
    assert outcome
    assert (outcome.kind, outcome.reason) == (OutcomeKind.INTERRUPTED, "stopped by SIGINT")
    state = torch.load(record.checkpoint, weights_only=True)
    assert 1 <= state["epoch"] <= len(record.epochs()) < 1000
    assert not list(record.folder.glob(".checkpoint*"))
    assert "Traceback" not in nni.stderr(trial)


def test_parameters_the_task_refuses_fail_with_one_clear_line_each(
    nni: Nni, domains: Path, runs: Path
) -> None:
    space = {
        "lambda_cykle": {"_type": "uniform", "_value": [0, 1]},
        "dropout": {"_type": "choice", "_value": [7]},
    }
    file = nni.home / "space.json"
    file.write_text(json.dumps(space))
    nni.create(
        trialCommand=trial_command(domains, runs),
        searchSpaceFile=str(file),
        maxTrialNumber=1,
        tuner={"name": "TPE", "classArgs": {"optimize_mode": "maximize"}},
    )
    nni.wait_done(60)

    ((trial, status),) = nni.trials().items()
    assert status == "FAILED"
    refused, unknown = nni.stderr(trial).splitlines()
    assert "searchSpaceFile" in refused
    assert "--dropout: 7 is refused" in refused
    assert "lambda_cykle: no such parameter" in unknown
    assert not (runs / f"nni-{nni.experiment}").exists()


def test_a_hopeless_trial_is_stopped_early(nni: Nni, runs: Path) -> None:
    script, space = nni.home / "known.py", nni.home / "space.json"
    script.write_text(KNOWN_SCORE)
    space.write_text(json.dumps({"quality": {"_type": "choice", "_value": [0.75, 0.25]}}))
    nni.create(
        trialCommand=shlex.join([sys.executable, str(script), "--runs", str(runs)]),
        searchSpaceFile=str(space),
        maxTrialNumber=2,
        trialConcurrency=1,
        tuner={"name": "GridSearch"},
    )
    nni.wait_done(90)

    records = {r: r.trial() for r in map(Record, (runs / f"nni-{nni.experiment}").iterdir())}
    good, bad = sorted(records, key=lambda r: records[r]["params"]["quality"], reverse=True)
    trials = nni.trials()
    assert trials[good.folder.name] == "SUCCEEDED"
    # NNI 3.0 notes that its assessor asked only after the trial's end, so it says USER_CANCELED.
    assert trials[bad.folder.name] in ("EARLY_STOPPED", "USER_CANCELED")
    assert nni.finals() == {good.folder.name: 0.75}
    ended, stopped = good.outcome(), bad.outcome()
    assert ended
    assert stopped
    assert (ended.kind, len(good.epochs())) == (OutcomeKind.COMPLETED, 40)
    assert stopped.kind is OutcomeKind.INTERRUPTED
    assert 2 <= len(bad.epochs()) < 40


@pytest.mark.parametrize(
    "file", sorted((ROOT / "docs" / "nni").glob("*.yml")), ids=lambda f: f.stem
)
def test_an_example_differs_from_the_shipped_config_in_command_and_space_alone(file: Path) -> None:
    example = yaml.safe_load(file.read_text(encoding="utf-8"))
    own = ("trialCommand", "searchSpaceFile", "experimentName", "trialCodeDirectory")
    here = {"tuner": {**SHIPPED["tuner"], "codeDirectory": example["trialCodeDirectory"]}}
    assert {k: v for k, v in example.items() if k not in own} == {
        k: v for k, v in {**SHIPPED, **here}.items() if k not in own
    }
    words = shlex.split(example["trialCommand"])
    task = load_task(words[2].removeprefix("trials."))
    assert (file.parent / example["trialCodeDirectory"]).samefile(ROOT)
    assert (file.parent / example["searchSpaceFile"]).samefile(task.search_space)
    validate_params(task.params, cli_overrides(trial_parser(task).parse_args(words[3:])))


def test_another_task_runs_by_its_command_and_its_space_alone(
    nni: Nni, runs: Path, gantune: Run
) -> None:
    command = [sys.executable, "-m", "trials.glyph_pix2pix", *TINY_GLYPHS, "--epochs", "1"]
    command.remove("--batch-size")
    command.remove("16")
    space = ROOT / "search_spaces" / "glyph_pix2pix.json"
    nni.create(
        trialCommand=shlex.join([*command, "--runs", str(runs)]),
        searchSpaceFile=str(space),
        maxTrialNumber=2,
    )
    nni.wait_done(240)
    assert list(nni.trials().values()) == ["SUCCEEDED"] * 2
    records = {r.folder.name: r for r in map(Record, (runs / f"nni-{nni.experiment}").iterdir())}
    for trial, final in nni.finals().items():
        outcome = records[trial].outcome()
        assert outcome
        assert outcome.score
        assert set(records[trial].trial()["searched"]) == set(json.loads(space.read_text()))
        assert final == -outcome.score.value, "lower is better, and NNI maximizes"
    assert gantune("report", "--nni", nni.experiment).returncode == 0


def test_when_nni_has_gone_the_trial_is_interrupted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`nnictl stop` closes its channel seconds before it signals the trials."""
    import nni

    def gone(metric: object) -> None:
        raise requests.ConnectionError("refused")

    monkeypatch.setattr(nni, "report_intermediate_result", gone)
    trial = NniTrial(TASK.params(), {}, "nni-x", tmp_path, 0, TASK.objective)
    with pytest.raises(Interrupted, match="SIGINT"), interruptible():
        trial.report(1, Score(0.5))
