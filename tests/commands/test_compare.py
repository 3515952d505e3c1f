"""`gantune compare` as a person uses it: resumable, one budget, every mistake one clear error."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.cli import main
from core.commands import compare
from core.commands.compare import union
from core.files import exclusive, read_json
from core.params import load_task
from core.record import Record, Study
from core.search.config import SearchConfig, differences
from core.task import Outcome, OutcomeKind, Score, Task
from tests.conftest import ROOT, TINY

PROGRAM = "import sys; from core.cli import main; sys.exit(main())"
TASK = '''"""CycleGAN on a share of its data, for tests."""

from dataclasses import replace

from pydantic import Field

from trials import cyclegan


class SharedParams(cyclegan.CycleGANParams):
    data_fraction: float = Field(1.0, gt=0, le=1, description="share of the training images")


class Shared(cyclegan.CycleGAN):
    def __init__(self, params, data, device):
        super().__init__(params, data, device)
        self.train_x = self.train_x[: round(len(self.train_x) * params.data_fraction)]
        self.train_y = self.train_y[: round(len(self.train_y) * params.data_fraction)]


TASK = replace(cyclegan.TASK, name="{name}", params=SharedParams, build=Shared)
'''
SPACES = {
    "left": {"lr_g": {"_type": "loguniform", "_value": [1e-4, 1e-2]}},
    "right": {"dropout": {"_type": "uniform", "_value": [0.0, 0.5]}},
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the code with two small tasks of its own, left and right."""
    folder = tmp_path / "checkout"
    for package in ("core", "evaluators", "trials", "search_spaces"):
        shutil.copytree(ROOT / package, folder / package)
    for name, space in SPACES.items():
        (folder / "trials" / f"{name}.py").write_text(TASK.replace("{name}", name))
        (folder / "search_spaces" / f"{name}.json").write_text(json.dumps(space))
    return folder


def moments(runs: Path) -> dict[str, int]:
    """When each run's outcome, and each measurement, was written."""
    files = [*runs.glob("compare*/*/outcome.json"), *runs.glob("compare/cost-*.json")]
    return {str(path.relative_to(runs)): path.stat().st_mtime_ns for path in files}


def test_killed_it_goes_on_and_ends_in_a_page(checkout: Path, runs: Path, domains: Path) -> None:
    words = ["compare", "left", "right", "--trials", "2", "--seeds", "2", "--data-fractions", ".5"]
    words += [*TINY, "--workers", "1", "--data", str(domains), "--runs", str(runs)]
    command = [sys.executable, "-c", PROGRAM, *words]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    where: dict[str, Any] = {"cwd": checkout.parent, "env": environment, "text": True}
    with subprocess.Popen(command, stderr=subprocess.PIPE, **where) as process:
        assert process.stderr is not None
        said = [line for line in iter(process.stderr.readline, "") if not _until(line, process)]
    assert process.returncode == -9, said
    before = moments(runs)
    assert {name.split("/")[0] for name in before} == {"compare-left", "compare-right"}
    assert not (runs / "compare" / "compare.html").exists()

    ended = subprocess.run(command, capture_output=True, check=False, **where)
    assert ended.returncode == 0, ended.stderr
    assert {name: moments(runs)[name] for name in before} == before, "nothing is run twice"
    content = json.loads((runs / "compare" / "compare.json").read_text())
    assert ended.stdout.splitlines()[-2:] == [
        content["headline"], f"comparison: {runs}/compare/compare.html",
    ]  # fmt: skip
    for name in SPACES:
        _check_task(runs, name)
    page = (runs / "compare" / "compare.html").read_text()
    assert len(re.findall("<svg", page)) == 3
    assert "--lr-g" in page

    after = moments(runs)
    again = subprocess.run(command, capture_output=True, check=False, **where)
    assert again.returncode == 0, again.stderr
    assert moments(runs) == after
    other = subprocess.run([*command, "--trials", "3"], capture_output=True, check=False, **where)
    assert other.returncode == 2
    assert "'compare' was set up otherwise (trials was 2, is now 3); name a new" in other.stderr


def _until(line: str, process: subprocess.Popen[str]) -> bool:
    """Kill the process when it starts on other seeds; whether that is done."""
    if "seed-1 of compare-left-seeds" in line:
        process.kill()
    return process.poll() is not None


def _broken(score: Score) -> int:
    """How many guards it breaks: the fewest win."""
    return sum(amount > 0 for amount in score.violations.values())


def _check_task(runs: Path, name: str) -> None:
    """Every figure of the CSV is what the records say."""
    searched = Study.open(runs, f"compare-{name}").records()
    finals = [(r, e.score) for r in searched if (e := r.outcome()) and e.score]
    best, final = max(finals, key=lambda pair: (-_broken(pair[1]), pair[1].value))
    score = final.value
    params = best.trial()["params"]
    seeded = Record(runs / f"compare-{name}-seeds" / "seed-1")
    assert seeded.trial()["params"] == {**params, "seed": 1}
    less = Record(runs / f"compare-{name}-data" / "fraction-0.5")
    assert less.trial()["params"] == {**params, "data_fraction": 0.5, "epochs": 4}
    assert len(less.epochs()) == 4
    with (runs / "compare" / "compare.csv").open() as file:
        (row,) = [row for row in csv.DictReader(file) if row["task"] == name]
    values = []
    for record in (seeded, less):
        outcome = record.outcome()
        assert outcome
        assert outcome.kind is OutcomeKind.COMPLETED
        assert outcome.score
        kept = set(outcome.score.broken) <= set(final.broken)  # else it may not be compared
        values.append(outcome.score.value if kept else None)
    assert float(row["best_score"]) == score
    seeds = [value for value in (score, values[0]) if value is not None]
    assert float(row["seeds_mean"]) == pytest.approx(sum(seeds) / len(seeds))
    assert [row["other_seeds_mean"], row["score_at_0.5"]] == [
        "" if value is None else str(value) for value in values
    ]
    assert float(row["score_at_1.0"]) == score
    assert row["trials_completed"] == "2"
    networks = _networks(name, params)
    assert int(float(row["parameters"])) == sum(networks)
    assert int(float(row["parameters_output"])) == networks[0]
    for figure in ("step_ms", "epoch_seconds", "memory_bytes", "flops_train_image"):
        assert float(row[figure]) > 0
    assert read_json(runs / "compare" / f"cost-{name}.json")["params"] == params


def _networks(name: str, params: dict[str, Any]) -> list[int]:
    """How many parameters each network of CycleGAN has."""
    import torch

    task = load_task("cyclegan")
    known = {k: v for k, v in params.items() if k in task.params.model_fields}
    params = task.params(**known)
    model = task.build(params, task.load(params), torch.device("cpu"))
    return [sum(p.numel() for p in net.parameters()) for net in model.networks.values()]


GLYPHS = ["glyph_autoencoder", "glyph_pix2pix"]
MISTAKES: list[tuple[list[str], str]] = [
    (["cyclegan", "glyph_gan"], "different objectives cannot be compared (cyclegan: maximize"),
    (["glyph_gan"], "two tasks or more"),
    (["glyph_gan", "glyph_gan"], "each named once"),
    (["glyph_gan", "glyph_gam"], "no task 'glyph_gam'; there are: "),
    ([*GLYPHS, "--lambda-cycle", "3"], "unrecognized arguments: --lambda-cycle 3"),
    ([*GLYPHS, "--name", "cyclegan", "--lambda-cycle", "3"], "--lambda-cycle: none of glyph_auto"),
    ([*GLYPHS, "--dropout", "0.2"], "--dropout: "),
    ([*GLYPHS, "--lr-d", "0.2"], "glyph_pix2pix.json searches it; drop the flag"),
    ([*GLYPHS, "--width", "two"], "glyph_autoencoder: --width: 'two' is refused"),
    ([*GLYPHS, "--name", "../up"], "cannot name a study"),
    ([*GLYPHS, "--name", "x" * 90], "cannot name a study"),
    ([*GLYPHS, "--data-fractions", "0,1"], "--data-fractions"),
    ([*GLYPHS, "--data-fractions", "1.5"], "--data-fractions"),
    ([*GLYPHS, "--data-fractions", "nan"], "--data-fractions"),
    ([*GLYPHS, "--data-fractions", "a"], "--data-fractions"),
    ([*GLYPHS, "--data-fractions", ".5", "--data-fraction", ".5"], "drop the flag"),
    ([*GLYPHS, "--data-fractions", ".1", "--epochs", "20000"], "--epochs: 200000 is refused"),
    ([*GLYPHS, "--seeds", "0"], "--seeds"),
    ([*GLYPHS, "--source-font", "/no/such.ttf"], "/no/such.ttf"),
]


@pytest.mark.parametrize(("words", "complaint"), MISTAKES)
def test_a_mistake_is_one_clear_error_before_any_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    try:
        status = main(["compare", *words, "--runs", str(tmp_path)])
    except SystemExit as ended:
        status = int(ended.code or 0)
    assert status == 2
    assert complaint in capsys.readouterr().err
    assert not list(tmp_path.rglob("trial.json"))
    assert not (tmp_path / "gantune.db").exists()


def test_a_task_without_data_fractions_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = {name: replace(load_task("cyclegan"), name=name) for name in ("cyclegan", "glyph_gan")}
    monkeypatch.setattr(compare, "load_task", tasks.__getitem__)
    words = ["compare", *tasks, "--data-fractions", ".5", "--runs", str(tmp_path)]
    assert main(words) == 2
    assert "--data-fractions: cyclegan has no parameter data_fraction" in capsys.readouterr().err


def test_flags_are_the_union_of_the_tasks_and_help_shows_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tasks = [load_task(name) for name in GLYPHS]
    fields = union([task.params for task in tasks]).model_fields
    assert set(fields) == {name for task in tasks for name in task.params.model_fields}
    first = tasks[0].params.model_fields["skip"]
    assert fields["skip"].default == first.default != tasks[1].params.model_fields["skip"].default
    with pytest.raises(SystemExit):
        main(["compare", *GLYPHS, "--help"])
    shown = capsys.readouterr().out
    assert all(f"--{name.replace('_', '-')} " in shown for name in fields)
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    assert "--seeds" in capsys.readouterr().out


SETUP: dict[str, Any] = {
    "tasks": ["a", "b"], "trials": 5, "seeds": 3, "data_fractions": [0.5], "sampler": "tpe",
    "objective": {"name": "x", "direction": "minimize"},
    "fixed": {"a": {"size": 32}, "b": {"size": 32}}, "space": {"a": {"x": 1}, "b": {"y": 1}},
}  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"seeds": 5},
        {"data_fractions": [0.1, 0.5]},
        {"tasks": ["a", "b", "c"], "fixed": {**SETUP["fixed"], "c": {"size": 32}}},
    ],
)
def test_seeds_fractions_and_tasks_may_be_added(more: dict[str, Any]) -> None:
    assert differences(SETUP, {**SETUP, **more}, compare.MAY_GROW) == []


@pytest.mark.parametrize(
    ("more", "phrase"),
    [
        ({"seeds": 2}, "seeds was 3, is now 2"),
        ({"trials": 6}, "trials was 5, is now 6"),
        ({"tasks": ["a"]}, "tasks was ['a', 'b'], is now ['a']"),
        ({"data_fractions": []}, "data_fractions was [0.5], is now []"),
        ({"sampler": "random"}, "sampler was tpe, is now random"),
        ({"fixed": {"a": {"size": 64}, "b": {"size": 32}}}, "fixed of a was {'size': 32}, is now"),
        ({"space": {"a": {"x": 2}, "b": {"y": 1}}}, "space of a was {'x': 1}, is now {'x': 2}"),
    ],
)
def test_nothing_else_may_change(more: dict[str, Any], phrase: str) -> None:
    (found,) = differences(SETUP, {**SETUP, **more}, compare.MAY_GROW)
    assert found.startswith(phrase)


def test_one_process_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", *GLYPHS, "--characters", "ascii", "--runs", str(tmp_path)]
    program = [sys.executable, "-c", f"{PROGRAM}", *words]
    with exclusive(tmp_path / "compare" / ".lock", ""):
        done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "another process works on this comparison" in done.stderr


def test_tasks_that_all_failed_get_their_rows_and_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def search(config: SearchConfig, task: Task, *_: Any) -> int:
        record = Record(config.folder / "0000")
        params = task.params().model_dump(mode="json")
        record.begin({"task": task.name, "params": params, "number": 0, "engine": "optuna"})
        record.end(Outcome(OutcomeKind.OUT_OF_MEMORY, "CUDA out of memory"), 1.0)
        return 1

    monkeypatch.setattr(compare, "search", search)
    words = ["--characters", "ascii", "--size", "32", "--name", "demo", "--runs", str(tmp_path)]
    assert main(["compare", *GLYPHS, *words, "--d-head-start", "5"]) == 1
    fixed = read_json(tmp_path / "demo" / "settings.json")["fixed"]
    own = {"characters": "ascii", "size": 32}
    assert fixed == {GLYPHS[0]: own, GLYPHS[1]: {**own, "d_head_start": 5}}, "where it has it"
    headline, where = capsys.readouterr().out.splitlines()
    assert headline == "No trial of any task completed, so nothing can be compared."
    assert where == f"comparison: {tmp_path}/demo/compare.html"
    page = (tmp_path / "demo" / "compare.html").read_text()
    assert page.count("no trial completed") == 2
    with (tmp_path / "demo" / "compare.csv").open() as file:
        rows = [(r["task"], r["trials_failed"], r["best_score"]) for r in csv.DictReader(file)]
    assert rows == [(name, "1", "") for name in GLYPHS]
