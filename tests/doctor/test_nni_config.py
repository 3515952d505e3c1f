"""NNI configs with a fault planted in each; read by NNI's own classes."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.doctor import nni_config
from core.doctor.finding import Finding, Level
from core.task import UserError
from tests.conftest import ROOT

GOOD: dict[str, Any] = {
    "searchSpaceFile": "space.json",
    "trialCommand": f"{sys.executable} -m trials.glyph_gan --threads 1",
    "trialCodeDirectory": str(ROOT),
    "trialConcurrency": 1,
    "tuner": {"name": "TPE", "classArgs": {"optimize_mode": "maximize"}},
    "assessor": {"name": "Medianstop", "classArgs": {"optimize_mode": "maximize"}},
    "trainingService": {"platform": "local"},
}


def write(folder: Path, **changes: Any) -> Path:
    """GOOD with these changes; a key set to None is left out."""
    (folder / "space.json").write_text('{"lr_g": {"_type": "uniform", "_value": [1e-4, 1e-3]}}')
    path = folder / "nni_config.yml"
    content = {k: v for k, v in {**GOOD, **changes}.items() if v is not None}
    path.write_text(yaml.safe_dump(content))
    return path


def faults(path: Path, gpus: int = 0) -> list[Finding]:
    return [f for f in nni_config.check(path, gpus)[1] if f.level is not Level.NOTE]


def only(path: Path, gpus: int = 0) -> Finding:
    (found,) = faults(path, gpus)
    assert found.where.startswith(str(path)) or not path.exists()
    return found


def test_a_sound_config_is_well(tmp_path: Path) -> None:
    assert faults(write(tmp_path)) == []


@pytest.mark.parametrize(
    "text", ["a: [", "- a\n- b\n", "", '{"trialCommand": 3', "\0"]
)  # fmt: skip
def test_a_file_that_is_no_config(tmp_path: Path, text: str) -> None:
    path = tmp_path / "nni_config.yml"
    path.write_text(text)
    assert only(path).level is Level.ERROR


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"trialConcurency": 2}, "trialconcurency"),
        ({"tuner": None}, "tuner must be set"),
        ({"trialConcurrency": None}, "trial_concurrency"),
        ({"trainingService": {"platform": "lokal"}}, "lokal"),
        ({"trainingService": None}, "is missing"),
        ({"trialCommand": None}, "trial_command"),
        ({"searchSpaceFile": None}, "neither searchSpaceFile nor searchSpace"),
        ({"maxExperimentDuration": "soon"}, "soon"),
    ],
)
def test_what_nni_itself_refuses(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    found = only(write(tmp_path, **changes))
    assert found.level is Level.ERROR
    assert told in found.what


def test_a_working_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = only(write(tmp_path, experimentWorkingDirectory="file/nni"))
    assert found.level is Level.ERROR
    assert f"{tmp_path}/file is a file" in found.what


def test_the_format_of_old_nni(tmp_path: Path) -> None:
    assert "NNI 2.2" in only(write(tmp_path, trainingServicePlatform="local")).what


@pytest.mark.parametrize(
    ("service", "gpus", "told"),
    [
        ({"trialGpuNumber": 1}, 1, "never schedules"),
        ({"trialGpuNumber": 2}, 2, "never schedules"),
        ({"trialGpuNumber": 1}, 0, "no GPU"),
        ({"trialGpuNumber": 0}, 1, "hides the GPU"),
        ({"trialGpuNumber": 1}, 2, ""),
        ({"trialGpuNumber": 0}, 0, ""),
        ({"trialGpuNumber": 1, "maxTrialNumberPerGpu": 2}, 1, ""),
        ({"trialGpuNumber": 2, "maxTrialNumberPerGpu": 2}, 1, "never schedules"),
    ],
)
def test_gpus_asked_for(tmp_path: Path, service: dict[str, Any], gpus: int, told: str) -> None:
    local = {"platform": "local", "useActiveGpu": True, **service}
    found = faults(write(tmp_path, trainingService=local), gpus)
    assert [told in f.what for f in found] == ([True] if told else [])
    top = {"trialGpuNumber": service["trialGpuNumber"], "trainingService": {**local}}
    del top["trainingService"]["trialGpuNumber"]
    assert faults(write(tmp_path, **top), gpus) == found


@pytest.mark.parametrize(
    "compound",
    [
        "cd trials && {}",
        "{} ; true",
        "{} | tee log",
        "{} > log",
        "{} 2>&1",
        "{} &",
        "({})",
        "true\n{}",
        "bash -c 'cd trials; {}'",
        "for i in 1; do {}; done",
        "time {}",
        "{} 'unbalanced",
    ],
)
def test_a_compound_command(tmp_path: Path, compound: str) -> None:
    found = only(write(tmp_path, trialCommand=compound.format(GOOD["trialCommand"])))
    assert found.level is Level.ERROR
    assert "no simple command" in found.what
    assert found.remedy == "make it one simple command"


@pytest.mark.parametrize(
    "simple",
    ["A=1 B='x;y' {}", "exec {}", "{} \\\n  --size 32", "bash -c '{}'", "{} --study 'a && b'",
     "env A=1 {}", "{}\n"],
)  # fmt: skip
def test_a_simple_command(tmp_path: Path, simple: str) -> None:
    path = write(tmp_path, trialCommand=simple.format(GOOD["trialCommand"]))
    experiment, found = nni_config.check(path, 0)
    assert found == []
    assert experiment is not None
    request = experiment.request()
    assert request is not None
    assert request["task"] == "glyph_gan"
    assert request["words"][:2] == ["--threads", "1"]


def test_the_words_are_the_shells(tmp_path: Path) -> None:
    flags = "--characters ascii+greek --source-font 'DejaVu Sans' --study a:b@c,d%e"
    command = f"{sys.executable} -W ignore -m trials.glyph_gan {flags}"
    experiment, found = nni_config.check(write(tmp_path, trialCommand=command), 0)
    assert found == []
    assert experiment is not None
    assert experiment.command is not None
    assert experiment.command.program == sys.executable
    assert experiment.command.words == shlex.split(flags)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("nosuchpython -m trials.glyph_gan", "no program 'nosuchpython'"),
        ("./nowhere/python -m trials.glyph_gan", "no program './nowhere/python'"),
        ("python nothere.py", "no file"),
        (f"{sys.executable} -m nosuchmodule", "cannot import nosuchmodule"),
    ],
)
def test_a_program_that_is_not_there(tmp_path: Path, command: str, told: str) -> None:
    assert told in only(write(tmp_path, trialCommand=command)).what


def test_a_python_without_gantune(tmp_path: Path) -> None:
    bare = os.path.realpath(sys.executable)  # the one our .venv was made from
    command = f"{bare} -m trials.glyph_gan"
    found = faults(write(tmp_path, trialCommand=command, trialCodeDirectory=str(tmp_path)))
    assert "cannot import trials.glyph_gan, core.training.run" in found[0].what


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("nni.report_final_result({'loss': 1.0})", "without `default`"),
        ("report_final_result({'default': 'good'})", "no number ('good')"),
        ("nni.report_intermediate_result({})", "without `default`"),
        ("nni.report_final_result('0.5')", "no number"),
        ("nni.report_final_result({'default': score, 'x': 1})", ""),
        ("nni.report_final_result({'x': 1, **more})", ""),
        ("nni.report_final_result({key: 1})", ""),
        ("nni.report_final_result(-0.5)", ""),
    ],
)
def test_what_a_trial_of_ones_own_reports(tmp_path: Path, call: str, told: str) -> None:
    (tmp_path / "mine.py").write_text(f"import nni\n{call}\n")
    command = f"{sys.executable} mine.py"
    path = write(tmp_path, trialCommand=command, trialCodeDirectory=".")
    experiment, all_ = nni_config.check(path, 0)
    assert experiment is not None
    assert experiment.request() is None
    assert "not one of gantune's trials" in all_[0].what
    assert all_[0].level is Level.NOTE
    found = faults(path)
    assert [told in f.what and "mine.py:2" in f.where for f in found] == ([True] if told else [])


def ours(**arguments: Any) -> dict[str, Any]:
    """gantune's own tuner."""
    name = "core.search.nni_tuner.OptunaTuner"
    classed = {"task": "glyph_gan", **arguments}
    return {"className": name, "codeDirectory": str(ROOT), "classArgs": classed}


def tuner(name: str = "TPE", **arguments: Any) -> dict[str, Any]:
    return {"name": name, "classArgs": arguments or None}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tuner": tuner(optimize_mode="minimize")}, "looks for the worst"),
        ({"tuner": tuner()}, "TPE's default looks for the worst"),
        ({"assessor": tuner("Medianstop", optimize_mode="minimize")}, "looks for the worst"),
        ({"tuner": tuner(optimize_mode="maximise")}, "'maximise'"),
        ({"tuner": tuner(optimise_mode="maximize")}, "unexpected keyword argument 'optimise_mode'"),
        ({"tuner": tuner("TPEE")}, "no tuner of this name"),
        ({"tuner": {"className": "nowhere.Tuner", "codeDirectory": "."}}, "nowhere"),
        ({"tuner": {"className": "own.Tuner", "codeDirectory": "."}}, "looks for the worst"),
        ({"tuner": ours()}, ""),
        ({"tuner": ours(sampler="random", seed=3)}, ""),
        ({"tuner": ours(task="glyph_gans")}, "no task 'glyph_gans'; there are: cyclegan, "),
        ({"tuner": ours(sampler="tpee")}, "no sampler 'tpee'; there are: tpe, random, "),
        ({"tuner": ours(seed="0")}, "seed: '0' is refused"),
        ({"tuner": ours(optimize_mode="maximize")}, "unexpected keyword argument 'optimize_mode'"),
        ({"tuner": ours(task="cyclegan")}, "cyclegan, and the trials are glyph_gan's"),
        ({"tuner": tuner("Random")}, ""),
        ({"assessor": tuner("Medianstop")}, ""),
        ({"assessor": None}, ""),
    ],
)
def test_tuners_and_assessors(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    (tmp_path / "own.py").write_text(
        "class Tuner:\n    def __init__(self, optimize_mode='minimize'): ...\n"
    )
    found = faults(write(tmp_path, **changes))
    assert [told in f.what for f in found] == ([True] if told else []), found


def test_a_tuner_and_an_assessor_after_different_things(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("")
    own = {"trialCommand": f"{sys.executable} mine.py", "trialCodeDirectory": "."}
    path = write(tmp_path, **own, tuner=tuner(optimize_mode="minimize"))
    assert "the tuner wants to minimize, the assessor to maximize" in only(path).what
    path = write(tmp_path, **own, tuner=tuner(), assessor=None)
    assert "TPE minimizes unless" in only(path).what


def test_the_search_space_of_a_trial_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("")
    own = {"trialCommand": f"{sys.executable} mine.py", "trialCodeDirectory": "."}
    path = write(tmp_path, **own)
    (tmp_path / "space.json").write_text('{"lr": {"_type": "unifrom", "_value": [0, 1]}}')
    assert 'unsupported type "unifrom"' in only(path).what
    (tmp_path / "space.json").unlink()
    assert "cannot be read" in only(path).what


def test_trials_on_other_machines_are_not_looked_for_here(tmp_path: Path) -> None:
    machine = {"host": "10.0.0.1", "user": "me", "password": "secret"}
    remote = {"platform": "remote", "machineList": [machine], "trialGpuNumber": 8}
    path = write(tmp_path, trialCommand="/opt/python -m trials.glyph_gan", trainingService=remote)
    experiment, found = nni_config.check(path, 0)
    assert found == []
    assert experiment is not None
    assert not experiment.local
    request = experiment.request()
    assert request is not None
    assert request["concurrency"] == 0


def test_configs_are_found_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert nni_config.find(None) == []
    write(tmp_path)
    (tmp_path / "docs" / "nni").mkdir(parents=True)
    (tmp_path / "docs" / "nni" / "other.yml").write_text("")
    assert nni_config.find(None) == [Path("docs/nni/other.yml"), Path("nni_config.yml")]
    assert nni_config.find([Path("nni_config.yml")]) == [Path("nni_config.yml")]
    with pytest.raises(UserError, match=r"--config nothere\.yml: there is no such file"):
        nni_config.find([Path("nothere.yml")])
