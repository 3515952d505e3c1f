"""What searches keep: the folder of records and its disk, evaluators, and real storages."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.storages import RDBStorage

from core.doctor import runs as checks
from core.doctor.finding import Finding, Level
from tests.conftest import free_port
from tests.postgres import Postgres

Usage = namedtuple("Usage", "total used free")  # what shutil.disk_usage returns
GLYPH = {"evaluator": "glyph", "glyphs": "c0ffee", "reads_targets": 0.99, "weak": False}
PAINTING = {"evaluator": "painting", "data": "beef", "target": "A", "accuracy": 0.95, "weak": False}
TASK = {"cyclegan": "maximize"}


def faults(findings: list[Finding]) -> list[Finding]:
    return [f for f in findings if f.level is not Level.NOTE]


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_a_folder_that_exists_or_not_is_well_and_left_as_it_was(tmp_path: Path) -> None:
    runs = tmp_path / "deep" / "runs"
    assert faults(checks.check_folder(runs)) == []
    assert not runs.parent.exists()
    runs.mkdir(parents=True)
    assert faults(checks.check_folder(runs)) == []
    assert list(runs.iterdir()) == []


def test_a_file_in_the_folder_s_place(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    for runs in (tmp_path / "runs", tmp_path / "runs" / "deeper"):
        found = only(checks.check_folder(runs))
        assert found.level is Level.ERROR
        assert f"{tmp_path}/runs cannot be written (Not a directory)" in found.what


def test_a_folder_that_nobody_can_write() -> None:
    """/proc/self holds no new files, not even root's."""
    found = only(checks.check_folder(Path("/proc/self/runs")))
    assert found.level is Level.ERROR
    assert "cannot be written" in found.what


@pytest.mark.parametrize(
    ("free", "level"), [(50e6, Level.ERROR), (500e6, Level.WARNING), (5e9, Level.NOTE)]
)
def test_a_disk_nearly_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, level: Level
) -> None:
    """The free space is invented: not everybody may mount a small disk to fill."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10e9, 10e9 - free, int(free)))
    found = only(checks.check_folder(tmp_path / "runs"))
    assert found.level is level
    assert f"{free / 1e6:,.0f} MB" in found.what


def keep(runs: Path, **facts: Any) -> Path:
    """A trained evaluator, as the cache leaves it."""
    home = runs / "evaluators" / f"{facts['evaluator']}-0123456789abcdef"
    home.mkdir(parents=True)
    (home / "facts.json").write_text(json.dumps(facts))
    torch.save({"weight": torch.zeros(1000)}, home / "weights.pt")
    return home


def evaluator_faults(runs: Path) -> list[Finding]:
    found = faults(checks.check_evaluators(runs))
    assert all(f.level is Level.WARNING for f in found), "a search trains a new evaluator"
    return found


def test_good_evaluators_and_none_at_all_are_well(tmp_path: Path) -> None:
    assert checks.check_evaluators(tmp_path) == []
    keep(tmp_path, **GLYPH)
    keep(tmp_path, **PAINTING)
    (tmp_path / "evaluators" / "glyph-being-trained").mkdir()
    assert evaluator_faults(tmp_path) == []
    notes = [finding.what for finding in checks.check_evaluators(tmp_path)]
    assert notes == ["reads_targets 0.99", "accuracy 0.95"]


def test_an_evaluator_of_any_kind_is_checked(tmp_path: Path) -> None:
    """No list of kinds: one that doctor has never heard of is noted, and its faults are found."""
    home = keep(tmp_path, evaluator="new-kind", error=0.25)
    found = only(checks.check_evaluators(tmp_path))
    assert found.level is Level.NOTE
    assert "error 0.25; its facts do not say whether it is weak" in found.what
    (home / "weights.pt").write_bytes(b"")
    assert "weights.pt is missing or damaged" in only(evaluator_faults(tmp_path)).what


@pytest.mark.parametrize(
    ("facts", "figure"),
    [
        ({**GLYPH, "reads_targets": 0.85, "weak": True}, "reads_targets 0.85"),
        ({**PAINTING, "accuracy": 0.75, "weak": True}, "accuracy 0.75"),
        ({"evaluator": "digits", "weak": True}, ""),
    ],
)
def test_a_weak_evaluator(tmp_path: Path, facts: dict[str, Any], figure: str) -> None:
    home = keep(tmp_path, **facts)
    found = only(evaluator_faults(tmp_path))
    assert found.where == str(home)
    assert f"a weak evaluator ({figure})" in found.what


def test_an_evaluator_that_failed_its_exam_is_named_with_what_games_it(tmp_path: Path) -> None:
    keep(tmp_path, **PAINTING)
    cases = [{"name": "painted", "good": True, "value": 0.5, "broken": [], "passed": True}]
    cases += [{"name": "white", "good": False, "value": 0.4, "broken": [], "passed": False}]
    exam = {"passed": False, "reference": 0.5, "cases": cases, "evaluator": PAINTING}
    exam["objective"] = {"name": "score", "direction": "maximize"}
    path = tmp_path / "evaluators" / "exam-0123456789abcdef.json"
    path.write_text(json.dumps(exam))
    found = only(evaluator_faults(tmp_path))
    assert found.where == str(path)
    assert "the kind painting can be gamed: FAILED; good outputs score 0.5," in found.what
    assert "white 0.4" in found.what
    path.write_text(json.dumps({**exam, "passed": True}))
    assert evaluator_faults(tmp_path) == []
    path.write_text('{"passed": false, "version": 1}')
    assert evaluator_faults(tmp_path) == [], "no search reads it any more"
    path.write_text('{"passed": false}')
    assert only(evaluator_faults(tmp_path)).what == "the exam is damaged"


def test_a_damaged_evaluator(tmp_path: Path) -> None:
    home = keep(tmp_path, **GLYPH)
    whole = (home / "weights.pt").read_bytes()

    def message() -> str:
        found = only(evaluator_faults(tmp_path))
        assert found.where == str(home)
        return found.what

    (home / "weights.pt").write_bytes(whole[: len(whole) // 2])
    assert "weights.pt is missing or damaged" in message()
    middle = whole.index(b"\0" * 500)
    (home / "weights.pt").write_bytes(whole[:middle] + b"\1" + whole[middle + 1 :])
    assert "weights.pt is missing or damaged" in message()
    (home / "weights.pt").unlink()
    assert "weights.pt is missing or damaged" in message()
    (home / "weights.pt").write_bytes(whole)
    (home / "facts.json").write_text('{"evaluator": ')
    assert "facts.json is missing or damaged" in message()


def test_the_evaluators_of_version_0_1_0_are_noted_as_unused(tmp_path: Path) -> None:
    home = tmp_path / "evaluators" / "painting-0123456789abcdef"
    home.mkdir(parents=True)
    (home / "judge.json").write_text("{}")
    found = only(checks.check_evaluators(tmp_path))
    assert found.level is Level.NOTE
    assert "no longer used" in found.what


def url(file: Path) -> str:
    return f"sqlite:///{file}"


def store(address: str, direction: str = "maximize", task: str = "cyclegan") -> None:
    storage = RDBStorage(address)
    study = optuna.create_study(storage=storage, study_name="mine", direction=direction)
    study.set_user_attr("setup", {"task": task})
    study.add_trial(optuna.trial.create_trial(value=0.5))
    storage.engine.dispose()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a study of cyclegan that goes its task's direction."""
    path = tmp_path / "gantune.db"
    store(url(path))
    return path


def test_a_whole_storage_and_one_yet_to_be_made_are_well(file: Path, tmp_path: Path) -> None:
    assert checks.check_storage(url(file), TASK) == []
    odd = tmp_path / "50% of ours, yours & #1.db"
    file.rename(odd)
    assert checks.check_storage(url(odd), TASK) == []
    assert only(checks.check_storage(url(odd), {"cyclegan": "minimize"}))
    absent = tmp_path / "new.db"
    assert checks.check_storage(url(absent), TASK) == []
    assert not absent.exists(), "looking makes nothing"


def test_looking_changes_no_byte(file: Path) -> None:
    before = file.read_bytes()
    sqlite3.connect(file.with_name("empty.db")).execute("VACUUM").connection.close()
    empty = file.with_name("empty.db").read_bytes()
    assert checks.check_storage(url(file), TASK) == []
    assert checks.check_storage(url(file.with_name("empty.db")), TASK) == []
    assert file.read_bytes() == before
    assert file.with_name("empty.db").read_bytes() == empty, "no tables in an empty database"
    assert sorted(p.name for p in file.parent.iterdir()) == ["empty.db", "gantune.db"]


@pytest.mark.parametrize(
    ("revision", "remedy"), [("v2.6.0.a", "optuna storage upgrade"), ("v99.0.0.a", "pip install")]
)
def test_the_schema_of_another_optuna(file: Path, revision: str, remedy: str) -> None:
    with sqlite3.connect(file) as database:
        database.execute(f"UPDATE alembic_version SET version_num = '{revision}'")
    found = only(checks.check_storage(url(file), TASK))
    assert found.level is Level.ERROR
    assert "no longer compatible with the table schema" in found.what
    assert remedy in found.what


def test_a_study_that_searches_the_wrong_way(tmp_path: Path) -> None:
    file = tmp_path / "gantune.db"
    store(url(file), "minimize")
    found = only(checks.check_storage(url(file), TASK))
    assert found.level is Level.ERROR
    assert "'mine'" in found.where
    assert "it is to minimize, its task cyclegan to maximize" in found.what
    assert checks.check_storage(url(file), {"cyclegan": "minimize"}) == []


def test_a_study_of_several_objectives_has_directions_of_its_own(tmp_path: Path) -> None:
    address = url(tmp_path / "gantune.db")
    study = optuna.create_study(storage=address, directions=["maximize", "minimize"])
    study.set_user_attr("setup", {"task": "cyclegan", "objectives": ["style", "error"]})
    assert checks.check_storage(address, TASK) == []


def half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def text(file: Path) -> None:
    file.write_text(
        "no database at all, though long enough to look like one. " * 40, encoding="utf-8"
    )


def overwrite(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [half, text, overwrite])
def test_a_damaged_file(file: Path, damage: Callable[[Path], None]) -> None:
    damage(file)
    found = only(checks.check_storage(url(file), TASK))
    assert found.level is Level.ERROR
    assert "malformed" in found.what or "not a database" in found.what


def test_a_file_that_another_process_has_locked(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(checks.TIMEOUTS, "sqlite", {"timeout": 0})
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert "locked" in only(checks.check_storage(url(file), TASK)).what
    holder.execute("ROLLBACK")
    holder.close()
    assert checks.check_storage(url(file), TASK) == []


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nonsense", "parse"),
        ("sqlite://", "no file"),
        ("sqlite:////nowhere/at/all/gantune.db", "/nowhere/at/all"),
        ("nosuchbase://me@here/db", "nosuchbase"),
    ],
)
def test_an_address_that_is_none(address: str, message: str) -> None:
    found = only(checks.check_storage(address, TASK))
    assert found.level is Level.ERROR
    assert message in str(found)


def test_a_server_out_of_reach_and_no_password_is_shown() -> None:
    address = f"postgresql+psycopg://me:secret@127.0.0.1:{free_port()}/db"
    found = only(checks.check_storage(address, TASK))
    assert found.level is Level.ERROR
    assert "refused" in found.what
    assert "secret" not in str(found)


def test_postgresql(postgres: Postgres) -> None:
    assert checks.check_storage(postgres.url, TASK) == []
    assert postgres.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0"

    store(postgres.url)
    assert checks.check_storage(postgres.url, TASK) == []
    assert "minimize" in only(checks.check_storage(postgres.url, {"cyclegan": "minimize"})).what

    postgres.sql("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    assert "storage upgrade" in only(checks.check_storage(postgres.url, TASK)).what

    postgres.kill()
    assert "refused" in only(checks.check_storage(postgres.url, TASK)).what
