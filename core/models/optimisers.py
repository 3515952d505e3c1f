"""What adversarial models share of their optimisation: Adam, its schedules, whose turn it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from core.task import Params

Update = Callable[[], dict[str, Tensor]]


class AdamParams(Params):
    """Adam's parameters, as in Radford et al. 2016."""

    lr_g: float = Field(2e-4, gt=0, le=1, description="learning rate of the generator (Adam)")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's first-moment decay; beta2 is 0.999")


class AlternatingParams(AdamParams):
    """How fast, how often and in which order generator and discriminator are updated."""

    d_steps_per_g: int = Field(
        1, ge=1, le=100, description="discriminator steps per generator step, each on a new batch"
    )
    update_first: Literal["generator", "discriminator"] = Field(
        "generator", description="which is updated first; both use the same generated images"
    )
    lr_d: float = Field(2e-4, gt=0, le=1, description="learning rate of the discriminator (Adam)")


class Adam(torch.optim.Adam):
    """Adam whose state goes from any device to any other, whatever its implementation."""

    OWN = ("lr", "initial_lr", "fused", "foreach", "capturable")

    def state_dict(self) -> dict[str, Any]:
        """PyTorch's, with learning rates as numbers."""
        state = super().state_dict()
        for group in state["param_groups"]:
            group.update({key: float(group[key]) for key in ("lr", "initial_lr")})
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`, on this optimiser's device and with its implementation."""
        own = [{key: group[key] for key in self.OWN} for group in self.param_groups]
        super().load_state_dict(state)
        for group, before in zip(self.param_groups, own, strict=True):
            lr = before["lr"]
            before["lr"] = lr.fill_(float(group["lr"])) if isinstance(lr, Tensor) else group["lr"]
            group.update(before)


def adam(weights: Iterable[nn.Parameter], lr: float, beta1: float) -> Adam:
    """Adam with beta2 0.999 (Kingma and Ba 2015), each update one fused loop over the weights.

    On CUDA nothing of it waits for the device or is a constant of a captured graph.
    """
    weights = list(weights)
    cuda = weights[0].is_cuda
    fused = cuda or weights[0].device.type == "cpu"
    rate = torch.tensor(lr, device=weights[0].device) if cuda else lr
    optimiser = Adam(weights, rate, (beta1, 0.999), fused=fused, capturable=cuda)
    for group in optimiser.param_groups:
        group["initial_lr"] = lr
    return optimiser


class ScheduleParams(Params):
    """How learning rates fall; schedules step once an epoch."""

    lr_schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="how the learning rates fall to 0; cosine: from the first epoch on"
    )
    decay_from: float = Field(
        0.5, ge=0, le=1, description="share of the epochs after which a linear schedule falls"
    )

    @property
    def constant_share(self) -> float:
        """The share of the epochs in which learning rates are constant."""
        return {"constant": 1.0, "linear": self.decay_from, "cosine": 0.0}[self.lr_schedule]


def schedule(optimiser: torch.optim.Optimizer, params: ScheduleParams) -> LambdaLR:
    """The schedule of an optimiser over a trial's epochs."""
    if params.lr_schedule == "cosine":
        return cosine_decay(optimiser, params.epochs)
    return linear_decay(optimiser, params.epochs, params.constant_share)


def cosine_decay(optimiser: torch.optim.Optimizer, epochs: int) -> LambdaLR:
    """From the rate to 0 along half a cosine (Loshchilov and Hutter 2017)."""
    return LambdaLR(optimiser, lambda epoch: (1 + math.cos(math.pi * min(1, epoch / epochs))) / 2)


def linear_decay(optimiser: torch.optim.Optimizer, epochs: int, decay_from: float) -> LambdaLR:
    """Constant for a share of the epochs, then linear towards 0 (Zhu et al. 2017)."""
    decaying = epochs - decay_from * epochs + 1e-9
    return LambdaLR(optimiser, lambda epoch: min(1.0, (epochs - epoch) / decaying))


def restore_schedule(schedule: LambdaLR, state: dict[str, Any]) -> None:
    """Continue a schedule, at the rates that it has now, should it have become a longer one."""
    schedule.load_state_dict(state)
    groups = schedule.optimizer.param_groups
    for group, rate, base in zip(groups, schedule.lr_lambdas, schedule.base_lrs, strict=True):
        lr = float(base) * rate(schedule.last_epoch)
        group["lr"] = group["lr"].fill_(lr) if isinstance(group["lr"], Tensor) else lr


def is_generator_step(step: int, d_steps_per_g: int) -> bool:
    """Whether a step, counted from 1, also updates the generator.

    The generator is updated with the last of every `d_steps_per_g` discriminator steps, as in
    algorithm 1 of Arjovsky et al. 2017 (arXiv 1701.07875).
    """
    return step % d_steps_per_g == 0


def update_in_order(
    params: AlternatingParams, generator: Update | None, discriminator: Update | None
) -> dict[str, Tensor]:
    """Run the updates of one step in the order of `update_first`; the losses of both.

    One is None on a step of the other alone.
    """
    updates = [generator, discriminator]
    if params.update_first == "discriminator":
        updates.reverse()
    losses: dict[str, Tensor] = {}
    for update in updates:
        losses |= update() if update else {}
    return losses
