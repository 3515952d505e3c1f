"""Storages: real SQLite files, whole and broken, and a real PostgreSQL server."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import optuna
import psutil
import pytest
from optuna.storages import RDBStorage

from core.doctor import disk, storage
from core.doctor.finding import Finding, Level
from tests.conftest import free_port
from tests.postgres import Postgres

TASK = {"cyclegan": "maximize"}


def url(file: Path) -> str:
    return f"sqlite:///{file}"


def make(address: str, direction: str = "maximize", task: str = "cyclegan") -> None:
    made = RDBStorage(address)
    study = optuna.create_study(storage=made, study_name="mine", direction=direction)
    study.set_user_attr("setup", {"task": task})
    study.add_trial(optuna.trial.create_trial(value=0.5))
    made.engine.dispose()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A study of cyclegan's, the right way round."""
    path = tmp_path / "gantune.db"
    make(url(path))
    return path


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_a_whole_storage_and_one_yet_to_be_made_are_well(file: Path, tmp_path: Path) -> None:
    assert storage.check(url(file), TASK) == []
    odd = tmp_path / "50% of ours, yours & #1.db"
    file.rename(odd)
    assert storage.check(url(odd), TASK) == []
    assert only(storage.check(url(odd), {"cyclegan": "minimize"}))
    absent = tmp_path / "new.db"
    assert storage.check(url(absent), TASK) == []
    assert not absent.exists(), "looking makes nothing"


def test_looking_changes_no_byte(file: Path) -> None:
    before = file.read_bytes()
    sqlite3.connect(file.with_name("empty.db")).execute("VACUUM").connection.close()
    empty = file.with_name("empty.db").read_bytes()
    assert storage.check(url(file), TASK) == storage.check(url(file.with_name("empty.db")), TASK)
    assert file.read_bytes() == before
    assert file.with_name("empty.db").read_bytes() == empty, "no tables in an empty database"
    assert sorted(p.name for p in file.parent.iterdir()) == ["empty.db", "gantune.db"]


def test_an_old_schema_is_found_as_optuna_itself_finds_it(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    with pytest.raises(RuntimeError, match="storage upgrade"):
        RDBStorage(url(file))
    found = only(storage.check(url(file), TASK))
    assert found.level is Level.ERROR
    assert "v2.6.0.a" in found.what
    assert "optuna storage upgrade" in found.remedy


def test_the_schema_of_a_newer_optuna(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    found = only(storage.check(url(file), TASK))
    assert "newer" in found.what
    assert found.remedy == "pip install --upgrade optuna"


def test_a_study_that_searches_the_wrong_way(tmp_path: Path) -> None:
    file = tmp_path / "gantune.db"
    make(url(file), "minimize")
    found = only(storage.check(url(file), TASK))
    assert found.level is Level.ERROR
    assert "'mine'" in found.where
    assert "it is to minimize, its task cyclegan to maximize" in found.what
    assert storage.check(url(file), {"cyclegan": "minimize"}) == []


def half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def text(file: Path) -> None:
    file.write_text("no database at all, though long enough to look like one. " * 40)


def overwrite(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [half, text, overwrite])
def test_a_damaged_file(file: Path, damage: Callable[[Path], None]) -> None:
    damage(file)
    found = only(storage.check(url(file), TASK))
    assert found.level is Level.ERROR
    assert "damaged" in found.what


@pytest.mark.parametrize("lock", ["EXCLUSIVE", "IMMEDIATE"])
def test_a_file_another_process_does_not_let_go_of(
    file: Path, lock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "PATIENCE", 0.2)
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute(f"BEGIN {lock}")
    found = only(storage.check(url(file), TASK))
    assert "locked" in found.what
    holder.execute("ROLLBACK")
    holder.close()
    assert storage.check(url(file), TASK) == []


def test_a_network_file_system(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of mounts is made up: a test cannot mount NFS."""
    real = psutil.disk_partitions(all=True)[0]
    mounts = [real._replace(mountpoint="/", fstype="ext4")]
    mounts += [real._replace(mountpoint=str(file.parent), fstype="nfs4")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)
    assert disk.network_file_system(file) == "nfs4"
    assert disk.network_file_system(file.parent.parent) == ""
    found = only(storage.check(url(file), TASK))
    assert found.level is Level.WARNING
    assert "nfs4" in found.what


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("nonsense", "parse"),
        ("sqlite://", "no file"),
        ("sqlite:////nowhere/at/all/gantune.db", "/nowhere/at/all"),
        ("nosuchbase://me@here/db", "nosuchbase"),
    ],
)
def test_an_address_nobody_lives_at(address: str, told: str) -> None:
    found = only(storage.check(address, TASK))
    assert found.level is Level.ERROR
    assert told in found.what


def test_a_server_that_is_not_there_and_no_password_is_shown() -> None:
    address = f"postgresql+psycopg://me:secret@127.0.0.1:{free_port()}/db"
    found = only(storage.check(address, TASK))
    assert "out of reach" in found.what
    assert "refused" in found.what
    assert "secret" not in str(found)


def test_postgresql(postgres: Postgres) -> None:
    assert storage.check(postgres.url, TASK) == []
    assert postgres.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0"

    postgres.sql("CREATE USER guest")
    found = only(storage.check(postgres.url_of("guest"), TASK))
    assert "may not make Optuna's tables" in found.what
    assert found.remedy == "GRANT CREATE ON SCHEMA public TO guest"
    postgres.sql(found.remedy)
    assert storage.check(postgres.url_of("guest"), TASK) == []

    make(postgres.url)
    assert storage.check(postgres.url, TASK) == []
    assert "minimize" in only(storage.check(postgres.url, {"cyclegan": "minimize"})).what

    postgres.sql("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    assert "storage upgrade" in only(storage.check(postgres.url, TASK)).remedy

    postgres.kill()
    assert "out of reach" in only(storage.check(postgres.url, TASK)).what
    postgres.start()
    assert "storage upgrade" in only(storage.check(postgres.url, TASK)).remedy
