"""NNI configs with a fault planted in each; read by NNI's own classes, checked with real tasks."""

from __future__ import annotations

import json
import os
import shlex
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from core.device import cores
from core.doctor import environment, nni_config, nni_trial
from core.doctor.finding import Finding, Level
from core.task import Task, UserError
from tests.conftest import ROOT

SPACE = {"lr_g": {"_type": "uniform", "_value": [1e-4, 1e-3]}}
GOOD: dict[str, Any] = {
    "searchSpaceFile": "space.json",
    "trialCommand": f"{sys.executable} -m trials.glyph_gan --threads 1",
    "trialCodeDirectory": str(ROOT),
    "trialConcurrency": 1,
    "tuner": {"name": "TPE", "classArgs": {"optimize_mode": "maximize"}},
    "assessor": {"name": "Medianstop", "classArgs": {"optimize_mode": "maximize"}},
    "trainingService": {"platform": "local"},
}


@cache
def tasks() -> dict[str, Task]:
    """The tasks that ship, all of which load."""
    loaded, findings = environment.load_tasks()
    assert findings == []
    assert {"cyclegan", "glyph_gan"} <= loaded.keys()
    return loaded


def write(folder: Path, space: Any = SPACE, **changes: Any) -> Path:
    """GOOD with these changes; a key set to None is left out."""
    (folder / "space.json").write_text(json.dumps(space))
    path = folder / "nni_config.yml"
    content = {k: v for k, v in {**GOOD, **changes}.items() if v is not None}
    path.write_text(yaml.safe_dump(content))
    return path


def check(path: Path) -> list[Finding]:
    return nni_config.check(path, tasks())


def only(path: Path) -> Finding:
    (found,) = check(path)
    assert found.where.startswith(str(path))
    return found


def test_a_sound_config_is_well(tmp_path: Path) -> None:
    assert check(write(tmp_path)) == []


@pytest.mark.parametrize("text", ["a: [", "- a\n- b\n", "", '{"trialCommand": 3', "\0"])
def test_a_file_that_is_no_config(tmp_path: Path, text: str) -> None:
    path = tmp_path / "nni_config.yml"
    path.write_text(text)
    assert only(path).level is Level.ERROR


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trialConcurency": 2}, "trialconcurency"),
        ({"tuner": None}, "tuner must be set"),
        ({"trialConcurrency": None}, "trial_concurrency"),
        ({"trainingService": {"platform": "lokal"}}, "platform"),
        ({"trainingService": None}, "platform"),
        ({"trialCommand": None}, "trial_command"),
        ({"searchSpaceFile": None}, "search_space and search_space_file must be set one"),
        ({"searchSpaceFile": "nowhere.json"}, "nowhere.json"),
        ({"maxExperimentDuration": "soon"}, "soon"),
    ],
)
def test_what_nni_itself_refuses(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    found = only(write(tmp_path, **changes))
    assert found.level is Level.ERROR
    assert message in found.what
    assert check(write(tmp_path)) == [], "the next config is read from its own folder"


@pytest.mark.parametrize(
    ("service", "gpus", "message"),
    [
        ({"trialGpuNumber": 1}, 1, "never schedules"),
        ({"trialGpuNumber": 2}, 2, "never schedules"),
        ({"trialGpuNumber": 1}, 0, "0 GPUs"),
        ({"trialGpuNumber": 0}, 1, "hides the GPU"),
        ({"trialGpuNumber": 1}, 2, ""),
        ({"trialGpuNumber": 0}, 0, ""),
        ({"trialGpuNumber": 1, "maxTrialNumberPerGpu": 2}, 1, ""),
        ({"trialGpuNumber": 2, "maxTrialNumberPerGpu": 2}, 1, "never schedules"),
    ],
)
def test_gpus_asked_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    service: dict[str, Any],
    gpus: int,
    message: str,
) -> None:
    """The number of GPUs is invented."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    local = {"platform": "local", "useActiveGpu": True, **service}
    found = check(write(tmp_path, trainingService=local))
    assert [message in f.what for f in found] == ([True] if message else [])
    top = {"trialGpuNumber": local.pop("trialGpuNumber"), "trainingService": local}
    assert check(write(tmp_path, **top)) == found


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
    text = simple.format(GOOD["trialCommand"])
    assert check(write(tmp_path, trialCommand=text)) == []
    command = nni_trial.parse(text)
    assert command.task == "glyph_gan"
    assert command.words[:2] == ["--threads", "1"]


def test_the_words_are_the_shell_s() -> None:
    flags = "--characters ascii+greek --source-font 'DejaVu Sans' --study a:b@c,d%e"
    command = nni_trial.parse(f"{sys.executable} -W ignore -m trials.glyph_gan {flags}")
    assert command.python == sys.executable
    assert command.words == shlex.split(flags)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("nosuchpython -m trials.glyph_gan --threads 1", "nosuchpython cannot be run (No such"),
        ("./nowhere/python -m trials.glyph_gan --threads 1", "./nowhere/python cannot be run"),
        (f"{sys.executable} -m nosuchmodule", "cannot import nosuchmodule"),
    ],
)
def test_a_program_that_is_not_there(tmp_path: Path, command: str, message: str) -> None:
    assert message in only(write(tmp_path, trialCommand=command)).what


def test_a_python_without_gantune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    bare = os.path.realpath(sys.executable)  # the one our .venv was made from
    command = f"{bare} -m trials.glyph_gan --threads 1"
    found = only(write(tmp_path, trialCommand=command, trialCodeDirectory=str(tmp_path)))
    assert "cannot import trials, core, torch, nni" in found.what


def ours(**arguments: Any) -> dict[str, Any]:
    """gantune's own tuner."""
    name = "core.search.nni_tuner.OptunaTuner"
    classed = {"task": "glyph_gan", **arguments}
    return {"className": name, "codeDirectory": str(ROOT), "classArgs": classed}


def tuner(name: str = "TPE", **arguments: Any) -> dict[str, Any]:
    return {"name": name, "classArgs": arguments or None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tuner": tuner(optimize_mode="minimize")}, "it is to minimize"),
        ({"tuner": tuner()}, "it is to minimize"),
        ({"assessor": tuner("Medianstop", optimize_mode="minimize")}, "it is to minimize"),
        ({"assessor": tuner("Medianstop", optimize_mode="maximise")}, "it is to maximise"),
        ({"tuner": tuner(optimize_mode="maximise")}, "'maximise'"),
        ({"tuner": tuner(optimise_mode="maximize")}, "unexpected keyword argument 'optimise_mode'"),
        ({"tuner": tuner("TPEE")}, "Builtin name is not found: tpee"),
        ({"tuner": {"className": "nowhere.Tuner", "codeDirectory": "."}}, "nowhere"),
        ({"tuner": {"className": "own.Tuner", "codeDirectory": "."}}, "it is to minimize"),
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
def test_tuners_and_assessors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])  # NNI appends codeDirectory
    (tmp_path / "own.py").write_text(
        "class Tuner:\n    def __init__(self, optimize_mode='minimize'): ...\n"
    )
    found = check(write(tmp_path, **changes))
    assert [message in f.what for f in found] == ([True] if message else []), found


def test_trials_of_one_s_own_are_checked_without_a_task(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("")
    command = {"trialCommand": f"{sys.executable} mine.py", "trialCodeDirectory": "."}
    assert check(write(tmp_path, **command, tuner=tuner(optimize_mode="minimize"))) == []
    assert "cannot be made" in only(write(tmp_path, **command, tuner=tuner("TPEE"))).what


def test_trials_on_other_machines_are_not_looked_for_here(tmp_path: Path) -> None:
    machine = {"host": "10.0.0.1", "user": "me", "password": "secret"}
    remote = {"platform": "remote", "machineList": [machine], "trialGpuNumber": 8}
    command = "/opt/python -m trials.glyph_gan"
    path = write(tmp_path, trialCommand=command, trainingService=remote, trialConcurrency=4096)
    assert check(path) == []


def with_flags(folder: Path, words: str = "", space: Any = None, **changes: Any) -> list[Finding]:
    """Check an experiment of glyph_pix2pix whose trials run with these flags."""
    command = f"{sys.executable} -m trials.glyph_pix2pix --threads 1 --device cpu {words}"
    searched = {"lambda_pixel": {"_type": "loguniform", "_value": [1, 300]}}
    space = searched if space is None else space
    return check(write(folder, space, **{"trialCommand": command, **changes}))


def test_a_sound_experiment_is_well(tmp_path: Path) -> None:
    assert with_flags(tmp_path, "--size 32 --study mine --runs runs") == []
    assert with_flags(tmp_path, "--epochs 4 --pruner median:3") == []


@pytest.mark.parametrize(
    ("words", "space", "message"),
    [
        ("--sise 32", None, "unrecognized arguments: --sise 32"),
        ("--size", None, "--size: expected one argument"),
        ("--size 33", None, "--size: 33 is refused"),
        ("", {}, "not empty"),
        ("", {"lamda": {"_type": "choice", "_value": [1]}}, "no such parameter"),
        ("", {"dropout": {"_type": "uniform", "_value": [0, 2]}}, "the task refuses"),
        ("", {"dropout": {"_type": "beta", "_value": [0, 1]}}, "unsupported _type"),
        ("--device mps", None, "--device mps: this machine has none"),
        ("--epochs 3 --pruner median:3", None, "a trial has 3 epochs and is not stopped after"),
    ],
)
def test_what_would_fail(tmp_path: Path, words: str, space: Any, message: str) -> None:
    (wrong,) = with_flags(tmp_path, words, space)
    assert wrong.level is Level.ERROR
    assert message in wrong.what
    assert "nni_config.yml" in str(wrong)


def test_an_unknown_task(tmp_path: Path) -> None:
    command = f"{sys.executable} -m trials.glyph_pix2pics"
    assert "there is no task 'glyph_pix2pics'" in only(write(tmp_path, trialCommand=command)).what


def test_a_pruner_beyond_the_default_epochs_where_epochs_are_searched(tmp_path: Path) -> None:
    space = {"epochs": {"_type": "choice", "_value": [3, 9]}}
    assert with_flags(tmp_path, "--pruner median:500", space) == []


def test_a_parameter_both_searched_and_set(tmp_path: Path) -> None:
    (wrong,) = with_flags(tmp_path, "--lambda-pixel 10")
    assert wrong.level is Level.WARNING
    assert "--lambda-pixel 10 is searched, too" in wrong.what


@pytest.mark.parametrize("threads", [0, 1])
def test_more_threads_than_cores(tmp_path: Path, threads: int) -> None:
    words = f"--threads {threads}"
    fitting = cores() if threads else 1
    assert with_flags(tmp_path, words, trialConcurrency=fitting) == []
    (wrong,) = with_flags(tmp_path, words, trialConcurrency=fitting + 1)
    assert wrong.level is Level.WARNING
    assert "trialConcurrency" in wrong.where
    assert f"{fitting + 1} at once" in wrong.what


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
