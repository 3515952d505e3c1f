"""The adversarial game, the same in every task that plays it: its loss, its head, its penalties."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from core.models import losses
from core.models.losses import LOG_LOSSES, Critic, GanLoss
from core.task import Params

LEAST_PROBABILITY = 1e-6  # what a probability that no sigmoid bounds is clipped to
GENERATOR: dict[str, Callable[[Tensor], Tensor]] = {
    "minimax": losses.minimax_generator,
    "non-saturating": losses.non_saturating_generator,
    "lsgan": losses.lsgan_generator,
    "hinge": losses.wgan_generator,
    "wgan": losses.wgan_generator,
    "wgan-gp": losses.wgan_generator,
}
DISCRIMINATOR: dict[str, Callable[..., Tensor]] = {
    "minimax": losses.log_discriminator,
    "non-saturating": losses.log_discriminator,
    "lsgan": losses.lsgan_discriminator,
    "hinge": losses.hinge_discriminator,
    "wgan": losses.wgan_discriminator,
    "wgan-gp": losses.wgan_discriminator,
}


class GanLossParams(Params):
    """The adversarial loss, and what is done to the discriminator's output and gradient.

    What the literature knows not to work is refused, unless `allow_unsound` asks for it.
    """

    gan_loss: GanLoss = Field("non-saturating", description="the adversarial loss")
    sigmoid: Literal["auto", "on", "off"] = Field(
        "auto", description="end the discriminator in a sigmoid; auto: where the loss takes a log"
    )
    clip: float = Field(
        0.0,
        ge=0,
        lt=0.5,
        description="clip probabilities to clip..1-clip before their log; beyond, no gradient",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="real images are to look real by 1 less this"
    )
    clip_weights: float = Field(
        0.01, gt=0, le=1, description="bound of the discriminator's weights, for the loss wgan"
    )
    gradient_penalty: Literal["none", "r1", "wgan"] = Field(
        "none",
        description="r1 on real images (Mescheder 2018), or wgan between real and generated ones; "
        "the loss wgan-gp has the latter",
    )
    lambda_penalty: float = Field(
        10.0, ge=0, le=10_000, description="weight of the gradient penalty"
    )
    allow_unsound: bool = Field(
        False, description="train combinations that are known not to work, to see them fail"
    )

    @property
    def penalty(self) -> str:
        """The gradient penalty in force: none, r1 or wgan."""
        return "wgan" if self.gan_loss == "wgan-gp" else self.gradient_penalty

    @property
    def has_sigmoid(self) -> bool:
        """Whether the discriminator ends in a sigmoid."""
        return self.sigmoid == "on" or (self.sigmoid == "auto" and self.gan_loss in LOG_LOSSES)

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        loss, logs = self.gan_loss, self.gan_loss in LOG_LOSSES
        if self.clip and not logs:
            raise ValueError(f"--clip {self.clip}: --gan-loss {loss} takes no log; drop --clip")
        if self.label_smoothing and not (logs or loss == "lsgan"):
            what = f"--label-smoothing {self.label_smoothing}"
            raise ValueError(f"{what}: --gan-loss {loss} has no labels; leave it 0")
        if loss == "wgan-gp" and self.gradient_penalty == "r1":
            raise ValueError("--gradient-penalty r1: --gan-loss wgan-gp has its own; take wgan")
        if not self.allow_unsound and (problem := self.unsound()):
            raise ValueError(f"{problem}; --allow-unsound trains it all the same")
        return self

    def unsound(self) -> str:
        """Why the combination is known not to work; '' where nothing is known against it."""
        if self.gan_loss in LOG_LOSSES and self.sigmoid == "off":
            return f"--sigmoid off: --gan-loss {self.gan_loss} takes the log of a probability"
        if self.gan_loss in ("hinge", "wgan", "wgan-gp") and self.sigmoid == "on":
            return f"--sigmoid on: --gan-loss {self.gan_loss} is of outputs without bounds"
        norm = getattr(self, "norm_d", getattr(self, "norm", "none"))
        if self.penalty != "none" and norm == "batch":
            what = f"--gradient-penalty {self.penalty}: is of single images"
            return f"{what}, which batch norm in the discriminator mixes"
        return ""


class GanGame:
    """The losses of both sides, from what a discriminator puts out for real and generated images.

    Outputs are N x anything; losses are scalars.
    """

    def __init__(self, params: GanLossParams) -> None:
        self.params = params

    def generator(self, fake: Tensor) -> Tensor:
        """The generator's loss."""
        return GENERATOR[self.params.gan_loss](self.head(fake))

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's loss, without its penalty."""
        more = {}
        if self.params.label_smoothing:
            more["target"] = 1 - self.params.label_smoothing
        return DISCRIMINATOR[self.params.gan_loss](self.head(real), self.head(fake), **more)

    def head(self, output: Tensor) -> Tensor:
        """What the loss is computed of: for a log loss logits, clipped as probabilities are."""
        p, output = self.params, output.float()
        if p.gan_loss not in LOG_LOSSES:
            return output.sigmoid() if p.has_sigmoid else output
        if not p.has_sigmoid:
            least = max(p.clip, LEAST_PROBABILITY)
            return torch.logit(output.clamp(least, 1 - least))
        if not p.clip:
            return output
        bound = math.log((1 - p.clip) / p.clip)
        return output.clamp(-bound, bound)

    def penalty(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor | None:
        """The weighted gradient penalty; None without one. In fp32: it is differentiated twice."""
        p = self.params
        if p.penalty == "none":
            return None
        found = (
            losses.r1_penalty(critic, real)
            if p.penalty == "r1"
            else losses.wgan_penalty(critic, real, fake)
        )
        return p.lambda_penalty * found

    def minimise(
        self,
        losses: dict[str, Tensor],
        optimiser: torch.optim.Optimizer,
        *sides: tuple[Critic, Tensor, Tensor],
    ) -> dict[str, Tensor]:
        """Step down discriminators' losses and their penalties; for wgan, clip their weights.

        A side is a discriminator, of N x C x H x W images alone, the real and the generated ones.
        Returns the losses, with d_penalty where there is one, detached.
        """
        penalties = [p for side in sides if (p := self.penalty(*side)) is not None]
        losses = losses | ({"d_penalty": torch.stack(penalties).sum()} if penalties else {})
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
        if self.params.gan_loss == "wgan":  # Arjovsky et al. 2017
            bound = self.params.clip_weights
            weights = [w for group in optimiser.param_groups for w in group["params"]]
            with torch.no_grad():
                for weight in weights:
                    if weight.requires_grad:  # frozen layers stay as they were drawn
                        weight.clamp_(-bound, bound)
        return {name: loss.detach() for name, loss in losses.items()}
