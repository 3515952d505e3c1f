"""How a model's steps are computed: device, precision, memory layout, compiled, replayed.

None of it changes the published mathematics. On a GPU a step is bound by the launches of its
kernels, so a whole step becomes one CUDA graph; on a CPU the time is in the kernels themselves,
which a compiler fuses and which are fastest in channels-last layout.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import parent_process
from typing import Any, Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from core.device import autocast
from core.task import Params

Step = Callable[..., dict[str, Tensor]]
Networks = Mapping[str, Callable[[Tensor], Tensor]]  # as functions of images, compiled or not
Network = TypeVar("Network", bound=nn.Module)
WARM_UP = 3  # steps taken as they are before one is captured: allocations, autotuning, compilation


class ComputeParams(Params):
    """Whether the networks of a trial are compiled."""

    compile: Literal["auto", "on", "off"] = Field(
        "auto", description="compile the networks; auto measures whether that pays"
    )


@dataclass(frozen=True)
class Compute:
    """A trial's device, its precision, and whether its networks are compiled."""

    device: torch.device
    precision: str
    compiled: bool

    @classmethod
    def of(cls, params: ComputeParams, device: torch.device) -> Compute:
        """What the parameters say; a choice that was left to `auto` is not to compile."""
        return cls(device, params.precision, params.compile == "on")

    def autocast(self) -> Any:
        """The context in which networks are called."""
        return autocast(self.device, self.precision)

    @property
    def layout(self) -> torch.memory_format:
        """Channels-last where it is faster: in compiled code and on GPUs."""
        fast = self.compiled or self.device.type == "cuda"
        return torch.channels_last if fast else torch.contiguous_format

    def place(self, net: Network) -> Network:
        """Move a network to the device, in the layout of its images."""
        return net.to(self.device, memory_format=self.layout)  # type: ignore[call-overload,no-any-return]

    def arrange(self, *images: Tensor) -> list[Tensor]:
        """N x C x H x W images in the layout of the networks."""
        return [each.contiguous(memory_format=self.layout) for each in images]

    def calls(self, networks: Mapping[str, nn.Module]) -> Networks:
        """The networks as functions of images: compiled for each shape, or as they are."""
        if not self.compiled:
            return dict(networks)
        # The compiler itself looks at an input's gradient, and is warned of it.
        warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # no CUDA: no news
        torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
        if parent_process():  # a pool of compilers would outlive a worker that is stopped
            torch._inductor.config.compile_threads = 1
        return {name: torch.compile(net, dynamic=False) for name, net in networks.items()}


def call_together(net: Callable[[Tensor], Tensor], norm: str, *parts: Tensor) -> list[Tensor]:
    """The outputs for several batches: from one call, except where batch norm would mix them."""
    if norm == "batch":
        return [net(part) for part in parts]
    return list(net(torch.cat(parts)).split([len(part) for part in parts]))


class _Captured:
    """One step as a CUDA graph, with the tensors that it reads and the losses that it writes."""

    def __init__(self, step: Step, kind: Any, tensors: tuple[Tensor, ...]) -> None:
        self.inputs = [torch.empty_like(tensor, device="cuda") for tensor in tensors]
        self.graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.graph(self.graph):
            losses = step(kind, *self.inputs)
            self.losses = torch.stack([loss.float() for loss in losses.values()])
        self.names = list(losses)

    def replay(self, tensors: tuple[Tensor, ...]) -> dict[str, Tensor]:
        for own, tensor in zip(self.inputs, tensors, strict=True):
            own.copy_(tensor, non_blocking=True)
        self.graph.replay()
        return dict(zip(self.names, self.losses.clone().unbind(), strict=True))


@contextmanager
def _autotuned() -> Iterator[None]:
    """Let cuDNN try its convolutions: it pays for shapes that recur, and for no others."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = not torch.are_deterministic_algorithms_enabled()
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@dataclass
class Replayed:
    """A training step that CUDA replays as one graph from its fourth call on; elsewhere a call.

    `step(kind, *tensors)` must depend on nothing but `kind`, the tensors, and what lies on the
    device; `kind` is hashable. The calls before are steps of the training, too.
    """

    step: Step
    device: torch.device
    captured: dict[Any, _Captured] = field(default_factory=dict)
    calls: dict[Any, int] = field(default_factory=dict)

    def __call__(self, kind: Any, *tensors: Tensor, often: bool = True) -> dict[str, Tensor]:
        """Take a step; `often` says that others of this kind and of these shapes will follow."""
        if self.device.type != "cuda" or not often:
            return self.step(kind, *tensors)
        if kind not in self.captured:
            self.calls[kind] = self.calls.get(kind, 0) + 1
            with _autotuned():
                if self.calls[kind] <= WARM_UP:
                    return self._beside(kind, tensors)
                self.captured[kind] = _Captured(self.step, kind, tensors)
        return self.captured[kind].replay(tensors)

    def _beside(self, kind: Any, tensors: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """A step on another stream, as a capture needs it."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            losses = self.step(kind, *tensors)
        torch.cuda.current_stream().wait_stream(stream)
        return losses
