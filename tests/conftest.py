"""Small real data, evaluators made once for the session, and CI's rule: nothing is skipped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import core as core  # before PyTorch: it settles how threads wait
from core.data.painterly import paint
from tests.postgres import Postgres

if TYPE_CHECKING:
    from core.task import Params, Task

ROOT = Path(__file__).parent.parent
GANTUNE = str(Path(sys.executable).with_name("gantune"))
TINY = ["--size", "32", "--width", "4", "--blocks", "1", "--batch-size", "4", "--epochs", "2"]
TINY += ["--threads", "1", "--device", "cpu"]

GLYPHS = ["--source-font", "DejaVu Sans", "--target-font", "DejaVu Serif", "--characters", "ascii"]
TINY_GLYPHS = ["--size", "32", "--width", "4", "--batch-size", "16", "--epochs", "2", *GLYPHS]
TINY_GLYPHS += ["--threads", "1", "--device", "cpu"]

# A shell's background job ignores Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

Run = Callable[..., subprocess.CompletedProcess[str]]


def pytest_configure() -> None:
    """Test files that run side by side share the cores; PyTorch reads it at its import."""
    if beside := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // beside)))


def draw_domains(folder: Path, paintings: int, photographs: int, side: int = 64) -> Path:
    """A data set in CycleGAN's layout: blobs in trainB, others painted with strokes in trainA."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:side, 0:side] / side
    for name, count in (("trainA", paintings), ("trainB", photographs)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            cx, cy, radius = random.uniform(0.2, 0.8, 3)
            blob = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (0.1 * radius))
            tone = random.uniform(0.3, 0.7)
            colour = random.uniform(0.3, 0.9, 3)
            shade = tone * 0.5 + 0.6 * blob + 0.15 * np.sin(12 * (x * cx + y * cy))
            pixels = ((shade[..., None] * colour).clip(0, 1) * 255).astype(np.uint8)
            image = Image.fromarray(pixels)
            if name == "trainA":
                image = paint(image.resize((4 * side, 4 * side)), (16, 9, 6), random, joints=False)
            image.resize((side, side)).save(folder / name / f"{number:03}.png")
    return folder


@pytest.fixture(scope="session")
def domains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 paintings and 32 photographs of 64 x 64 pixels."""
    return draw_domains(tmp_path_factory.mktemp("data") / "domains", 24, 32)


@pytest.fixture(scope="session")
def evaluators(tmp_path_factory: pytest.TempPathFactory, domains: Path) -> Path:
    """A folder of evaluators holding the one for `domains` at size 32, fitted for real.

    Others that tests prepare there are made once as well; pytest-xdist's workers share it.
    """
    from core.data.images import load_unpaired
    from evaluators.painting import PaintingEvaluator

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "evaluators"
    evaluator = PaintingEvaluator("A", "auto", "cpu")
    evaluator.prepare(load_unpaired(str(domains), 32, "resize"), folder, lambda line: None)
    return folder


def smallest(task: Task, domains: Path, **more: Any) -> Params:
    """Params of any task that make a trial small: its own data where it has a choice."""
    small = {"size": 32, "width": 4, "blocks": 1, "batch_size": 8, "device": "cpu"}
    small |= {"data": str(domains), "characters": "ascii"}
    small |= {"source_font": "DejaVu Sans", "target_font": "DejaVu Serif"}
    if "z" in task.params.model_fields:  # made from noise: of a data set that is embedded
        small |= {"data": "digits", "size": 28, "batch_size": 64}
    known = {k: v for k, v in small.items() if k in task.params.model_fields}
    return task.params(**{**known, **more})


@pytest.fixture
def runs(tmp_path: Path, evaluators: Path) -> Path:
    """An empty `--runs` folder, but for the evaluator."""
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / "evaluators").symlink_to(evaluators)
    return folder


@pytest.fixture
def gantune(runs: Path) -> Run:
    """Run `gantune`, or `python -m module`, as a process; returns what it printed."""

    def call(*words: str | Path, module: str | None = None) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", module] if module else [GANTUNE]
        command = [*program, *map(str, words)]
        if words and not str(words[0]).startswith("-"):
            command += ["--runs", str(runs)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)

    return call


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL server, empty and of this test's own."""
    with Postgres() as server:
        yield server


@contextmanager
def serving(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server of ours, ended by Ctrl-C, and again: it swallows one that comes amid a request."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe) as server:
        try:
            yield server
        finally:
            for _ in range(5):
                server.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    server.communicate(timeout=4)
                    break
            else:
                server.kill()


def fetch(url: str, seconds: float = 30) -> Any:
    """The JSON of a server that may only just be starting."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test is a test that did not check anything: it fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter and reporter.stats.get("skipped"):
        reporter.write_line("skipped tests fail the run in CI", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
