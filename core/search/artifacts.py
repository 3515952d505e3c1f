"""Optuna's artifact store: the pictures of trials, for the dashboard of every machine.

A folder, or a bucket of any service that speaks S3. The records under `runs/` have the pictures
too: a store out of reach costs the dashboard a picture, and no trial anything.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.artifacts import Boto3ArtifactStore, FileSystemArtifactStore, upload_artifact

from core.task import UserError

if TYPE_CHECKING:
    from optuna.artifacts._protocol import ArtifactStore

S3 = "s3://"
SECONDS = 10
ATTEMPTS = 3


@lru_cache
def open_artifacts(where: str) -> ArtifactStore:
    """Open a folder, made where it is new, or `s3://BUCKET`; UserError when it is out of reach."""
    if where.startswith(S3):
        return _bucket(where)
    if "://" in where:
        raise UserError(f"--artifacts {where}: is neither a folder nor {S3}BUCKET")
    try:
        Path(where).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--artifacts {where}: {error.strerror}; name another folder") from None
    return FileSystemArtifactStore(where)


def upload(where: str, pictures: Iterable[Path], trial: optuna.Trial) -> None:
    """Add pictures to a trial. Those that the store refuses are reported, and left out."""
    for picture in pictures:
        try:
            store = open_artifacts(where)
            upload_artifact(artifact_store=store, file_path=str(picture), study_or_trial=trial)
        except _refusals(where) as error:
            message = f"{picture} is not on the dashboard ({_reason(error)})"
            print(f"--artifacts {where}: {message}", file=sys.stderr, flush=True)
            return


def _bucket(where: str) -> ArtifactStore:
    """A bucket that answers; credentials, region and AWS_ENDPOINT_URL are those of boto3."""
    name = where.removeprefix(S3).rstrip("/")
    if not name or "/" in name:
        raise UserError(f"--artifacts {where}: name a bucket and no folder in it, {S3}BUCKET")
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        remedy = "pip install 'gantune[s3]'"
        raise UserError(f"--artifacts {where}: boto3 is not installed; {remedy}") from None
    retries = {"mode": "standard", "total_max_attempts": ATTEMPTS}
    patience = Config(connect_timeout=SECONDS, read_timeout=SECONDS, retries=retries)
    try:
        client = boto3.client("s3", config=patience)
        client.head_bucket(Bucket=name)
    except _refusals(where) as error:
        remedy = "see the bucket's name, AWS_ENDPOINT_URL and the credentials"
        raise UserError(f"--artifacts {where}: {_reason(error)}; {remedy}") from None
    return Boto3ArtifactStore(name, client)


def _refusals(where: str) -> tuple[type[Exception], ...]:
    """What a store raises that does not answer, or whose answer is no."""
    if not where.startswith(S3):
        return OSError, ValueError, UserError
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    return OSError, ValueError, UserError, Boto3Error, BotoCoreError, ClientError


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
