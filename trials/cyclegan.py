"""CycleGAN: unpaired image-to-image translation, as in Zhu et al. 2017 (arXiv 1703.10593).

python -m trials.cyclegan --help        every parameter
python -m trials.cyclegan --size 64     one trial with the published defaults
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from core.data.images import Preprocess, UnpairedImages, load_unpaired
from core.data.pool import HistoryPool
from core.data.tensors import random_crops, to_tensor
from core.device import autocast
from core.losses import l1, lsgan_discriminator, lsgan_generator
from core.nets.layers import Norm
from core.nets.patch_discriminator import PatchDiscriminator
from core.nets.resnet_generator import ResnetGenerator
from core.run import main
from core.task import Params, Samples, Task
from evaluators.painting import OBJECTIVE, JudgeWeights, PaintingEvaluator

JUDGED_INPUTS = 128


class CycleGANParams(Params):
    """Every default is the paper's (its section 4 and appendix 7)."""

    data: str = Field(
        "sample", description="data folder; 'sample' is the embedded one, made on first use"
    )
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
    preprocess: Preprocess = Field(
        "resize", description="scale both sides or the width to size x 286/256, or not; then crop"
    )
    flip: bool = Field(True, description="mirror half of the training images")
    size: int = Field(256, ge=32, le=2048, description="side of the square images, a multiple of 4")
    decay_from: float = Field(
        0.5, ge=0, le=1, description="share of the epochs after which the rates fall linearly to 0"
    )
    source: Literal["A", "B"] = Field(
        "B", description="the domain to translate (photographs) into the other one (paintings)"
    )
    judge_weights: JudgeWeights = Field(
        "scratch", description="the judge's start; imagenet needs torchvision's file to be there"
    )

    @model_validator(mode="after")
    def _whole_pixels(self) -> Self:
        if self.size % 4:
            raise ValueError(f"--size {self.size}: must be a multiple of 4 (two stride-2 layers)")
        return self


class Batch(NamedTuple):
    """Real images N x 3 x H x W of the source domain x and of the target domain y."""

    x: Tensor
    y: Tensor


class CycleGAN:
    """Two generators, two discriminators: G translates x to y, F translates y back to x."""

    def __init__(self, params: CycleGANParams, data: UnpairedImages, device: torch.device) -> None:
        p = self.params = params
        self.device = device
        self.train_x = data.domain(p.source).train
        self.train_y = data.domain("A" if p.source == "B" else "B").train
        self.inputs = to_tensor(data.domain(p.source).validation[:JUDGED_INPUTS])
        self.random = np.random.default_rng(p.seed)
        self.G, self.F = (
            ResnetGenerator(p.width, p.blocks, p.norm, p.dropout).to(device) for _ in "GF"
        )
        self.D_x, self.D_y = (PatchDiscriminator(p.width, p.norm).to(device) for _ in "xy")
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

    def batches(self) -> Iterator[Batch]:
        """One pass over the larger domain, both shuffled; then the learning rates step."""
        size, n = self.params.batch_size, max(len(self.train_x), len(self.train_y))
        order_x, order_y = (self._order(len(d), n) for d in (self.train_x, self.train_y))
        for i in range(0, n, size):
            yield Batch(
                self._crops([self.train_x[k] for k in order_x[i : i + size]]),
                self._crops([self.train_y[k] for k in order_y[i : i + size]]),
            )
        for schedule in self.schedules:
            schedule.step()

    def _order(self, count: int, length: int) -> list[int]:
        """`length` indices below `count`: one shuffle after the other."""
        shuffles = [self.random.permutation(count) for _ in range(-(-length // count))]
        return [int(i) for i in np.concatenate(shuffles)[:length]]

    def _crops(self, images: list[Any]) -> Tensor:
        crops = random_crops(images, self.params.size, self.params.flip, self.random)
        return crops.to(self.device)

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

    def samples(self) -> Samples:
        """The first 128 validation images of the source domain (or all), translated by G."""
        return Samples(self.inputs, self.translate(self.inputs))

    @torch.no_grad()
    def translate(self, images: Tensor) -> Tensor:
        """N x 3 x H x W images of the source domain, translated by G in batches of 16."""
        self.G.eval()
        with autocast(self.device, self.params.precision):
            outputs = [self.G(x.to(self.device)).float().cpu() for x in torch.split(images, 16)]
        self.G.train()
        return torch.cat(outputs)

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


def _judge(params: CycleGANParams) -> PaintingEvaluator:
    return PaintingEvaluator(
        "A" if params.source == "B" else "B", params.judge_weights, params.device
    )


TASK = Task(
    name="cyclegan",
    summary="photographs to paintings without pairs (Zhu et al. 2017)",
    params=CycleGANParams,
    load=lambda p: load_unpaired(p.data, p.size, p.preprocess),
    build=CycleGAN,
    evaluator=_judge,
    objective=OBJECTIVE,
)

if __name__ == "__main__":
    main(TASK)
