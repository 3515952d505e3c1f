"""Divergence: a loss, weight, output or score that is no longer finite, raised where it happens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from core.task import Evaluator, NotFinite, Outputs, Score

EVERY = 50  # steps on a GPU between two looks at the losses


class Diverged(Exception):
    """Training has left the numbers; the message says where."""


class LossSums:
    """An epoch's losses, summed on their device; Diverged where one, or a weight, is not finite.

    Reading a GPU makes the next step wait, so losses are read there once in `every` steps and at
    the end of the epoch: a sum is not finite where a term is not. Elsewhere they are read after
    each step. Weights, which are many, are read once in EVERY steps and at the end.
    """

    def __init__(self, networks: Mapping[str, nn.Module], epoch: int, every: int = 0) -> None:
        self.networks = networks
        self.epoch = epoch
        weight = next((p for net in networks.values() for p in net.parameters()), None)
        self.every = every or (EVERY if weight is not None and weight.is_cuda else 1)
        self.steps = self.read = self.weighed = 0
        self.sums, self.counts = dict[str, float](), dict[str, int]()
        self._unread = dict[str, Tensor]()

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Add the losses of one step, scalars."""
        self.steps += 1
        for name, loss in losses.items():
            self._unread[name] = self._unread[name] + loss if name in self._unread else loss.float()
            self.counts[name] = self.counts.get(name, 0) + 1
        if self.steps % self.every == 0:
            self._read(weights=self.steps - self.weighed >= EVERY)

    def means(self) -> dict[str, float]:
        """Each loss's mean over the steps in which it was computed."""
        if self.weighed < self.steps:
            self._read(weights=True)
        return {name: total / self.counts[name] for name, total in self.sums.items()}

    def _read(self, weights: bool) -> None:
        """Losses and weights come from the device at once."""
        values = list(self._unread.values())
        if weights and (all_of := [p for n in self.networks.values() for p in n.parameters()]):
            sums = torch.stack([p.detach().sum().float() for p in all_of])
            values.append(sums.sum().to(values[0].device if values else "cpu"))
        read = torch.stack(values).tolist() if values else []
        self._add(dict(zip(self._unread, read, strict=False)))
        self.read, self._unread = self.steps, {}
        if weights:
            broken = not math.isfinite(read[-1]) if read else False
            if broken and (weight := next(_broken(self.networks), "")):
                where = self._steps(self.weighed)
                raise Diverged(f"weight {weight} is not finite after {where}")
            self.weighed = self.steps

    def _add(self, losses: Mapping[str, float]) -> None:
        for name, value in losses.items():
            if not math.isfinite(value):
                broken = sorted({weight.split(".")[0] for weight in _broken(self.networks)})
                beside = f"; so are weights of {', '.join(broken)}" if broken else ""
                raise Diverged(f"{name} is {value} at {self._steps(self.read)}{beside}")
            self.sums[name] = self.sums.get(name, 0.0) + value

    def _steps(self, after: int) -> str:
        """The steps after one of them, in words."""
        first = after + 1
        words = f"step {first}" if first == self.steps else f"steps {first} to {self.steps}"
        return f"{words} of epoch {self.epoch}"


def _broken(networks: Mapping[str, nn.Module]) -> Iterator[str]:
    """The weights that are not finite, as in `G.down.0.weight`."""
    for network, net in networks.items():
        for name, weight in net.named_parameters():
            if not weight.isfinite().all():
                yield f"{network}.{name}"


def finite_score(evaluator: Evaluator, outputs: Outputs, where: str) -> Score:
    """The score; Diverged where the outputs, the score or a part of it are not finite."""
    if not outputs.output.isfinite().all():
        raise Diverged(f"outputs are not finite {where}")
    try:
        score = evaluator(outputs)
    except NotFinite as error:
        raise Diverged(f"{error}, {where}") from None
    for name, value in {**score.parts, **score.violations}.items():
        if not math.isfinite(value):
            raise Diverged(f"the score's part {name} is {value} {where}")
    return score
