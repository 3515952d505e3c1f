"""`gantune audit` as a person uses it: real runs once, nothing twice, every mistake one error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.cli import main
from core.files import read_json, write_json
from core.params import load_task
from core.record import EpochLine, Record, Study
from core.task import RUNTIME_FIELDS, Outcome, OutcomeKind, Score
from tests.conftest import TINY_GLYPHS, Run

TASK = load_task("glyph_autoencoder")
SPACE = {"lr_g": {"_type": "loguniform", "_value": [1e-4, 1e-2]}}


def moments(folder: Path) -> dict[str, int]:
    """When each file of the long runs was written."""
    files = [path for path in folder.glob("*/*") if path.is_file() and path.name[0] != "."]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in files}


def test_trials_are_trained_for_longer_once_and_the_report_tells(
    gantune: Run, runs: Path, tmp_path: Path
) -> None:
    space = tmp_path / "space.json"
    space.write_text(json.dumps(SPACE))
    words = ["tune", "glyph_autoencoder", *TINY_GLYPHS, "--epochs", "1", "--seed", "5"]
    tuned = gantune(*words, "--trials", "4", "--workers", "1", "--space", space)
    assert tuned.returncode == 0, tuned.stderr
    study, folder = runs / "glyph_autoencoder", runs / "glyph_autoencoder-audit"
    assert "How far a trial" not in (study / "report.html").read_text()

    words = ["audit", "glyph_autoencoder", "--configs", "4", "--workers", "1", "--device", "cpu"]
    audited = gantune(*words, "--epochs", "2", "--threads", "1")
    assert audited.returncode == 0, audited.stderr
    assert "A trial of 1 epoch ranks like one of 2 with rho" in audited.stdout
    assert f"report: {study / 'report.html'}" in audited.stdout
    records = Study.open(runs, folder.name).records()
    assert [record.folder.name for record in records] == [f"trial-000{i}" for i in range(4)]
    for i, record in enumerate(records):
        assert [line.epoch for line in record.epochs()] == [1, 2]
        long, short = record.trial()["params"], Record(study / f"000{i}").trial()["params"]
        unlike = {name for name in long if long[name] != short[name]} - RUNTIME_FIELDS
        assert unlike == {"epochs"}
        assert long["seed"] == 5
    figures = read_json(folder / "audit.json")
    assert (figures["short"], figures["long"]) == (1, 2)
    assert [budget["epochs"] for budget in figures["budgets"]] == [1]
    assert "How far a trial can be trusted" in (study / "report.html").read_text()

    before = moments(folder)
    assert len(before) >= 4 * 4
    again = gantune(*words, "--epochs", "2")
    assert again.returncode == 0, again.stderr
    assert again.stdout == audited.stdout
    assert "epoch" not in again.stderr
    assert moments(folder) == before
    changed = gantune(*words, "--epochs", "3")
    assert changed.returncode == 2
    assert "epochs was 2, is now 3" in changed.stderr


def keep(folder: Path, number: int, score: float, outcome: OutcomeKind, **values: Any) -> None:
    """A record of a trial."""
    record = Record(folder)
    params = TASK.params(**values)
    objective = {"name": "fixed L1", "direction": "minimize"}
    record.begin({"task": TASK.name, "number": number, "engine": "optuna", "searched": ["lr_g"],
                  "objective": objective, "params": params.model_dump(mode="json"),
                  "defaults": TASK.params().model_dump(mode="json")})  # fmt: skip
    line = EpochLine(1, {}, Score(score), 1.0, 1.0)
    record.write_epochs([line])
    record.end(Outcome(outcome, "", Score(score)), 1.0)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """12 trials of 3 epochs; the learning rate tells the score, and a higher number is worse."""
    folder = tmp_path / "demo"
    for i in range(12):
        outcome = OutcomeKind.PRUNED if i == 11 else OutcomeKind.COMPLETED
        rate = 1e-3 * 1.1 ** (i - 3)
        keep(folder / f"{i:04d}", i, 0.1 + i / 20, outcome, lr_g=rate, epochs=3, threads=7)
    write_json(folder / "study.json", {"task": TASK.name, "space": SPACE})
    return folder


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The long runs that were made; each comes to its end at once."""
    trials: list[Any] = []

    def run(task: Any, trial: Any, progress: Any, runs: Path, **_: Any) -> None:
        trials.append(trial)
        score = trial.params.lr_g * 100
        keep(trial.workdir, trial.number, score, OutcomeKind.COMPLETED, **dict(trial.params))
        trial.finish(Outcome(OutcomeKind.COMPLETED, "", Score(score)))

    monkeypatch.setattr("core.search.workers.run_trial", run)
    return trials


def audit(study: Path, *words: str) -> int:
    return main(["audit", study.name, "--workers", "1", "--runs", str(study.parent), *words])


def numbers(started: list[Any]) -> list[int]:
    return [trial.number for trial in started]


def test_more_configurations_are_added_and_epochs_stay(study: Path, started: list[Any]) -> None:
    assert audit(study, "--configs", "4", "--epochs", "8") == 0
    assert numbers(started) == [0, 4, 7, 11]
    assert {trial.params.epochs for trial in started} == {8}
    assert {trial.params.threads for trial in started} == {0}, "the share of this machine"
    assert {(trial.study, *trial.searched) for trial in started} == {("demo-audit", "lr_g")}
    started.clear()
    assert audit(study) == 0
    assert started == []
    assert audit(study, "--configs", "6", "--threads", "2") == 0
    assert len(started) == 2
    assert not {0, 4, 7, 11} & set(numbers(started))
    assert {(trial.params.epochs, trial.params.threads) for trial in started} == {(8, 2)}
    about = read_json(study.with_name("demo-audit") / "study.json")
    assert (about["configs"], len(about["trials"])) == (6, 6)


def test_by_default_ten_are_trained_four_times_as_long(study: Path, started: list[Any]) -> None:
    assert audit(study) == 0
    assert len(started) == 10
    assert {trial.params.epochs for trial in started} == {12}
    assert read_json(study.with_name("demo-audit") / "audit.json")["flags"] == "--epochs 1"


def test_the_baseline_is_always_there(study: Path, started: list[Any]) -> None:
    keep(study / "0012", 12, 0.41, OutcomeKind.COMPLETED, epochs=3)
    assert audit(study, "--configs", "4") == 0
    assert 12 in numbers(started)


def test_fewer_runs_than_an_order_takes_are_no_figures(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(task: Any, trial: Any, progress: Any, runs: Path, **_: Any) -> None:
        keep(trial.workdir, trial.number, 0.5, OutcomeKind.OUT_OF_MEMORY, **dict(trial.params))
        trial.finish(Outcome(OutcomeKind.OUT_OF_MEMORY, "", Score(0.5)))

    monkeypatch.setattr("core.search.workers.run_trial", fails)
    assert audit(study) == 1
    assert "Fewer than 4 long runs have come to an end that counts" in capsys.readouterr().out
    assert not (study.with_name("demo-audit") / "audit.json").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--configs", "3"], "--configs 3: an order takes 4 or more; take 10"),
        (
            ["--epochs", "3"],
            "--epochs 3: the study's trials train 3 already; take more, such as 12",
        ),
        (["--epochs", "2000000"], "--epochs: 2000000 is refused"),
        (["--device", "tpu"], "--device: 'tpu' is refused"),
    ],
)
def test_a_flag_that_makes_no_sense_is_one_clear_error(
    study: Path,
    started: list[Any],
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    complaint: str,
) -> None:
    assert audit(study, *words) == 2
    assert complaint in capsys.readouterr().err
    assert started == []
    assert not study.with_name("demo-audit").exists()


def test_a_study_that_cannot_be_audited_is_one_clear_error(
    study: Path, started: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(study.with_name("nothing")) == 2
    assert "no trial of a study 'nothing'" in capsys.readouterr().err
    for number in range(3):
        rate = 1e-3 * (number + 1)
        keep(study.with_name("few") / f"{number}", number, 0.5, OutcomeKind.COMPLETED, lr_g=rate)
    keep(study.with_name("few") / "3", 3, 0.5, OutcomeKind.DIVERGED, lr_g=0.1)
    assert audit(study.with_name("few")) == 2
    message = capsys.readouterr().err
    assert "study 'few' has 3 trials that completed or were pruned" in message
    assert "go on with the study, `gantune tune` with more --trials" in message
    about = read_json(study / "study.json")
    lengths = {"epochs": {"_type": "choice", "_value": [2, 3]}}
    write_json(study / "study.json", {**about, "space": lengths})
    assert audit(study) == 2
    assert "study 'demo' searches epochs" in capsys.readouterr().err
    assert started == []


def test_an_audit_that_was_set_up_otherwise_is_one_clear_error(
    study: Path, started: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(study, "--configs", "5", "--epochs", "6") == 0
    started.clear()
    assert audit(study, "--configs", "4", "--epochs", "7") == 2
    message = capsys.readouterr().err
    assert (
        "demo-audit: the audit was set up otherwise (epochs was 6, is now 7; configs was 5"
        in message
    )
    assert "leave the flag out, or remove the folder" in message
    (study / "0000" / "trial.json").unlink()
    assert audit(study) == 2
    assert "trial 0000 is no scored trial of the study (any more)" in capsys.readouterr().err
    about = study.with_name("demo-audit") / "study.json"
    about.unlink()
    assert audit(study) == 2
    assert "holds something else than an audit of 'demo'" in capsys.readouterr().err
    assert started == []
