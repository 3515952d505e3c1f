"""`gantune doctor` as a person runs it: silent where all is well, a line for each planted fault."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import yaml

from tests.conftest import GANTUNE, ROOT, free_port
from tests.doctor.test_nni_config import GOOD


def doctor(folder: Path, *words: str, checkout: Path | None = None) -> tuple[int, list[str]]:
    """Exit status, and what it prints line by line; run in `folder`."""
    command = [GANTUNE]
    if checkout:
        run = f"import sys; sys.path.insert(0, {str(checkout)!r}); "
        command = [sys.executable, "-c", run + "from core.cli import main; sys.exit(main())"]
    command += ["doctor", "--port", str(free_port()), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    assert done.returncode == 2 or not done.stderr, done.stderr
    return done.returncode, (done.stdout or done.stderr).splitlines()


def write(path: Path, **changes: object) -> None:
    space = str(ROOT / "search_spaces" / "glyph_gan.json")
    path.write_text(yaml.safe_dump({**GOOD, "searchSpaceFile": space, **changes}), encoding="utf-8")


def test_silent_where_all_is_well(tmp_path: Path) -> None:
    write(tmp_path / "nni_config.yml")
    assert doctor(tmp_path) == (0, [])
    assert [path.name for path in tmp_path.iterdir()] == ["nni_config.yml"], "looking makes nothing"

    status, lines = doctor(tmp_path, "--facts")
    assert status == 0
    assert all(line.startswith("note: ") for line in lines)
    assert {line.split(": ")[1].split()[0] for line in lines} == {"--runs", "the"}, "and the cache"


def test_a_warning_is_no_failure(tmp_path: Path) -> None:
    write(tmp_path / "mine.yml", trialConcurrency=4096)
    status, lines = doctor(tmp_path, "--config", "mine.yml")
    assert status == 0
    (line,) = lines
    assert line.startswith("warning: mine.yml: trialConcurrency: 4096 at once with 1 threads each")


def test_every_planted_fault_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file in the folder's place")
    write(tmp_path / "nni_config.yml", trialCommand="cd trials && python -m trials.glyph_gan")
    (tmp_path / "docs" / "nni").mkdir(parents=True)
    command = f"{GOOD['trialCommand']} --size 33"
    write(tmp_path / "docs" / "nni" / "other.yml", trialCommand=command)
    optuna.create_study(
        storage=f"sqlite:///{tmp_path}/studies.db", study_name="upside-down"
    ).set_user_attr("setup", {"task": "cyclegan"})
    storage = f"sqlite:///{tmp_path}/studies.db"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        status, lines = doctor(tmp_path, "--port", str(port), "--storage", storage)
    assert status == 1
    wanted = (
        "error: --runs runs: ",
        "error: nni_config.yml: trialCommand: ",
        "error: docs/nni/other.yml: trialCommand: --size: 33 is refused",
        f"error: port {port}: Address already in use",
        f"error: storage {storage}: study 'upside-down': it is to minimize",
    )
    for start in wanted:
        assert [line.startswith(start) for line in lines].count(True) == 1, (start, lines)
    assert len(lines) == len(wanted), lines


def test_tasks_of_a_checkout_that_do_not_load(tmp_path: Path) -> None:
    for package in ("core", "evaluators", "trials", "search_spaces"):
        shutil.copytree(ROOT / package, tmp_path / package)
    (tmp_path / "trials" / "broken.py").write_text('"""Broken."""\nimport nosuchmodule\n')
    (tmp_path / "trials" / "empty.py").write_text('"""Empty."""\n')
    work = tmp_path / "work"
    work.mkdir()
    write(work / "nni_config.yml", trialCommand=f"{sys.executable} -m trials.broken")
    status, lines = doctor(work, checkout=tmp_path)
    assert status == 1
    wanted = (
        "error: trials/broken.py: cannot be loaded (ModuleNotFoundError: No module named 'nosuch",
        "error: trials/empty.py: cannot be loaded (AttributeError",
    )
    assert [line.startswith(start) for line, start in zip(lines, wanted, strict=True)] == [True] * 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--config", "nothere.yml"], "--config nothere.yml: there is no such file"),
        (["--port", "70000"], "argument --port: invalid port"),
    ],
)
def test_mistakes_of_the_users(tmp_path: Path, words: list[str], message: str) -> None:
    status, lines = doctor(tmp_path, *words)
    assert status == 2
    assert message in lines[-1]
