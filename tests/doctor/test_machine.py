"""Ports that are really taken; GPUs, as the driver and PyTorch would tell of them."""

from __future__ import annotations

import os
import socket

import pytest

from core.doctor import machine
from core.doctor.finding import Level
from tests.conftest import free_port

CPU = {"version": "2.6.0+cpu", "built for": "", "cuda": [], "mps": False, "complaint": ""}


@pytest.mark.parametrize("address", ["127.0.0.1", ""])
def test_a_port_in_use_and_by_whom(address: str) -> None:
    with socket.create_server((address, 0)) as listener:
        port = listener.getsockname()[1]
        (found,) = machine.ports([port], asked=True)
        assert found.level is Level.ERROR
        assert found.where == f"port {port}"
        assert found.what.startswith("in use by ")
        assert found.what.endswith(f" (pid {os.getpid()})")
        assert machine.ports([port], asked=False)[0].level is Level.WARNING
    assert machine.ports([port, free_port()], asked=True) == []


def test_what_trials_train_on() -> None:
    """PyTorch's answers are made up: a machine has one GPU and one build of PyTorch, or none."""
    (found,) = machine.devices([], CPU)
    assert found.level is Level.NOTE
    (found,) = machine.devices(["H200"], {**CPU, "built for": "13.2", "cuda": ["H200"]})
    assert found.level is Level.NOTE
    assert "cuda: H200" in found.what
    assert machine.devices([], {}) == [], "PyTorch could not be imported"


def test_a_gpu_that_pytorch_does_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same: what PyTorch says is made up."""
    (found,) = machine.devices(["H200"], CPU)
    assert found.level is Level.WARNING
    assert "torch 2.6.0+cpu is built for the CPU alone" in found.what
    blind = {**CPU, "built for": "13.2", "complaint": "The NVIDIA driver is too old"}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert "driver is too old" in machine.devices(["H200"], blind)[0].what
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES='' hides it" in machine.devices(["H200"], blind)[0].what
