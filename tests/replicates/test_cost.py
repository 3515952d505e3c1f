"""What a step costs: counts that can be worked out by hand, and memory that can be foreseen."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.data.outputs import ImagePairs
from core.params import load_task
from core.replicates.cost import PROCESS, count_parameters, measure, measure_apart
from core.task import Params, Task

SIDE, KERNEL, WIDE = 8, 3, 5
FORWARD = 2 * WIDE * KERNEL**2 * SIDE**2
MEGABYTE = 2**20


class ToyParams(Params):
    """As a task's, with a turn of steps and a head start."""

    d_steps_per_g: int = 1
    d_head_start: int = 0
    device: Any = "cpu"
    threads: int = 1


class Toy:
    """One convolution 1 -> 5, 3 x 3, same size; the generator's turn comes last of a turn."""

    def __init__(self, params: ToyParams, held: int = 0) -> None:
        self.params, self.held, self.steps = params, held, 0
        self.sizes: list[int] = []
        self.conv = nn.Conv2d(1, WIDE, KERNEL, padding=1)
        self.critic = nn.Linear(7, 1)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return {"G": self.conv, "D": self.critic, "again": nn.Sequential(self.critic)}

    def batches(self) -> Iterator[tuple[Tensor]]:
        for count in (4, 4, 1):
            yield (torch.zeros(count, 1, SIDE, SIDE),)

    def step(self, batch: tuple[Tensor]) -> Mapping[str, Tensor]:
        self.steps += 1
        self.sizes.append(len(batch[0]))
        block = torch.ones(self.held * MEGABYTE // 4 + 1)
        late = self.steps > self.params.d_head_start
        if late and self.steps % self.params.d_steps_per_g == 0:
            self.conv(batch[0]).sum().backward()
        return {"loss": block[:1].sum()}

    def translate(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            result: Tensor = self.conv(images)
        return result

    def outputs(self) -> ImagePairs:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        raise NotImplementedError

    def load_state_dict(self, state: dict[str, Any]) -> None:
        raise NotImplementedError


def task(made: list[Toy], held: int = 0, load: Callable[[Any], Any] = lambda params: None) -> Task:
    def build(params: Any, data: Any, device: torch.device) -> Toy:
        made.append(Toy(params, held))
        return made[-1]

    return replace(load_task("cyclegan"), params=ToyParams, load=load, build=build)


@pytest.mark.parametrize(("turn", "head"), [(1, 0), (3, 0), (3, 50)])
def test_flops_are_those_of_the_convolutions(turn: int, head: int) -> None:
    made: list[Toy] = []
    params = ToyParams(d_steps_per_g=turn, d_head_start=head)
    found = measure(task(made), params)
    assert found["flops_translate_image"] == FORWARD
    assert found["flops_train_image"] == pytest.approx(2 * FORWARD / turn), "and the weights'"
    assert found["batch"] == 4
    assert set(made[0].sizes) == {4}, "a smaller last batch would pass for a fast step"
    assert found["items_per_second"] == pytest.approx(4000 / found["step_ms"])
    assert found["timed_steps"] % turn == 0


def test_parameters_that_networks_share_count_once() -> None:
    made: list[Toy] = []
    found = measure(task(made), ToyParams())
    assert found["parameters_output"] == WIDE * KERNEL**2 + WIDE
    assert found["parameters"] == found["parameters_output"] + 8
    tied = nn.Linear(3, 3)
    assert count_parameters([tied, nn.Sequential(tied)]) == 12


def test_memory_is_the_peak_of_training_alone() -> None:
    def load(params: Any) -> None:
        torch.ones(400 * MEGABYTE // 4)  # gone before the model is built

    small = measure(task([], 0, load), ToyParams())["memory_bytes"]
    large = measure(task([], 192, load), ToyParams())
    assert large["memory_of"] == PROCESS
    assert small < 100 * MEGABYTE
    assert 180 * MEGABYTE < large["memory_bytes"] < 300 * MEGABYTE


def test_a_real_generator_counts_as_its_layers_say(domains: Path) -> None:
    cyclegan = load_task("cyclegan")
    small = {"size": 32, "width": 4, "blocks": 1, "batch_size": 4, "threads": 1, "device": "cpu"}
    params = cyclegan.params(data=str(domains), precision="fp32", **small)
    found = measure(cyclegan, params)
    model = cyclegan.build(params, cyclegan.load(params), torch.device("cpu"))
    expected = 0

    def count(layer: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal expected
        there = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        expected += 2 * layer.weight.numel() * math.prod(there.shape[-2:])

    generator = next(iter(model.networks.values()))
    for layer in generator.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    model.translate(torch.zeros(1, 3, 32, 32))
    assert expected > 0
    assert found["flops_translate_image"] == expected
    assert found["flops_train_image"] > 10 * expected, "both generators and discriminators learn"


def test_what_goes_wrong_in_the_process_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measure_apart("nonsense", {})["failed"].startswith("no task 'nonsense'; there are: ")
    assert "'two' is refused" in measure_apart("cyclegan", {"width": "two"})["failed"]
    killed = subprocess.CompletedProcess([], -9, "", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: killed)
    assert measure_apart("cyclegan", {}) == {"failed": "exit status -9"}


def test_the_process_is_this_python_and_no_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def run(command: Any, **how: Any) -> subprocess.CompletedProcess[str]:
        seen.append((command, how))
        return subprocess.CompletedProcess(command, 0, 'noise\n{"parameters": 3}\n', "")

    monkeypatch.setattr(subprocess, "run", run)
    assert measure_apart("x; y", {"data": "$(z)"}) == {"parameters": 3}
    ((command, how),) = seen
    assert command == [sys.executable, "-P", "-m", "core.replicates.cost"]
    assert not how.get("shell")
    assert "$(z)" in how["input"]
