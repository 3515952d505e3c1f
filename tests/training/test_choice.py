"""The choice of how steps are computed, with a model whose every way takes a known time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import Field
from torch._inductor import config as inductor

from core import device as devices
from core.device import Busy, limit_threads, thread_limit
from core.models.compute import ComputeParams
from core.task import Objective, Params, Task, UserError
from core.training import choice
from core.training.choice import Way, choose

CPU = torch.device("cpu")


class Timed(ComputeParams):
    weight: float = Field(1.0, ge=0, description="a loss weight")
    width: int = Field(8, ge=1, description="channels")


@dataclass
class Model:
    """Sleeps for as long as its way takes, by a table."""

    params: Timed
    table: Mapping[str, float]
    asked: list[str]
    steps_per_epoch: int = 100

    def batches(self) -> Iterator[tuple[int]]:
        yield (1,)

    def step(self, batch: Any) -> dict[str, torch.Tensor]:
        threads = torch.get_num_threads()
        way = str(Way(self.params.precision, self.params.compile, threads))
        self.asked.append(way)
        if way not in self.table:
            raise RuntimeError("no working C++ compiler\nand more")
        time.sleep(self.table[way])
        return {}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A second of training is long here, and compiling repays itself within seconds."""
    monkeypatch.setattr(choice, "SHORT", 1.0)
    monkeypatch.setattr(choice, "COLD", 0.5)
    monkeypatch.setattr(choice, "WARM", 0.1)
    monkeypatch.setattr(choice, "fast_bf16", lambda device: True)
    threads = torch.get_num_threads()
    yield
    limit_threads(0)
    torch.set_num_threads(threads)


class Here:
    """Chooses for a table of step times, in seconds, by the names of the ways."""

    def __init__(self, runs: Path, table: Mapping[str, float]) -> None:
        self.runs, self.table = runs, table
        self.asked, self.said = list[str](), list[str]()

    def choose(
        self, earlier: Mapping[str, Any] | None = None, trials: float = 1.0, **values: Any
    ) -> tuple[Way, dict[str, Any]]:
        build: Any = lambda p, data, device: Model(p, self.table, self.asked)  # noqa: E731
        none: Any = lambda p: None  # noqa: E731
        objective = Objective("score", "maximize", 0.0)
        task = Task("timed", "", Timed, none, build, none, objective)
        params = Timed(**{"epochs": 1, **values})
        chosen, facts = choose(
            task, params, None, CPU, self.runs, self.said.append, trials, earlier
        )
        assert isinstance(chosen, Timed)
        return Way(chosen.precision, chosen.compile, torch.get_num_threads()), facts


ONE = {"fp32, 1 thread": 0.04, "bf16, 1 thread": 0.02, "bf16, compiled, 1 thread": 0.01}


def test_the_fastest_way_is_taken_measured_once_and_recorded(tmp_path: Path) -> None:
    limit_threads(1)
    here = Here(tmp_path, ONE)
    way, facts = here.choose(epochs=3)
    assert way == Way("bf16", "on", 1)
    assert set(facts["seconds"]) == set(ONE)
    assert facts["seconds"]["fp32, 1 thread"] == pytest.approx(0.04, rel=0.5)
    assert any("bf16, compiled" in line for line in here.said)
    here.asked.clear()
    assert here.choose(epochs=3, weight=2.0, seed=5)[0] == way, "another point of the same search"
    assert here.choose(epochs=1)[0] == way, "a shorter trial of the same shape"
    assert not here.asked, "measured once"
    here.choose(epochs=3, width=16)
    assert here.asked, "another shape is measured"


def test_a_short_run_measures_nothing_but_a_step_and_that_once(tmp_path: Path) -> None:
    limit_threads(1)
    here = Here(tmp_path, {"bf16, 1 thread": 0.002})
    way, facts = here.choose()
    assert way == Way("bf16", "off", 1)
    assert set(facts["seconds"]) == {"bf16, 1 thread"}
    assert not here.said
    here.asked.clear()
    assert here.choose(weight=2.0)[0] == way
    assert not here.asked


def test_the_length_of_the_search_decides_with_that_of_the_trial(tmp_path: Path) -> None:
    limit_threads(1)
    table = {"fp32, 1 thread": 0.01, "bf16, 1 thread": 0.005, "bf16, compiled, 1 thread": 0.001}
    assert Here(tmp_path / "one", table).choose()[0].compile == "off"
    assert Here(tmp_path / "many", table).choose(trials=10)[0].compile == "on"


def test_bf16_and_compilation_that_are_slower_are_not_taken(tmp_path: Path) -> None:
    limit_threads(1)
    table = {"fp32, 1 thread": 0.01, "bf16, 1 thread": 0.02, "fp32, compiled, 1 thread": 0.02}
    assert Here(tmp_path, table).choose(epochs=3)[0] == Way("fp32", "off", 1)


def test_more_threads_are_taken_where_they_gain(tmp_path: Path) -> None:
    limit_threads(2)
    slow = {"bf16, 2 threads": 0.019, "fp32, 2 threads": 0.04, "bf16, 1 thread": 0.02}
    compiled = {"bf16, compiled, 1 thread": 0.03, "bf16, compiled, 2 threads": 0.03}
    assert Here(tmp_path / "no", {**slow, **compiled}).choose(epochs=3)[0].threads == 1
    fast = {**slow, "bf16, 2 threads": 0.01}
    assert Here(tmp_path / "yes", {**fast, **compiled}).choose(epochs=3)[0].threads == 2
    asked = Here(tmp_path / "asked", {**slow, **compiled})
    assert asked.choose(epochs=3, threads=2)[0].threads == 2, "a flag is obeyed"


def test_without_a_compiler_auto_goes_on_and_says_so_once(tmp_path: Path) -> None:
    limit_threads(1)
    here = Here(tmp_path, {"fp32, 1 thread": 0.04, "bf16, 1 thread": 0.02})
    assert here.choose(epochs=3)[0] == Way("bf16", "off", 1)
    assert "step: cannot be compiled here (no working C++ compiler)" in here.said
    here.asked.clear()
    here.choose(epochs=3)
    assert not here.asked


def test_compiling_without_a_compiler_is_one_clear_error(tmp_path: Path) -> None:
    with (
        inductor.patch("cpp.cxx", (None, "no-such-compiler")),
        pytest.raises(UserError, match="finds no C"),
    ):
        Here(tmp_path, {}).choose(compile="on")


def test_a_trial_that_goes_on_keeps_its_choice(tmp_path: Path) -> None:
    limit_threads(1)
    here = Here(tmp_path, {})
    earlier = {"precision": "fp32", "compile": "on", "threads": 1, "seconds": {"x": 1.0}}
    assert here.choose(earlier) == (Way("fp32", "on", 1), earlier)
    assert not here.asked


def test_a_damaged_measurement_is_measured_again(tmp_path: Path) -> None:
    limit_threads(1)
    here = Here(tmp_path, ONE)
    here.choose(epochs=3)
    (file,) = (tmp_path / "compute").glob("*.json")
    file.write_text("{")
    assert here.choose(epochs=3)[0] == Way("bf16", "on", 1)


def test_other_tasks_are_left_alone(tmp_path: Path) -> None:
    none: Any = lambda p: None  # noqa: E731
    task = Task("plain", "", Params, none, none, none, Objective("score", "maximize", 0.0))
    params = Params()
    assert choose(task, params, None, CPU, tmp_path, none) == (params, {})


def test_a_worker_leaves_the_other_cores_alone() -> None:
    limit_threads(1)
    assert thread_limit(Params()) == 1
    assert thread_limit(Params(threads=3)) == 3, "a flag is obeyed"
    limit_threads(0)
    assert thread_limit(Params()) == devices.cores()


def test_busy_counts_other_programs_and_not_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three cores' worth of work in a second, of which one is this program's."""
    before = Busy._spent()
    ends = time.monotonic() + 0.2
    while time.monotonic() < ends:
        sum(range(1000))
    everything, own, seconds = (b - a for a, b in zip(before, Busy._spent(), strict=True))
    assert 0.05 < own <= seconds * 1.2
    assert everything >= own - 0.05
    busy = Busy()
    now = tuple(map(sum, zip(busy._before, (3.0, 1.0, 1.0), strict=True)))
    monkeypatch.setattr(Busy, "_spent", staticmethod(lambda: now))
    assert busy.cores() == pytest.approx(2.0)
