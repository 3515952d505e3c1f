"""CycleGAN in training (Zhu et al. 2017, arXiv 1703.10593), for images of any kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from core.data.outputs import ImagePairs
from core.models.adversarial import GanGame, GanLossParams
from core.models.collapse import collapse_reason
from core.models.compute import Compute, ComputeParams, Networks, Replayed, call_together
from core.models.discriminators import DiscriminatorParams, discriminators
from core.models.image_pool import ImagePool
from core.models.losses import GanLoss, l1
from core.models.networks import Norm, ResnetGenerator, Upsample, apply_in_batches
from core.models.optimisers import (
    AlternatingParams,
    ScheduleParams,
    adam,
    is_generator_step,
    restore_schedule,
    schedule,
    update_in_order,
)
from core.models.warm_up import learn_to_copy


class CycleParams(
    AlternatingParams, ScheduleParams, GanLossParams, DiscriminatorParams, ComputeParams
):
    """The losses, networks and optimisers; every default is the paper's."""

    gan_loss: GanLoss = Field("lsgan", description="the adversarial loss")
    lambda_gan: float = Field(1.0, ge=0, le=1000, description="weight of the adversarial losses")
    lambda_cycle: float = Field(10.0, ge=0, le=1000, description="weight of the cycle losses")
    lambda_identity: float = Field(
        0.5, ge=0, le=100, description="weight of the identity losses, relative to lambda_cycle"
    )
    dropout: float = Field(0.0, ge=0, le=0.9, description="dropout in the residual blocks")
    norm: Norm = Field("instance", description="normalisation in all networks")
    width: int = Field(64, ge=4, le=512, description="channels of each network's first layer")
    blocks: int = Field(9, ge=1, le=32, description="residual blocks of a generator (6 or 9)")
    batch_size: int = Field(1, ge=1, le=1024, description="images of each domain a step")
    upsample: Upsample = Field(
        "transposed", description="the generators' way up; resize leaves no grid in smooth parts"
    )
    skip: Literal["none", "add"] = Field(
        "none",
        description="add: a generator paints details over its blurred input, features skip ahead",
    )
    grain: float = Field(
        0.0, ge=0, le=1, description="deviation of the noise on source images, in shares of 0..255"
    )
    ema: float = Field(
        0.0, ge=0, lt=1, description="decay of the averaged generators that translate; 0: none"
    )
    warm_up: int = Field(
        0,
        ge=0,
        le=100_000,
        description="steps in which the generators first learn to copy their input",
    )
    pool_size: int = Field(
        50, ge=0, le=10_000, description="past translations kept for each discriminator; 0: none"
    )
    lr_schedule: Literal["constant", "linear", "cosine"] = Field(
        "linear", description="how the learning rates fall to 0; linear: from --decay-from on"
    )


class Batch(NamedTuple):
    """Real images N x C x H x W in [-1, 1] of the source domain x and of the target domain y.

    `seen`: x as G sees it, with grain where there is any.
    """

    x: Tensor
    y: Tensor
    seen: Tensor | None = None


class Translations(NamedTuple):
    """F(y), G(x) and, where there is an identity loss, F(x) and G(y): N x C x H x W."""

    fake_x: Tensor
    fake_y: Tensor
    same_x: Tensor | None = None
    same_y: Tensor | None = None


class CycleTraining:
    """Two generators, two discriminators: G translates x to y, F translates y back to x.

    A trial's subclass adds `draw_batches()` and `outputs()`.
    """

    stateful = ("G", "F", "D_x", "D_y", "opt_g", "opt_d", "pool_x", "pool_y")

    def __init__(self, params: CycleParams, channels: int, device: torch.device) -> None:
        p = self.params = params
        self.device = device
        self.random = np.random.default_rng(p.seed)
        compute = self.compute = Compute.of(p, device)
        shape = p.width, p.blocks, p.norm, p.dropout, channels, p.upsample, p.skip
        self.G, self.F = (compute.place(ResnetGenerator(*shape)) for _ in "GF")
        self.D_x, self.D_y = discriminators(p, p.width, p.norm, channels, compute)
        self.average = deepcopy(self.G).requires_grad_(False) if p.ema else self.G
        self.opt_g = adam(chain(self.G.parameters(), self.F.parameters()), p.lr_g, p.beta1)
        self.opt_d = adam(chain(self.D_x.parameters(), self.D_y.parameters()), p.lr_d, p.beta1)
        optimisers = self.opt_g, self.opt_d
        self.schedules = [schedule(o, p) for o in optimisers]
        self.pool_x, self.pool_y = ImagePool(p.pool_size), ImagePool(p.pool_size)
        self.game = GanGame(p)
        self.steps = 0
        self.compiled = compute.calls(self.networks)
        self.replayed = Replayed(self._step, device)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Both generators and both discriminators."""
        return {"G": self.G, "F": self.F, "D_x": self.D_x, "D_y": self.D_y}

    def warm_up(self) -> None:
        """Before the first epoch; all trials of one seed begin with the same generators."""
        learn_to_copy(self.G, self.F, self.draw_batches, self.params.warm_up, self.compute)
        self.average.load_state_dict(self.G.state_dict())

    def draw_batches(self) -> Iterator[Batch]:
        """Yield the batches of one pass over the training data."""
        raise NotImplementedError

    def shuffled(self, count: int, length: int) -> list[int]:
        """`length` indices below `count`: one shuffle after the other."""
        shuffles = [self.random.permutation(count) for _ in range(-(-length // count))]
        return [int(i) for i in np.concatenate(shuffles)[:length]]

    def batches(self) -> Iterator[Batch]:
        """One pass over the training data; then the learning rates step."""
        for x, y, _ in self.draw_batches():
            yield Batch(x, y, self.grained(x))
        for each in self.schedules:
            each.step()

    def step(self, batch: Batch) -> Mapping[str, Tensor]:
        """Update the discriminators, and every `d_steps_per_g`-th time the generators too.

        Both updates use the same translations. Losses: g_gan, g_cycle, g_identity, d_x, d_y.
        """
        self.steps += 1
        both = is_generator_step(self.steps, self.params.d_steps_per_g)
        drawn = [pool.draw(len(batch.x), self.random) for pool in (self.pool_x, self.pool_y)]
        full = len(batch.x) == self.params.batch_size
        seen = batch.x if batch.seen is None else batch.seen
        return self.replayed((both, full), batch.x, batch.y, seen, *drawn, often=full)

    def _step(
        self, kind: tuple[bool, bool], x: Tensor, y: Tensor, seen: Tensor, *drawn: Tensor
    ) -> dict[str, Tensor]:
        """A step for which all chance is drawn; with a full batch by the compiled networks."""
        generators_too, full = kind
        batch = Batch(*self.compute.arrange(x, y, seen))
        nets = self.compiled if full else self.networks
        images = self._translations(batch, nets, generators_too)
        return update_in_order(
            self.params,
            (lambda: self._update_generators(batch, nets, images)) if generators_too else None,
            lambda: self._update_discriminators(batch, nets, images, *drawn),
        )

    def _translations(self, batch: Batch, nets: Networks, train: bool) -> Translations:
        """Both translations and, where they are trained, both identities, in one call a network."""
        norm, x, y = self.params.norm, batch.x, batch.y
        seen = x if batch.seen is None else batch.seen
        with self.compute.autocast():
            if not train:
                with torch.no_grad():
                    return Translations(self.F(y), self.G(seen))
            if self.params.lambda_identity == 0:
                return Translations(nets["F"](y), nets["G"](seen))
            fake_y, same_y = call_together(nets["G"], norm, seen, y)
            fake_x, same_x = call_together(nets["F"], norm, y, x)
            return Translations(fake_x, fake_y, same_x, same_y)

    def _update_generators(
        self, batch: Batch, nets: Networks, images: Translations
    ) -> dict[str, Tensor]:
        """Minimise lambda_gan GAN + lambda_cycle (cycle + lambda_identity identity), section 3."""
        p, (fake_x, fake_y, same_x, same_y) = self.params, images
        self._train_discriminators(False)
        with self.compute.autocast():
            logits = nets["D_y"](fake_y), nets["D_x"](fake_x)
            gan = self.game.generator(logits[0]) + self.game.generator(logits[1])
            cycle = l1(nets["F"](fake_y), batch.x) + l1(nets["G"](fake_x), batch.y)
            losses = {"g_gan": gan, "g_cycle": cycle}
            total = p.lambda_gan * gan + p.lambda_cycle * cycle
            if same_x is not None and same_y is not None:
                identity = l1(same_y, batch.y) + l1(same_x, batch.x)
                losses["g_identity"] = identity
                total = total + p.lambda_cycle * p.lambda_identity * identity
        self.opt_g.zero_grad()
        total.backward()
        self.opt_g.step()
        if self.average is not self.G:
            pairs = zip(self.average.parameters(), self.G.parameters(), strict=True)
            for averaged, weight in pairs:
                averaged.lerp_(weight.detach(), 1 - p.ema)
        return {name: loss.detach() for name, loss in losses.items()}

    def _update_discriminators(
        self, batch: Batch, nets: Networks, images: Translations, drawn_x: Tensor, drawn_y: Tensor
    ) -> dict[str, Tensor]:
        """Minimise the adversarial loss on real images and on translations from the pools."""
        self._train_discriminators(True)
        norm = self.params.norm
        past = (
            self.pool_x.exchange(images.fake_x.detach(), drawn_x),
            self.pool_y.exchange(images.fake_y.detach(), drawn_y),
        )
        past_x, past_y = self.compute.arrange(*past)
        with self.compute.autocast():
            d_x = self.game.discriminator(*call_together(nets["D_x"], norm, batch.x, past_x))
            d_y = self.game.discriminator(*call_together(nets["D_y"], norm, batch.y, past_y))
        sides = (self.D_x, batch.x, past_x), (self.D_y, batch.y, past_y)
        return self.game.minimise({"d_x": d_x, "d_y": d_y}, self.opt_d, *sides)

    def _train_discriminators(self, on: bool) -> None:
        self.D_x.requires_grad_(on)
        self.D_y.requires_grad_(on)

    def grained(self, images: Tensor, fixed: bool = False) -> Tensor:
        """Source images with grain, from which G makes texture where they are smooth."""
        if not self.params.grain:
            return images
        generator = torch.Generator(images.device).manual_seed(0) if fixed else None
        noise = torch.empty_like(images).normal_(0, 2 * self.params.grain, generator=generator)
        return (images + noise).clamp_(-1, 1)

    def translate(self, images: Tensor) -> Tensor:
        """N x C x H x W images of domain x in [-1, 1], translated by G; their grain is fixed."""
        seen = self.grained(images, fixed=True)
        return apply_in_batches(self.average, seen, self.device, self.params.precision)

    def collapse_reason(self, outputs: ImagePairs) -> str:
        """See `core.models.collapse`."""
        return collapse_reason(outputs)

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimisers, schedules, pools, the step count and the data's random state."""
        return {
            **{name: getattr(self, name).state_dict() for name in self.stateful},
            **({"average": self.average.state_dict()} if self.params.ema else {}),
            "schedules": [each.state_dict() for each in self.schedules],
            "steps": self.steps,
            "random": self.random.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        for name in self.stateful:
            getattr(self, name).load_state_dict(state[name])
        if self.params.ema:
            self.average.load_state_dict(state["average"])
        for each, saved in zip(self.schedules, state["schedules"], strict=True):
            restore_schedule(each, saved)
        self.steps = state["steps"]
        self.random.bit_generator.state = state["random"]
