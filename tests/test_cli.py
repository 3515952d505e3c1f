"""The command as a person uses it, in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest

from core.record import Record, Study
from core.search.storage import default_storage
from tests.conftest import GANTUNE, ROOT, TINY, Run, fetch, free_port, serving


def tune(gantune: Run, domains: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return gantune("tune", "cyclegan", "--data", domains, *TINY, "--workers", "1", *more)


def history(runs: Path, study: str) -> list[tuple[Any, ...]]:
    return [
        (r.trial()["params"], [line.score.value for line in r.epochs()], r.outcome())
        for r in Study.open(runs, study).records()
    ]


def test_a_search_is_repeatable_continues_and_ends_in_a_report(
    gantune: Run, domains: Path, runs: Path
) -> None:
    first = tune(gantune, domains, "--study", "first", "--trials", "3")
    assert first.returncode == 0, first.stderr
    assert "3/3 done" in first.stderr
    assert ", held-out accuracy" in first.stderr
    assert first.stdout.splitlines()[-1].endswith("runs/first/report.html")
    best = json.loads((runs / "first" / "best.json").read_text())
    scores = [e[2].score.value for e in history(runs, "first") if e[2].kind == "completed"]
    assert best["best"]["score"] == max(scores)
    assert best["baseline"]["trial"] == 0

    second = tune(gantune, domains, "--study", "second", "--trials", "2")
    assert second.returncode == 0, second.stderr
    again = tune(gantune, domains, "--study", "second", "--trials", "3")
    assert again.returncode == 0, again.stderr
    assert "trial 2 epoch 1/2" in again.stderr
    assert "trial 1 epoch" not in again.stderr
    assert history(runs, "second") == history(runs, "first")

    report = gantune("report", "first")
    assert report.returncode == 0, report.stderr
    assert (runs / "first" / "report.md").is_file()


def test_ctrl_c_leaves_a_study_that_goes_on(gantune: Run, domains: Path, runs: Path) -> None:
    long = [
        *TINY,
        "--workers",
        "1",
        "--epochs",
        "4",
        "--trials",
        "2",
        "--study",
        "cut",
        "--runs",
        str(runs),
    ]
    command = [GANTUNE, "tune", "cyclegan", "--data", str(domains), *long]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "trial 0 epoch 1/4" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert "nothing is lost" in rest
    assert "Traceback" not in rest
    record = Record(runs / "cut" / "0000")
    outcome = record.outcome()
    assert outcome is not None
    assert outcome.kind == "interrupted"
    done = len(record.epochs())
    assert done >= 1

    again = gantune("tune", "cyclegan", "--data", domains, *long)
    assert again.returncode == 0, again.stderr
    assert f"trial 0 epoch {done + 1}/4" in again.stderr
    assert f"trial 0 epoch {done}/4" not in again.stderr
    straight = tune(gantune, domains, "--epochs", "4", "--trials", "2", "--study", "straight")
    assert straight.returncode == 0, straight.stderr
    assert history(runs, "cut") == history(runs, "straight"), "bit for bit"
    study = optuna.load_study(study_name="cut", storage=default_storage(runs))
    assert not [t for t in study.trials if t.state is optuna.trial.TrialState.RUNNING]


def test_a_standalone_trial_is_the_baseline(gantune: Run, domains: Path, runs: Path) -> None:
    words = ("--data", str(domains), *TINY, "--runs", str(runs), "--trial", "mine")
    result = gantune(*words, module="trials.cyclegan")
    assert result.returncode == 0, result.stderr
    record = Record(runs / "standalone" / "mine")
    assert record.trial()["params"]["lambda_cycle"] == 10
    assert record.trial()["engine"] == "standalone"
    assert f"record: {record.folder}" in result.stderr
    assert gantune("report", "standalone").returncode == 0


def test_help_shows_every_parameter_with_its_meaning_and_range(gantune: Run) -> None:
    from trials.cyclegan import CycleGANParams

    for words, module in ((("--help",), "trials.cyclegan"),
                          (("tune", "cyclegan", "--help"), None)):  # fmt: skip
        text = " ".join(gantune(*words, module=module).stdout.split())
        for name, field in CycleGANParams.model_fields.items():
            assert f"--{name.replace('_', '-')} " in text
            assert str(field.description) in text
        assert "--dropout 0..0.9" in text
        assert "--norm instance|batch|layer|group" in text


def test_the_samplers_offered_are_those_there_are() -> None:
    from core.search import config, samplers

    assert {*config.SAMPLERS, config.QUEUE} == set(samplers.SAMPLERS)


def test_help_is_quick_and_imports_neither_torch_nor_the_report() -> None:
    code = "import sys, time; t = time.perf_counter(); from core.cli import main\n"
    code += "try: main(['--help'])\nexcept SystemExit: pass\n"
    code += "loaded = {'torch', 'optuna', 'matplotlib', 'PIL', 'pydantic', 'core.report'}\n"
    code += "print(sorted(loaded & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == "[]\n"
    assert "tune" in done.stdout


@pytest.mark.parametrize("name", ["medain", "median:", "median:0", "none:2", "hyperband:x"])
def test_a_pruner_of_no_such_name_is_refused(gantune: Run, name: str) -> None:
    done = gantune("tune", "cyclegan", f"--pruner={name}")
    assert done.returncode == 2
    assert f"--pruner: no pruner {name!r}; there are asha, hyperband, median, none" in done.stderr
    done = gantune("--pruner=hyperband", module="trials.cyclegan")
    assert done.returncode == 2
    assert "no pruner 'hyperband'; there are median, none, and median:3" in done.stderr


def test_what_can_be_tuned_is_listed(gantune: Run) -> None:
    assert gantune("tasks").stdout.startswith("cyclegan")
    assert gantune("--version").stdout.startswith("gantune 0.")


def test_a_reader_that_goes_away_ends_a_command_in_silence() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([GANTUNE, "tasks"], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b""), "as a shell calls SIGPIPE"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([GANTUNE, "tasks"], stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (2, b"error: No space left on device\n")


def test_the_locale_decides_nothing(tmp_path: Path) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # ASCII
    words = ["function_fit", "--trials", "1", "--epochs", "3", "--workers", "1"]
    tune = [GANTUNE, "tune", *words, "--study", "s", "--runs", str(tmp_path)]
    report = [GANTUNE, "report", "s", "--runs", str(tmp_path)]
    for command in (tune, report):
        done = subprocess.run(command, capture_output=True, env=os.environ | plain, cwd=ROOT)
        assert done.returncode == 0, done.stderr
    page = tmp_path / "s" / "report.html"
    assert not page.read_text(encoding="utf-8").isascii()


def test_a_folder_that_no_url_can_name_is_one_clear_error(tmp_path: Path) -> None:
    runs = bytes(tmp_path) + b"/r\xd5"
    done = subprocess.run(
        [GANTUNE, "tune", "function_fit", "--trials", "1", "--runs", runs], capture_output=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: --runs '")
    assert b"no database's URL can hold the name" in done.stderr


MISTAKES: list[tuple[list[str], str]] = [
    (["tune", "cyclegam"], "no task 'cyclegam'; there are: cyclegan"),
    (["tune", "cyclegan", "--data", "/no/such"], "/no/such/trainA: no such folder"),
    (["tune", "cyclegan", "--dropout", "0.2"], "searches it; drop the flag or the key"),
    (["tune", "cyclegan", "--width", "two"], "--width: 'two' is refused"),
    (["tune", "cyclegan", "--size", "66"], "--size 66: must be a multiple of 4"),
    (["tune", "cyclegan", "--space", "none.json"], "none.json: No such file or directory"),
    (["tune", "cyclegan", "--space", "{unknown}"], "'lamda': no such parameter; there are"),
    (["tune", "cyclegan", "--space", "{range}"], "'dropout': can propose"),
    (["tune", "cyclegan", "--space", "{broken}"], "not valid JSON"),
    (["tune", "cyclegan", "--space", "{type}"], "unsupported _type 'gauss'"),
    (["tune", "cyclegan", "--device", "cuda"], "--device cuda: this machine has none"),
    (["tune", "cyclegan", "--study", "../up"], "'../up' cannot name a study"),
    (["tune", "cyclegan", "--evaluator-weights", "resnet18"], "gantune downloads nothing"),
    (["tune", "cyclegan", "--evaluator-weights", "imagenet"], "no such network or file"),
    (["tune", "cyclegan", "--trials", "0"], "--trials"),
    (["dashboard"], "no study under"),
    (["tune", "cyclegan", "--storage", "nonsense"], "--storage nonsense: cannot open it"),
    (["tune", "cyclegan", "--storage", "grpc://host"], "an address looks like grpc://HOST:13000"),
    (["dashboard", "--storage", "grpc://127.0.0.1:1"], "grpc://127.0.0.1:1: cannot open it"),
    (["report", "nothing"], "no trial of a study 'nothing'"),
    (["report"], "name one study"),
    (["report", "--nni", "abc"], "no trial of a study 'nni-abc'"),
]
SPACES = {
    "unknown": '{"lamda": {"_type": "uniform", "_value": [0, 1]}}',
    "range": '{"dropout": {"_type": "uniform", "_value": [0, 2]}}',
    "broken": '{"dropout": ',
    "type": '{"dropout": {"_type": "gauss", "_value": [0, 1]}}',
}


@pytest.mark.parametrize(("words", "complaint"), MISTAKES)
def test_a_mistake_is_one_clear_error_before_any_training(
    gantune: Run, runs: Path, domains: Path, tmp_path: Path, words: list[str], complaint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if "cuda" in words and __import__("torch").cuda.is_available():
        words[words.index("cuda")] = "mps"
        complaint = complaint.replace("cuda", "mps")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name, text in SPACES.items():
        (tmp_path / f"{name}.json").write_text(text)
    words = [str(tmp_path / f"{w[1:-1]}.json") if w.startswith("{") else w for w in words]
    if words[0] == "tune" and "--data" not in words:
        words += ["--data", str(domains), "--threads", "1"]
    result = gantune(*words)
    assert result.returncode == 2
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(runs.glob("*/*/trial.json"))
    for word in words:
        if word.endswith(".json"):
            assert word in result.stderr


def test_a_trials_mistake_is_one_clear_error_too(gantune: Run) -> None:
    result = gantune("--dropout", "2", "--lr-g", "x", module="trials.cyclegan")
    assert result.returncode == 2
    first, second = result.stderr.splitlines()
    assert first.startswith("error: ")
    assert {"--dropout: '2'", "--lr-g: 'x'"} == {
        line.removeprefix("error: ").split(" is refused")[0] for line in (first, second)
    }
    assert "it takes 0..0.9" in result.stderr


def test_the_dashboard_serves_the_study_on_this_machine_only(
    gantune: Run, domains: Path, runs: Path
) -> None:
    assert tune(gantune, domains, "--study", "shown", "--trials", "1").returncode == 0
    port = free_port()
    words = ["dashboard", "--port", str(port), "--runs", str(runs)]
    with serving(GANTUNE, *words) as server:
        api = f"http://127.0.0.1:{port}/api/studies"
        (summary,) = fetch(api)["study_summaries"]
        assert summary["study_name"] == "shown"
        study = fetch(f"{api}/{summary['study_id']}")
        pictures = study["trials"][0]["artifacts"]
        assert sorted(p["filename"] for p in pictures) == ["output.png", "source.png"]
    assert server.returncode == 0
