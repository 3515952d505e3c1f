"""What searches keep: the folder of records, its evaluators and their exams, Optuna's storage."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from core.doctor.finding import Finding, error, first_line, note, warning
from core.files import read_json
from core.metrics.exam import VERSION, sentence
from core.search.grpc_storage import SCHEME, GrpcStorage
from core.search.storage import in_memory

FULL, SCARCE = 100e6, 1e9  # bytes
TIMEOUTS = {"sqlite": {"timeout": 3}, "postgresql": {"connect_timeout": 3}}  # seconds
URLS = "sqlite:///FILE, postgresql+psycopg://USER:PASSWORD@HOST/DATABASE or grpc://HOST:PORT"
CLEARER = "train it on more or clearer images"


def check_folder(folder: Path, name: str = "--runs") -> list[Finding]:
    """Whether a folder, or the nearest parent there is, is writable and has room."""
    where, place = f"{name} {folder}", folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except OSError as problem:
        what = f"{place} cannot be written ({problem.strerror})"
        return [error(where, what, "change its mode, or name another folder")]
    what = f"{free / 1e6:,.0f} MB free on its disk"
    if free >= SCARCE:
        return [note(where, what)]
    return [(error if free < FULL else warning)(where, f"only {what}", "remove old studies")]


def check_evaluators(runs: Path) -> list[Finding]:
    """Evaluators of any kind that are damaged or weak, and those that have failed their exam."""
    findings = []
    for path in sorted(runs.glob("evaluators/*-*")):
        if path.is_dir():
            findings += _evaluator(path)
        elif path.match("exam-*.json"):
            findings += _exam(path)
    return findings


def _evaluator(home: Path) -> list[Finding]:
    """Check facts.json and weights.pt; a folder with neither is an evaluator being trained."""
    if any(home.glob("judge.*")):
        return [note(str(home), "kept by version 0.1.0 and no longer used", "remove the folder")]
    weights, facts = home / "weights.pt", read_json(home / "facts.json")
    if not weights.exists() and not (home / "facts.json").exists():
        return []
    try:
        with zipfile.ZipFile(weights) as archive:
            damage = archive.testzip()
    except (OSError, zipfile.BadZipFile) as problem:
        damage = first_line(problem)
    if damage or not facts:
        what = f"weights.pt is missing or damaged ({damage})"
        remedy = "remove the folder; the next search trains the evaluator again"
        return [warning(str(home), what if facts else "facts.json is missing or damaged", remedy)]
    figures = ", ".join(f"{k} {v:.2f}" for k, v in facts.items() if isinstance(v, float))
    if facts.get("weak"):
        what = f"a weak evaluator ({figures}): a search may win by what fools it"
        return [warning(str(home), what, CLEARER)]
    unknown = "" if "weak" in facts else "; its facts do not say whether it is weak"
    return [note(str(home), (figures or "no figures") + unknown)]


def _exam(path: Path) -> list[Finding]:
    """Check an exam; those of another version are not read by any search."""
    exam = read_json(path)
    try:
        if exam.get("version", VERSION) != VERSION or exam["passed"]:
            return []
        what = f"an evaluator of the kind {exam['evaluator']['evaluator']} can be gamed: "
        return [warning(str(path), what + sentence(exam).removeprefix("exam: "), CLEARER)]
    except (KeyError, TypeError):
        return [warning(str(path), "the exam is damaged", "remove it; the next search repeats it")]


def check_storage(url: str, directions: Mapping[str, str]) -> list[Finding]:
    """Whether the storage answers, fits this Optuna, and its studies their tasks' `directions`.

    Nothing is written: a file or tables that are missing are left to the first search.
    """
    where = f"storage {url}"
    try:
        if url.startswith(SCHEME):
            served = GrpcStorage(url).get_all_studies()
            return [finding for study in served for finding in _study(where, study, directions)]
        parsed = sqlalchemy.make_url(url)
        if parsed.get_backend_name() == "sqlite":
            if in_memory(parsed) or not parsed.database:
                return [error(where, "it is no file, so workers cannot share it", URLS)]
            if not Path(parsed.database).exists() and Path(parsed.database).parent.is_dir():
                return []
        timeouts = TIMEOUTS.get(parsed.get_backend_name(), {})
        options: dict[str, Any] = {"connect_args": timeouts, "poolclass": sqlalchemy.NullPool}
        if not sqlalchemy.inspect(sqlalchemy.create_engine(parsed, **options)).has_table("studies"):
            return []
        storage = RDBStorage(url, options, skip_table_creation=True)
        studies = storage.get_all_studies()
    except (SQLAlchemyError, OptunaError, ImportError, RuntimeError, ValueError) as problem:
        reason = first_line(problem.__cause__ or problem)
        return [error(where, f"cannot be used ({reason})", URLS)]
    return [finding for study in studies for finding in _study(where, study, directions)]


def _study(where: str, study: Any, directions: Mapping[str, str]) -> list[Finding]:
    """A study whose direction is not its task's; one of parts of the score has its own."""
    setup = study.user_attrs.get("setup", {})
    task, ways = setup.get("task"), [way.name.lower() for way in study.directions]
    if task not in directions or setup.get("objectives") or ways == [directions[task]]:
        return []
    what = f"it is to {ways[0]}, its task {task} to {directions[task]}"
    remedy = f"optuna delete-study --study-name {study.study_name}, or name another"
    return [error(f"{where}: study {study.study_name!r}", what, remedy)]
