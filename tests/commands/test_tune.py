"""gantune tune and the commands after it, where data, space or the study's name is amiss."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import optuna
import pytest
from optuna_dashboard import wsgi

import trials.function_fit
from core.cli import main
from core.data.function import Samples, load_sine
from core.record import Record, Study
from core.search.storage import default_storage
from core.task import UserError
from evaluators.regression import RegressionEvaluator

SMALL = ["--iterations", "20", "--epochs", "2", "--threads", "1", "--device", "cpu"]


def tune(runs: Path, *more: str) -> int:
    words = ["tune", "function_fit", "--study", "s", "--workers", "1", "--pruner", "none"]
    return main([*words, *SMALL, "--runs", str(runs), *more])


def other_data() -> Samples:
    return replace(load_sine(), fingerprint="other")


def test_a_flag_that_an_error_advised_to_change_may_be_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise UserError("--width 40: no such evaluator")

    with monkeypatch.context() as patched:
        patched.setattr(RegressionEvaluator, "prepare", missing)
        assert tune(tmp_path, "--trials", "1", "--batch-size", "5") == 2
    assert "no such evaluator" in capsys.readouterr().err
    assert tune(tmp_path, "--trials", "1", "--batch-size", "6") == 0


@pytest.mark.parametrize(
    "words",
    [
        ["tune"],
        ["confirm", "--seeds", "2"],
        ["audit", "--epochs", "4"],
        ["promote", "--epochs", "4"],
    ],
    ids=lambda words: words[0],
)
def test_nothing_is_trained_or_compared_on_other_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    words: list[str],
) -> None:  # fmt: skip
    assert tune(tmp_path, "--trials", "6") == 0
    trained = sorted(tmp_path.glob("*/*/outcome.json"))
    monkeypatch.setattr(trials.function_fit, "load_sine", other_data)
    capsys.readouterr()
    if words == ["tune"]:
        assert tune(tmp_path, "--trials", "7") == 2
    else:
        command = [words[0], "s", *words[1:], "--workers", "1", "--device", "cpu"]
        assert main([*command, "--runs", str(tmp_path)]) == 2
    known = load_sine().fingerprint
    error = capsys.readouterr().err
    assert f"data_fingerprint was {known}, is now other" in error
    assert "another --study" in error or "a new one by --study" in error
    assert sorted(tmp_path.glob("*/*/outcome.json")) == trained
    monkeypatch.undo()
    if words == ["tune"]:
        assert tune(tmp_path, "--trials", "7") == 0
    else:
        assert main([*command, "--runs", str(tmp_path)]) == 0


def test_an_interrupted_trial_does_not_go_on_with_other_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tune(tmp_path, "--trials", "1") == 0
    (record,) = Study.open(tmp_path, "s").records()
    (record.folder / "outcome.json").unlink()
    words = ["--study", "s", "--trial", record.folder.name, "--runs", str(tmp_path), *SMALL]
    monkeypatch.setattr(trials.function_fit, "load_sine", other_data)
    with pytest.raises(SystemExit, match="2"):
        trials.function_fit.main(trials.function_fit.TASK, words)
    error = capsys.readouterr().err
    assert f"(data {load_sine().fingerprint} is now other); name another --study" in error
    assert Record(record.folder).outcome() is None


def test_what_is_not_searched_and_what_is_trained_again_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = tmp_path / "space.json"
    one = {"_type": "quniform", "_value": [0.1, 0.4, 0.8]}
    two = {"_type": "choice", "_value": ["relu", "tanh"]}
    words = ["--space", str(space), "--sampler", "random", "--trials", "5"]
    space.write_text(json.dumps({"momentum": one}))
    assert tune(tmp_path / "runs", *words) == 2
    assert "has one point, as each of 'momentum' has one" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    space.write_text(json.dumps({"momentum": one, "activation": two}))
    assert tune(tmp_path / "runs", *words) == 0
    said = "".join(capsys.readouterr())
    assert "space.json: 'momentum' has one possible value, 0.1, so it is not searched" in said
    points: dict[str, int] = {}
    for record in Study.open(tmp_path / "runs", "s").records():
        about = record.trial()
        values = json.dumps([about["params"][name] for name in ("momentum", "activation")])
        line = f"trial {about['number']} has the same values as trial "
        assert (f"{line}{points.get(values)}; it is trained all the same" in said) == (
            values in points
        )
        points.setdefault(values, about["number"])
    assert len(points) == 3, "the published baseline and two points"
    sweep = ["sweep", "function_fit", "--grid", "width=5", "--study", "grid", "--workers", "1"]
    assert main([*sweep, *SMALL, "--runs", str(tmp_path / "runs")]) == 0


def rename(runs: Path, old: str, new: str) -> None:
    """What optuna-dashboard does: a copy under the new name, the old study deleted."""
    storage = default_storage(runs)
    app = wsgi(optuna.storages.RDBStorage(storage))
    study = optuna.load_study(study_name=old, storage=storage)
    body = json.dumps({"study_name": new}).encode()
    environ: dict[str, object] = {
        "CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": "application/json",
        "PATH_INFO": f"/api/studies/{study._study_id}/rename", "REQUEST_METHOD": "POST",
        "wsgi.input": BytesIO(body),
    }  # fmt: skip
    said: list[str] = []
    b"".join(app(environ, lambda status, *_: said.append(status)))
    assert said[0].startswith("201")


def test_a_study_that_was_renamed_is_found_or_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(tmp_path, "--trials", "2") == 0
    verdict = capsys.readouterr().out.splitlines()[-2]
    rename(tmp_path, "s", "new")
    assert main(["report", "s", "--runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == verdict, "a report needs the records alone"
    assert tune(tmp_path, "--trials", "3") == 2
    error = capsys.readouterr().err
    assert f"{tmp_path / 's'}: holds the records of the study that is called 'new' now" in error
    assert "rename it back in the dashboard, or the folder to new, for --study new" in error
    rename(tmp_path, "new", "s")
    assert tune(tmp_path, "--trials", "2") == 0
    rename(tmp_path, "s", "new")
    capsys.readouterr()
    assert tune(tmp_path, "--trials", "3", "--study", "new") == 2
    error = capsys.readouterr().err
    assert "study 'new' was called 's' when its records were written; rename it back" in error
    assert f"or {tmp_path / 's'} to new" in error
    assert not list(tmp_path.glob("new/*/trial.json"))
    (tmp_path / "new").rename(tmp_path / "aside")
    (tmp_path / "s").rename(tmp_path / "new")
    assert tune(tmp_path, "--trials", "3", "--study", "new") == 0
    assert len(Study.open(tmp_path, "new").records()) == 3
    (tmp_path / "gantune.db").unlink()
    assert tune(tmp_path, "--trials", "4", "--study", "new") == 2
    assert "holds trials that no study of the storage knows; name a" in capsys.readouterr().err


def test_a_port_in_use_is_one_clear_error_before_the_dashboard_says_where_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    optuna.create_study(storage=default_storage(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = ["dashboard", "--runs", str(tmp_path), "--port"]
        assert main([*words, str(port)]) == 2
        said = capsys.readouterr()
        assert f"error: 127.0.0.1:{port}: cannot listen there (" in said.err
        assert "--port names another port" in said.err
        assert "istening" not in said.err
        assert said.out == ""
    assert main([*words, "0", "--host", "no.such.host.invalid"]) == 2
    with pytest.raises(SystemExit, match="2"):
        main([*words, "99999"])
