"""Pictures for the dashboard: in a folder, or with a service that speaks S3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import optuna
import pytest
from moto.server import ThreadedMotoServer
from optuna.artifacts import get_all_artifact_meta

from core.search.artifacts import open_artifacts, upload
from core.task import UserError
from tests.conftest import GANTUNE, TINY_GLYPHS, Run, fetch, free_port, serving

PICTURE = b"\x89PNG a picture"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedMotoServer]:
    """An S3 service on this machine with an empty bucket `pictures`, known by the environment."""
    port = free_port()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "me"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ):
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="pictures")
    open_artifacts.cache_clear()
    yield server
    open_artifacts.cache_clear()
    server.stop()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    file = tmp_path / "output.png"
    file.write_bytes(PICTURE)
    return file


def test_a_bucket_keeps_pictures(s3: ThreadedMotoServer, picture: Path) -> None:
    study = optuna.create_study()
    trial = study.ask()
    upload("s3://pictures", [picture], trial)
    (kept,) = get_all_artifact_meta(trial)
    assert kept.filename == "output.png"
    with open_artifacts("s3://pictures").open_reader(kept.artifact_id) as file:
        assert file.read() == PICTURE


def test_a_bucket_that_goes_away_costs_no_trial(
    s3: ThreadedMotoServer, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = optuna.create_study()
    trial = study.ask()
    open_artifacts("s3://pictures")
    s3.stop()
    upload("s3://pictures", [picture, picture], trial)
    study.tell(trial, 1.0)
    assert study.best_value == 1.0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"--artifacts s3://pictures: {picture} is not on the dashboard (")


def test_a_folder_that_fills_up_costs_no_trial(
    tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "artifacts"
    open_artifacts(str(folder))
    folder.rmdir()
    upload(str(folder), [picture], optuna.create_study().ask())
    assert "is not on the dashboard (" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("s3://", "name a bucket"),
        ("s3://pictures/mine", "name a bucket and no folder in it"),
        ("s3://absent", "Not Found.*; see the bucket's name, AWS_ENDPOINT_URL"),
        ("s3://no bucket", "Invalid bucket name"),
        ("gs://pictures", "is neither a folder nor s3://BUCKET"),
    ],
)
def test_a_store_out_of_reach_is_one_clear_error(
    s3: ThreadedMotoServer, where: str, told: str
) -> None:
    with pytest.raises(UserError, match=f"--artifacts {where}: .*{told}"):
        open_artifacts(where)


def test_a_folder_that_cannot_be_is_one_clear_error(picture: Path) -> None:
    with pytest.raises(UserError, match=r"--artifacts .*output\.png: File exists; name another"):
        open_artifacts(str(picture))


def test_workers_fill_the_bucket_and_the_dashboard_shows_it(
    s3: ThreadedMotoServer, gantune: Run, runs: Path, tmp_path: Path
) -> None:
    space = tmp_path / "space.json"
    space.write_text(json.dumps({"lr_g": {"_type": "loguniform", "_value": [1e-4, 1e-2]}}))
    words = ["--study", "far", "--epochs", "1", "--trials", "2", "--workers", "2"]
    words += ["--space", str(space)]
    where = ["--artifacts", "s3://pictures", "--runs", str(runs)]
    done = gantune("tune", "glyph_autoencoder", *TINY_GLYPHS, *words, *where)
    assert done.returncode == 0, done.stderr
    assert not (runs / "artifacts").exists()
    port = free_port()
    with serving(GANTUNE, "dashboard", "--port", str(port), *where):
        api = f"http://127.0.0.1:{port}"
        (summary,) = fetch(f"{api}/api/studies")["study_summaries"]
        study = summary["study_id"]
        trials = fetch(f"{api}/api/studies/{study}")["trials"]
        assert [len(trial["artifacts"]) for trial in trials] == [3, 3]
