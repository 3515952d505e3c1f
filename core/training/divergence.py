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

    Reading a GPU makes the next step wait, so losses and weights are read once in `every` steps
    and at the end of the epoch: a sum is not finite where a term is not.
    """

    def __init__(self, networks: Mapping[str, nn.Module], epoch: int, every: int = 0) -> None:
        self.networks = networks
        self.epoch = epoch
        weight = next((p for net in networks.values() for p in net.parameters()), None)
        self.every = every or (EVERY if weight is not None and weight.is_cuda else 1)
        self.steps = self.read = 0
        self.sums, self.counts = dict[str, float](), dict[str, int]()
        self._unread = dict[str, Tensor]()

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Add the losses of one step, scalars."""
        self.steps += 1
        for name, loss in losses.items():
            self._unread[name] = self._unread[name] + loss if name in self._unread else loss.float()
            self.counts[name] = self.counts.get(name, 0) + 1
        if self.steps % self.every == 0:
            self._read()

    def means(self) -> dict[str, float]:
        """Each loss's mean over the steps in which it was computed."""
        if self.read < self.steps:
            self._read()
        return {name: total / self.counts[name] for name, total in self.sums.items()}

    def _read(self) -> None:
        values = list(self._unread.values())
        sums = [p.detach().sum().float() for n in self.networks.values() for p in n.parameters()]
        if sums:
            values.append(torch.stack(sums).sum().to(values[0].device if values else "cpu"))
        read = torch.stack(values).tolist()
        first, self.read = self.read + 1, self.steps
        where = f"step {first}" if first == self.steps else f"steps {first} to {self.steps}"
        self._check(dict(zip(self._unread, read, strict=False)), read[-1], where)
        self._unread = {}

    def _check(self, losses: Mapping[str, float], weights: float, where: str) -> None:
        for name, value in losses.items():
            if not math.isfinite(value):
                broken = sorted({weight.split(".")[0] for weight in _broken(self.networks)})
                beside = f"; so are weights of {', '.join(broken)}" if broken else ""
                raise Diverged(f"{name} is {value} at {where} of epoch {self.epoch}{beside}")
            self.sums[name] = self.sums.get(name, 0.0) + value
        if not math.isfinite(weights) and (weight := next(_broken(self.networks), "")):
            raise Diverged(f"weight {weight} is not finite after {where} of epoch {self.epoch}")


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
