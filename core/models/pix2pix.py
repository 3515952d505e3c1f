"""Paired image translation in training: a pixel loss, with or without a discriminator.

The autoencoder, its GAN and pix2pix (Isola et al. 2017, arXiv 1611.07004) are this model; they
differ in the skip connections and in whether there is a discriminator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from core.data.glyphs import GlyphParams, Glyphs
from core.data.outputs import ImagePairs
from core.data.tensors import to_device
from core.models.adversarial import GanGame, GanLossParams
from core.models.collapse import collapse_reason
from core.models.compute import Compute, ComputeParams, Networks, Replayed, call_together
from core.models.losses import GanLoss, fixed_l1, grey, l1
from core.models.networks import EncoderDecoder, Norm, PatchDiscriminator, ResnetGenerator, Skip
from core.models.optimisers import (
    AdamParams,
    AlternatingParams,
    adam,
    is_generator_step,
    update_in_order,
)
from core.models.postprocess import GlyphPostprocessing, translate


class PairedParams(GlyphParams, GlyphPostprocessing, AdamParams, ComputeParams):
    """The generator and its losses. Defaults are pix2pix's where the seed study gives none."""

    pixel_loss: Literal["l1", "fixed_l1"] = Field(
        "l1", description="plain L1, or each image's L1 over that of a blank page"
    )
    lambda_pixel: float = Field(100.0, ge=0, le=1000, description="weight of the pixel loss")
    lambda_grey: float = Field(
        0.0, ge=0, le=1000, description="weight of the penalty 4x(1 - x) on grey pixels"
    )
    batch_size: int = Field(8, ge=1, le=1024, description="pairs a step")
    dropout: float = Field(
        0.2, ge=0, le=0.9, description="dropout in the last three steps down and first two up"
    )
    generator: Literal["encoder-decoder", "resnet"] = Field(
        "encoder-decoder", description="the network; resnet is CycleGAN's, with `blocks` blocks"
    )
    skip: Skip = Field("none", description="how encoder maps reach the decoder")
    blocks: int = Field(
        0, ge=0, le=32, description="residual blocks after each step down; a resnet's in all"
    )
    depth: int = Field(0, ge=0, le=7, description="steps down; 0: as many as the size has")
    width: int = Field(64, ge=4, le=512, description="channels of each network's first layer")
    norm: Norm = Field("instance", description="normalisation in all networks")

    @model_validator(mode="after")
    def _depth_fits(self) -> Self:
        most = self.size.bit_length() - 1
        if self.depth > most:
            raise ValueError(f"--depth {self.depth}: {self.size} pixels halve {most} times at most")
        return self


class AdversarialParams(PairedParams, AlternatingParams, GanLossParams):
    """The same with a conditional PatchGAN, which sees each image with its source."""

    gan_loss: GanLoss = Field("lsgan", description="the adversarial loss")
    lambda_gan: float = Field(1.0, ge=0, le=1000, description="weight of the adversarial loss")
    d_head_start: int = Field(
        0, ge=0, le=100_000, description="steps the discriminator trains alone at first"
    )


class Pairs(NamedTuple):
    """Source and target images of the same glyphs, both N x C x H x W in [-1, 1]."""

    source: Tensor
    target: Tensor


def _generator(p: PairedParams) -> nn.Module:
    if p.generator == "resnet":
        return ResnetGenerator(p.width, p.blocks, p.norm, p.dropout, p.channels)
    return EncoderDecoder(p.size, p.channels, p.width, p.depth, p.skip, p.norm, p.dropout, p.blocks)


def _beside(image: Tensor, source: Tensor) -> Tensor:
    """What a conditional discriminator sees: images and their sources, one upon the other."""
    return torch.cat([image, source.to(image.dtype)], 1)


class PairedTraining:
    """A generator G and, for AdversarialParams, a conditional discriminator D."""

    def __init__(self, params: PairedParams, data: Glyphs, device: torch.device) -> None:
        p = self.params = params
        self.device = device
        self.compute = Compute.of(p, device)
        self.data = data
        self.held_out = Pairs(*data.tensors(data.validation, p.channels))
        self.random = np.random.default_rng(p.seed)
        self.G = self.compute.place(_generator(p))
        self.networks: dict[str, nn.Module] = {"G": self.G}
        self.opt_g = adam(self.G.parameters(), p.lr_g, p.beta1)
        self.stateful = ["G", "opt_g"]
        self.steps = 0
        if isinstance(p, AdversarialParams):
            self.D = self.compute.place(PatchDiscriminator(p.width, p.norm, 2 * p.channels))
            self.networks["D"] = self.D
            self.opt_d = adam(self.D.parameters(), p.lr_d, p.beta1)
            self.stateful += ["D", "opt_d"]
            self.game = GanGame(p)
        self.compiled = self.compute.calls(self.networks)
        self.replayed = Replayed(self._step, device)

    @property
    def steps_per_epoch(self) -> int:
        """One pass over the training pairs."""
        return -(-len(self.data.train) // self.params.batch_size)

    def batches(self) -> Iterator[Pairs]:
        """One pass over the training pairs, shuffled."""
        order = self.random.permutation(self.data.train)
        for i in range(0, len(order), self.params.batch_size):
            chosen = order[i : i + self.params.batch_size]
            source, target = self.data.tensors(chosen, self.params.channels)
            yield Pairs(to_device(source, self.device), to_device(target, self.device))

    def step(self, batch: Pairs) -> Mapping[str, Tensor]:
        """Update the discriminator, and every `d_steps_per_g`-th time the generator too.

        Without a discriminator, update the generator. Losses: l1, fixed_l1, grey, g_gan, d and
        d_penalty, of the networks that are updated.
        """
        p = self.params
        self.steps += 1
        generator_too = True
        if isinstance(p, AdversarialParams):
            generator_too = self.steps > p.d_head_start
            generator_too &= is_generator_step(self.steps, p.d_steps_per_g)
        full = len(batch.source) == p.batch_size
        return self.replayed((generator_too, full), *batch, often=full)

    def _step(self, kind: tuple[bool, bool], source: Tensor, target: Tensor) -> dict[str, Tensor]:
        """A step on pairs; with a full batch by the compiled networks."""
        p, (generator_too, full) = self.params, kind
        batch = Pairs(*self.compute.arrange(source, target))
        nets = self.compiled if full else self.networks
        with torch.set_grad_enabled(generator_too), self.compute.autocast():
            fake = (nets if generator_too else self.networks)["G"](batch.source)
        if not isinstance(p, AdversarialParams):
            return self._update_generator(batch, nets, fake)
        return update_in_order(
            p,
            (lambda: self._update_generator(batch, nets, fake)) if generator_too else None,
            lambda: self._update_discriminator(batch, nets, fake.detach()),
        )

    def _update_generator(self, batch: Pairs, nets: Networks, fake: Tensor) -> dict[str, Tensor]:
        p = self.params
        losses = {"l1": l1(fake, batch.target), "fixed_l1": fixed_l1(fake, batch.target).mean()}
        losses["grey"] = grey(fake)
        total = p.lambda_pixel * losses[p.pixel_loss] + p.lambda_grey * losses["grey"]
        if isinstance(p, AdversarialParams):
            self.D.requires_grad_(False)
            with self.compute.autocast():
                losses["g_gan"] = self.game.generator(nets["D"](_beside(fake, batch.source)))
            total = total + p.lambda_gan * losses["g_gan"]
        self.opt_g.zero_grad()
        total.backward()
        self.opt_g.step()
        return {name: loss.detach() for name, loss in losses.items()}

    def _update_discriminator(
        self, batch: Pairs, nets: Networks, fake: Tensor
    ) -> dict[str, Tensor]:
        self.D.requires_grad_(True)
        pairs = _beside(batch.target, batch.source), _beside(fake, batch.source)
        with self.compute.autocast():
            loss = self.game.discriminator(*call_together(nets["D"], self.params.norm, *pairs))

        def critic(image: Tensor) -> Tensor:
            return self.D(_beside(image, batch.source))  # type: ignore[no-any-return]

        return self.game.minimise({"d": loss}, self.opt_d, (critic, batch.target, fake))

    def outputs(self) -> ImagePairs:
        """Every validation pair, its source translated and post-processed."""
        source, target = self.held_out
        return ImagePairs(source, self.translate(source), target)

    def translate(self, images: Tensor) -> Tensor:
        """N x C x size x size source glyphs to target glyphs, post-processed."""
        return translate(self.G, images, self.device, self.params)

    def collapse_reason(self, outputs: ImagePairs) -> str:
        """See `core.models.collapse`."""
        return collapse_reason(outputs)

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimisers, the step count and the data's random state."""
        return {
            **{name: getattr(self, name).state_dict() for name in self.stateful},
            "steps": self.steps,
            "random": self.random.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        for name in self.stateful:
            getattr(self, name).load_state_dict(state[name])
        self.steps = state["steps"]
        self.random.bit_generator.state = state["random"]
