"""CycleGAN in training (Zhu et al. 2017, arXiv 1703.10593), whatever its images are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from core.data.outputs import ImagePairs
from core.device import autocast
from core.models.collapse import collapse_reason
from core.models.image_pool import HistoryPool
from core.models.layers import Norm
from core.models.losses import l1, lsgan_discriminator, lsgan_generator
from core.models.patch_discriminator import PatchDiscriminator
from core.models.resnet_generator import ResnetGenerator
from core.task import Params


class CycleParams(Params):
    """The losses, networks and optimisers; every default is the paper's."""

    lambda_gan: float = Field(1.0, ge=0, le=1000, description="weight of the adversarial losses")
    lambda_cycle: float = Field(10.0, ge=0, le=1000, description="weight of the cycle losses")
    lambda_identity: float = Field(
        0.5, ge=0, le=100, description="weight of the identity losses, relative to lambda_cycle"
    )
    lr_g: float = Field(2e-4, gt=0, le=1, description="learning rate of the generators (Adam)")
    lr_d: float = Field(2e-4, gt=0, le=1, description="learning rate of the discriminators (Adam)")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's first-moment decay; beta2 is 0.999")
    dropout: float = Field(0.0, ge=0, le=0.9, description="dropout in the residual blocks")
    norm: Norm = Field("instance", description="normalisation in all networks")
    width: int = Field(64, ge=4, le=512, description="channels of each network's first layer")
    blocks: int = Field(9, ge=1, le=32, description="residual blocks of a generator (6 or 9)")
    batch_size: int = Field(1, ge=1, le=1024, description="images of each domain a step")
    pool_size: int = Field(
        50, ge=0, le=10_000, description="past translations kept for each discriminator; 0: none"
    )
    d_steps_per_g: int = Field(
        1, ge=1, le=100, description="discriminator steps to a generator step, each on a new batch"
    )
    update_first: Literal["generator", "discriminator"] = Field(
        "generator", description="which is updated first; both use the same translations"
    )
    decay_from: float = Field(
        0.5, ge=0, le=1, description="share of the epochs after which the rates fall linearly to 0"
    )


class Batch(NamedTuple):
    """Real images N x C x H x W of the source domain x and of the target domain y."""

    x: Tensor
    y: Tensor


class CycleTraining:
    """Two generators, two discriminators: G translates x to y, F translates y back to x.

    A trial adds `samples()` and `draw()`.
    """

    def __init__(self, params: CycleParams, channels: int, device: torch.device) -> None:
        p = self.params = params
        self.device = device
        self.random = np.random.default_rng(p.seed)
        nets = (p.width, p.blocks, p.norm, p.dropout, channels)
        self.G, self.F = (ResnetGenerator(*nets).to(device) for _ in "GF")
        self.D_x, self.D_y = (
            PatchDiscriminator(p.width, p.norm, channels).to(device) for _ in "xy"
        )
        betas = (p.beta1, 0.999)
        weights = chain(self.G.parameters(), self.F.parameters())
        self.opt_g = torch.optim.Adam(weights, p.lr_g, betas)
        weights = chain(self.D_x.parameters(), self.D_y.parameters())
        self.opt_d = torch.optim.Adam(weights, p.lr_d, betas)
        self.schedules = [
            torch.optim.lr_scheduler.LambdaLR(opt, self._rate) for opt in (self.opt_g, self.opt_d)
        ]
        self.pool_x, self.pool_y = HistoryPool(p.pool_size), HistoryPool(p.pool_size)
        self.steps = 0

    def _rate(self, epoch: int) -> float:
        """The factor on both learning rates in an epoch from 0: constant, then linear towards 0."""
        constant = self.params.decay_from * self.params.epochs
        return min(1.0, (self.params.epochs - epoch) / (self.params.epochs - constant + 1e-9))

    def draw(self) -> Iterator[Batch]:
        """Yield the batches of one pass over the data."""
        raise NotImplementedError

    def batches(self) -> Iterator[Batch]:
        """One pass over the data; then the learning rates step."""
        yield from self.draw()
        for schedule in self.schedules:
            schedule.step()

    def step(self, batch: Batch) -> Mapping[str, Tensor]:
        """One discriminator step, and a generator step every `d_steps_per_g`-th time."""
        generator_too = self.steps % self.params.d_steps_per_g == 0
        self.steps += 1
        with torch.set_grad_enabled(generator_too), autocast(self.device, self.params.precision):
            fake_y, fake_x = self.G(batch.x), self.F(batch.y)
        losses: dict[str, Tensor] = {}
        if self.params.update_first == "discriminator":
            losses |= self._update_discriminators(batch, fake_x, fake_y)
        if generator_too:
            losses |= self._update_generators(batch, fake_x, fake_y)
        if self.params.update_first == "generator":
            losses |= self._update_discriminators(batch, fake_x, fake_y)
        return losses

    def _update_generators(self, batch: Batch, fake_x: Tensor, fake_y: Tensor) -> dict[str, Tensor]:
        p = self.params
        self._train_discriminators(False)
        with autocast(self.device, p.precision):
            gan = lsgan_generator(self.D_y(fake_y)) + lsgan_generator(self.D_x(fake_x))
            cycle = l1(self.F(fake_y), batch.x) + l1(self.G(fake_x), batch.y)
            losses = {"g_gan": gan, "g_cycle": cycle}
            total = p.lambda_gan * gan + p.lambda_cycle * cycle
            if p.lambda_identity > 0:
                identity = l1(self.G(batch.y), batch.y) + l1(self.F(batch.x), batch.x)
                losses["g_identity"] = identity
                total = total + p.lambda_cycle * p.lambda_identity * identity
        self.opt_g.zero_grad()
        total.backward()
        self.opt_g.step()
        return {name: loss.detach() for name, loss in losses.items()}

    def _update_discriminators(
        self, batch: Batch, fake_x: Tensor, fake_y: Tensor
    ) -> dict[str, Tensor]:
        self._train_discriminators(True)
        past_x = self.pool_x.exchange(fake_x.detach(), self.random)
        past_y = self.pool_y.exchange(fake_y.detach(), self.random)
        with autocast(self.device, self.params.precision):
            d_x = lsgan_discriminator(self.D_x(batch.x), self.D_x(past_x))
            d_y = lsgan_discriminator(self.D_y(batch.y), self.D_y(past_y))
        self.opt_d.zero_grad()
        (d_x + d_y).backward()
        self.opt_d.step()
        return {"d_x": d_x.detach(), "d_y": d_y.detach()}

    def _train_discriminators(self, on: bool) -> None:
        self.D_x.requires_grad_(on)
        self.D_y.requires_grad_(on)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Both generators and both discriminators."""
        return {"G": self.G, "F": self.F, "D_x": self.D_x, "D_y": self.D_y}

    @torch.no_grad()
    def translate(self, images: Tensor) -> Tensor:
        """N x C x H x W images of domain x, translated by G in batches of 16."""
        self.G.eval()
        with autocast(self.device, self.params.precision):
            outputs = [self.G(x.to(self.device)).float().cpu() for x in torch.split(images, 16)]
        self.G.train()
        return torch.cat(outputs)

    def collapse_reason(self, outputs: ImagePairs) -> str:
        """See `core.models.collapse`."""
        return collapse_reason(outputs)

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimisers, schedules, pools, counters and the data's random state."""
        parts = {name: getattr(self, name).state_dict() for name in self._stateful()}
        schedules = [schedule.state_dict() for schedule in self.schedules]
        counters = {"steps": self.steps, "random": self.random.bit_generator.state}
        return {**parts, "schedules": schedules, **counters}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        for name in self._stateful():
            getattr(self, name).load_state_dict(state[name])
        for schedule, saved in zip(self.schedules, state["schedules"], strict=True):
            schedule.load_state_dict(saved)
        self.steps = state["steps"]
        self.random.bit_generator.state = state["random"]

    @staticmethod
    def _stateful() -> tuple[str, ...]:
        return ("G", "F", "D_x", "D_y", "opt_g", "opt_d", "pool_x", "pool_y")
