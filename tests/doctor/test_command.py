"""`gantune doctor` as a person runs it: silent where all is well, a line for each planted fault."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
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
    path.write_text(yaml.safe_dump({**GOOD, "searchSpaceFile": space, **changes}))


@contextmanager
def adjacent() -> Iterator[int]:
    """A port that somebody listens on, as on the next one."""
    while True:
        with ExitStack() as stack, suppress(OSError, OverflowError):
            first = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port: int = first.getsockname()[1]
            stack.enter_context(socket.create_server(("127.0.0.1", port + 1)))
            yield port
            return


def test_silent_where_all_is_well(tmp_path: Path) -> None:
    write(tmp_path / "nni_config.yml")
    assert doctor(tmp_path) == (0, [])
    assert [path.name for path in tmp_path.iterdir()] == ["nni_config.yml"], "looking makes nothing"

    status, lines = doctor(tmp_path, "--facts")
    assert status == 0
    assert all(line.startswith("note: ") for line in lines)
    assert {line.split(": ")[1].split()[0] for line in lines} >= {"device", "fonts", "--runs"}


def test_a_warning_is_no_failure(tmp_path: Path) -> None:
    write(tmp_path / "mine.yml", trialConcurrency=4096)
    status, lines = doctor(tmp_path, "--config", "mine.yml")
    assert status == 0
    (line,) = lines
    assert line.startswith("warning: mine.yml: trialConcurrency: 4096 at once with --threads 1")


def test_every_planted_fault_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file in the folder's place")
    write(tmp_path / "nni_config.yml", trialCommand="cd trials && python -m trials.glyph_gan")
    (tmp_path / "docs" / "nni").mkdir(parents=True)
    command = f"{GOOD['trialCommand']} --size 33"
    write(tmp_path / "docs" / "nni" / "other.yml", trialCommand=command)
    optuna.create_study(
        storage=f"sqlite:///{tmp_path}/studies.db", study_name="upside-down"
    ).set_user_attr("setup", {"task": "cyclegan"})
    machine = {"host": "10.0.0.1", "user": "me", "sshKeyFile": str(tmp_path / "runs")}
    far = {"platform": "remote", "machineList": [machine]}
    write(tmp_path / "docs" / "nni" / "remote.yml", trainingService=far)
    with adjacent() as port:
        storage = f"sqlite:///{tmp_path}/studies.db"
        status, lines = doctor(tmp_path, "--port", str(port), "--storage", storage)
    assert status == 1
    wanted = (
        "error: --runs runs: ",
        "error: nni_config.yml: trialCommand: ",
        "error: docs/nni/other.yml: trialCommand: --size: 33 is refused",
        f"error: port {port}: in use",
        f"error: port {port + 1}: in use",  # NNI talks to other machines there
        f"error: storage {storage}: study 'upside-down': it is to minimize",
    )
    for start in wanted:
        assert [line.startswith(start) for line in lines].count(True) == 1, (start, lines)
    assert len(lines) == len(wanted), lines


def test_faults_of_a_checkouts_own_tasks(tmp_path: Path) -> None:
    for package in ("core", "evaluators", "trials", "search_spaces"):
        shutil.copytree(ROOT / package, tmp_path / package)
    trials, spaces = tmp_path / "trials", tmp_path / "search_spaces"
    (trials / "broken.py").write_text('"""Broken."""\nimport nosuchmodule\n')
    (trials / "empty.py").write_text('"""Empty."""\n')
    (spaces / "orphan.json").write_text("{}")
    (spaces / "glyph_gan.json").unlink()
    (spaces / "glyph_pix2pix.json").write_text('{"lr_g": {"_type": "normal"}}')
    narrow = '{"lambda_pixel": {"_type": "uniform", "_value": [1, 2]}}'
    (spaces / "glyph_autoencoder.json").write_text(narrow)
    cyclegan = (trials / "cyclegan.py").read_text()
    turned = 'objective=__import__("core.task").task.Objective("score", "minimize", 1.0)'
    (trials / "cyclegan.py").write_text(cyclegan.replace("objective=OBJECTIVE", turned))
    work = tmp_path / "work"
    work.mkdir()
    status, lines = doctor(work, checkout=tmp_path)
    assert status == 1
    wanted = (
        "error: trials/broken.py: cannot be loaded (ModuleNotFoundError: No module named 'nosuch",
        "error: trials/empty.py: cannot be loaded (AttributeError",
        f"error: search space: {spaces}/glyph_pix2pix.json: 'lr_g'",
        "error: trials/cyclegan.py: the search would minimize what its evaluator wants to maximize",
        f"warning: {spaces}/glyph_gan.json: task glyph_gan has no search space",
        f"warning: {spaces}/glyph_autoencoder.json: 'lambda_pixel': the published 100.0 is outside",
        f"warning: {spaces}/orphan.json: a search space of no task",
    )
    for start in wanted:
        assert [line.startswith(start) for line in lines].count(True) == 1, (start, lines)
    assert len(lines) == len(wanted), lines


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--config", "nothere.yml"], "--config nothere.yml: there is no such file"),
        (["--port", "70000"], "argument --port: invalid port"),
    ],
)
def test_mistakes_of_the_users(tmp_path: Path, words: list[str], told: str) -> None:
    status, lines = doctor(tmp_path, *words)
    assert status == 2
    assert told in lines[-1]
