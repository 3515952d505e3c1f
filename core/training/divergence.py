"""Divergence: a loss, weight, output or score that is no longer finite, raised where it happens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from core.task import Evaluator, NotFinite, Outputs, Score


class Diverged(Exception):
    """Training has left the numbers; the message says where."""


def finite_losses(
    losses: Mapping[str, Tensor], networks: Mapping[str, nn.Module], where: str
) -> dict[str, float]:
    """The losses of a step as numbers; Diverged where one of them, or a weight, is not finite.

    Losses and weights are read from the device at once: a sum is not finite where a term is not.
    """
    values = [loss.float() for loss in losses.values()]
    sums = [p.detach().sum().float() for net in networks.values() for p in net.parameters()]
    if sums:
        values.append(torch.stack(sums).sum().to(values[0].device if values else "cpu"))
    read = torch.stack(values).tolist()
    named = dict(zip(losses, read, strict=False))
    for name, value in named.items():
        if not math.isfinite(value):
            broken = sorted({weight.split(".")[0] for weight in _broken(networks)})
            beside = f"; so are weights of {', '.join(broken)}" if broken else ""
            raise Diverged(f"{name} is {value} at {where}{beside}")
    if not math.isfinite(read[-1]) and (weight := next(_broken(networks), "")):
        raise Diverged(f"weight {weight} is not finite after {where}")
    return named


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
