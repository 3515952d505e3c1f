"""A generator that makes images from noise, and its discriminator, in training.

Goodfellow et al. 2014 (arXiv 1406.2661). The game is in core/models/adversarial.py, the networks
are in core/models/gan_networks.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from core.data.digits import DigitParams, LabelledImages
from core.data.outputs import Generated
from core.data.tensors import to_device
from core.models.adversarial import GanGame, GanLossParams
from core.models.collapse import NEGLIGIBLE, spread
from core.models.compute import Compute, ComputeParams, Networks, Replayed, call_together
from core.models.gan_networks import constrain_spectrum, init_gan
from core.models.networks import Norm, apply_in_batches
from core.models.optimisers import (
    AlternatingParams,
    ScheduleParams,
    adam,
    is_generator_step,
    restore_schedule,
    schedule,
    update_in_order,
)

EVALUATED = 1000  # images that are scored after each epoch
BATCH = 250  # images made at once where nothing is learned


class GanParams(DigitParams, GanLossParams, AlternatingParams, ScheduleParams, ComputeParams):
    """The game, its optimisers and what steadies it. Defaults are DCGAN's (Radford et al. 2016)."""

    epochs: int = Field(15, ge=1, le=100_000, description="passes over the training data")
    z: int = Field(100, ge=1, le=4096, description="numbers of noise that an image is made from")
    norm_g: Norm = Field("batch", description="normalisation in the generator")
    norm_d: Norm = Field("batch", description="normalisation in the discriminator")
    d_final_norm: bool = Field(
        False, description="batch norm on the discriminator's output; unsound"
    )
    spectral_norm: bool = Field(False, description="spectral normalisation in the discriminator")
    dropout: float = Field(0.0, ge=0, le=0.9, description="dropout in the discriminator")
    init_std: float = Field(0.02, gt=0, le=1, description="deviation of the weights at first")
    batch_size: int = Field(32, ge=2, le=4096, description="images a step")
    g_steps_per_d: int = Field(
        1, ge=1, le=100, description="generator steps per discriminator step"
    )
    ema: float = Field(
        0.0, ge=0, lt=1, description="decay of the averaged generator that is scored; 0: none"
    )

    @model_validator(mode="after")
    def _steps_alternate(self) -> Self:
        if self.d_steps_per_g > 1 and self.g_steps_per_d > 1:
            what = f"--d-steps-per-g {self.d_steps_per_g}"
            raise ValueError(f"{what}: and --g-steps-per-d {self.g_steps_per_d}; set one of them")
        return self

    def unsound(self) -> str:
        """See GanLossParams; and a norm of outputs, which binds each image's to the others'."""
        if self.d_final_norm:
            return "--d-final-norm: an output then depends on the other images of its batch"
        return super().unsound()


class Batch(NamedTuple):
    """Real images N x C x H x W in [-1, 1], noise N x (z + K), and K maps of their classes.

    K is 0 where the networks know no classes; the maps are then N x 0 x H x W.
    """

    images: Tensor
    latents: Tensor
    maps: Tensor


def _beside(images: Tensor, maps: Tensor) -> Tensor:
    """What a discriminator sees: images and, where it knows them, their classes."""
    return torch.cat([images, maps.to(images.dtype)], 1) if maps.shape[1] else images


class GanTraining:
    """A generator G and a discriminator D; `classes` of them know which class they make or see.

    `build(params, channels, classes)` gives G, of N x (z + K) to images, and D, of N x (C + K) x H
    x W to N x 1.
    """

    stateful = ("G", "D", "opt_g", "opt_d")

    def __init__(
        self,
        params: GanParams,
        data: LabelledImages | None,
        device: torch.device,
        build: Callable[[int], tuple[nn.Module, nn.Module]],
        conditional: bool = False,
    ) -> None:
        p = self.params = params
        self.device, self._data = device, data
        self.classes = len(self.data.classes) if conditional else 0
        self.compute = Compute.of(p, device)
        self.random = np.random.default_rng(p.seed)
        networks = build(self.classes)
        for net in networks:
            init_gan(net, p.init_std)
        if p.spectral_norm:
            constrain_spectrum(networks[1])
        self.G, self.D = (self.compute.place(net) for net in networks)
        self.networks: Mapping[str, nn.Module] = {"G": self.G, "D": self.D}
        self.average = deepcopy(self.G).requires_grad_(False) if p.ema else self.G
        self.opt_g = adam(self.G.parameters(), p.lr_g, p.beta1)
        self.opt_d = adam(self.D.parameters(), p.lr_d, p.beta1)
        self.schedules = [schedule(each, p) for each in (self.opt_g, self.opt_d)]
        self.game = GanGame(p)
        self.steps = 0
        self.compiled = self.compute.calls(self.networks)
        self.replayed = Replayed(self._step, device)

    @property
    def data(self) -> LabelledImages:
        """The images to learn from; a model without them only generates."""
        assert self._data
        return self._data

    @cached_property
    def real_spread(self) -> float:
        """The spread of held-out images."""
        return spread(self.data.tensors(self.data.validation[:EVALUATED])[0])

    @property
    def steps_per_epoch(self) -> int:
        """One pass over the training images, in whole batches."""
        return max(1, len(self.data.train) // self.params.batch_size)

    def batches(self) -> Iterator[Batch]:
        """One pass over the shuffled training images; then the learning rates step.

        A last batch that is not full is left out: norms and spreads depend on its size.
        """
        order, n = self.random.permutation(self.data.train), self.params.batch_size
        for i in range(self.steps_per_epoch):
            images, labels = self.data.tensors(order[i * n : (i + 1) * n])
            latents = self._latents(self.random, labels)
            maps = self._known(labels)[:, :, None, None].expand(-1, -1, *images.shape[2:])
            yield Batch(
                *(to_device(each.contiguous(), self.device) for each in (images, latents, maps))
            )
        for each in self.schedules:
            each.step()

    def _latents(self, random: np.random.Generator, labels: Tensor) -> Tensor:
        """Noise from N(0, 1) and, where G knows them, one-hot classes: N x (z + K)."""
        noise = random.standard_normal((len(labels), self.params.z), np.float32)
        return torch.cat([torch.from_numpy(noise), self._known(labels)], 1)

    def _known(self, labels: Tensor) -> Tensor:
        """One-hot classes, N x K; N x 0 where the networks know none."""
        if not self.classes:
            return torch.empty(len(labels), 0)
        return F.one_hot(labels, self.classes).float()

    def step(self, batch: Batch) -> Mapping[str, Tensor]:
        """Update both networks with the same images, or the one whose turn it is.

        Losses: g, d and d_penalty, of the networks that are updated.
        """
        p = self.params
        self.steps += 1
        turns = is_generator_step(self.steps, p.d_steps_per_g), self.steps % p.g_steps_per_d == 0
        return self.replayed(turns, *batch)

    def _step(
        self, turns: tuple[bool, bool], images: Tensor, latents: Tensor, maps: Tensor
    ) -> dict[str, Tensor]:
        generator_too, discriminator_too = turns
        (images,) = self.compute.arrange(images)
        with torch.set_grad_enabled(generator_too), self.compute.autocast():
            fake = (self.compiled if generator_too else self.networks)["G"](latents)

        def update_generator() -> dict[str, Tensor]:
            return self._update_generator(self.compiled, fake, maps)

        def update_discriminator() -> dict[str, Tensor]:
            return self._update_discriminator(self.compiled, images, fake.detach(), maps)

        return update_in_order(
            self.params,
            update_generator if generator_too else None,
            update_discriminator if discriminator_too else None,
        )

    def _update_generator(self, nets: Networks, fake: Tensor, maps: Tensor) -> dict[str, Tensor]:
        self.D.requires_grad_(False)
        with self.compute.autocast():
            loss = self.game.generator(nets["D"](_beside(fake, maps)))
        self.opt_g.zero_grad()
        loss.backward()
        self.opt_g.step()
        if self.average is not self.G:
            self._average()
        return {"g": loss.detach()}

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged generator on; what its norms have counted is G's own."""
        for averaged, weight in zip(self.average.parameters(), self.G.parameters(), strict=True):
            averaged.lerp_(weight.detach(), 1 - self.params.ema)
        for buffer, counted in zip(self.average.buffers(), self.G.buffers(), strict=True):
            buffer.copy_(counted)

    def _update_discriminator(
        self, nets: Networks, images: Tensor, fake: Tensor, maps: Tensor
    ) -> dict[str, Tensor]:
        self.D.requires_grad_(True)
        norm = "batch" if self.params.d_final_norm else self.params.norm_d
        pairs = _beside(images, maps), _beside(fake, maps)
        with self.compute.autocast():
            loss = self.game.discriminator(*call_together(nets["D"], norm, *pairs))

        def critic(image: Tensor) -> Tensor:
            return self.D(_beside(image, maps))  # type: ignore[no-any-return]

        return self.game.minimise({"d": loss}, self.opt_d, (critic, images, fake))

    def outputs(self) -> Generated:
        """1,000 images from the same noise in every trial; of each class as many, where known."""
        return self._generated(EVALUATED, 0)

    def generate(self, n: int, seed: int) -> Tensor:
        """N x C x H x W images in [-1, 1] by the averaged generator, where there is one."""
        return self._generated(n, seed).output

    def _generated(self, n: int, seed: int) -> Generated:
        labels = torch.arange(n) % max(1, self.classes)
        latents = self._latents(np.random.default_rng(seed), labels)
        images = apply_in_batches(self.average, latents, self.device, self.params.precision, BATCH)
        return Generated(images, labels if self.classes else None)

    def collapse_reason(self, outputs: Generated) -> str:
        """Whether all images are nearly the same, by their spread over that of real ones."""
        share = spread(outputs.output) / self.real_spread if self.real_spread else 1.0
        if share >= NEGLIGIBLE:
            return ""
        return f"nearly the same image from all noise, {share:.1%} of the real images' spread"

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimisers, schedules, the step count and the random state."""
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
