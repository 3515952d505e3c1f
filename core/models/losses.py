"""Published losses, a few lines each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Adversarial = Literal["lsgan", "bce", "wgan"]
GRADIENT_PENALTY = 10.0


def lsgan_generator(fake_logits: Tensor) -> Tensor:
    """E[(D(G(x)) - 1)^2]: least-squares GAN, Mao et al. 2017. Scalar >= 0."""
    return (fake_logits.float() - 1).square().mean()


def lsgan_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """(E[(D(y) - 1)^2] + E[D(G(x))^2]) / 2: Mao et al. 2017, halved as in Zhu et al. 2017."""
    real, fake = real_logits.float(), fake_logits.float()
    return ((real - 1).square().mean() + fake.square().mean()) / 2


def bce_generator(fake_logits: Tensor) -> Tensor:
    """-E[log D(G(x))]: the non-saturating loss of Goodfellow et al. 2014. Scalar >= 0."""
    return F.softplus(-fake_logits.float()).mean()


def bce_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-(E[log D(y)] + E[log(1 - D(G(x)))]) / 2: Goodfellow et al. 2014, halved as in pix2pix."""
    real, fake = F.softplus(-real_logits.float()), F.softplus(fake_logits.float())
    return (real.mean() + fake.mean()) / 2


def wgan_generator(fake_logits: Tensor) -> Tensor:
    """-E[D(G(x))]: Wasserstein GAN, Arjovsky et al. 2017. Scalar."""
    return -fake_logits.float().mean()


def wgan_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E[D(G(x))] - E[D(y)]: Arjovsky et al. 2017; needs `gradient_penalty`. Scalar."""
    return fake_logits.float().mean() - real_logits.float().mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """10 E[(|grad D(z)| - 1)^2], z drawn between real and fake: Gulrajani et al. 2017. Scalar."""
    mix = torch.rand(len(real), 1, 1, 1, device=real.device)
    between = (mix * real.float() + (1 - mix) * fake.float()).requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    length = gradient.flatten(1).square().sum(1).add(1e-12).sqrt()
    return GRADIENT_PENALTY * (length - 1).square().mean()


# The generator's and the discriminator's loss; wgan's discriminator also needs its penalty.
ADVERSARIAL_LOSSES = {
    "lsgan": (lsgan_generator, lsgan_discriminator),
    "bce": (bce_generator, bce_discriminator),
    "wgan": (wgan_generator, wgan_discriminator),
}


def l1(output: Tensor, target: Tensor) -> Tensor:
    """E[|output - target|]: the cycle and identity losses of Zhu et al. 2017. Scalar >= 0."""
    return F.l1_loss(output.float(), target.float())


def fixed_l1(output: Tensor, target: Tensor) -> Tensor:
    """Each image's L1 over that of a blank page: mean|output - target| / mean(1 - target).

    N x C x H x W in [-1, 1], white +1, to N values >= 0: 0 is perfect, a blank page exactly 1.
    """
    output, target = output.float(), target.float()
    ink = (1 - target).mean((1, 2, 3))
    return (output - target).abs().mean((1, 2, 3)) / ink.clamp(min=1e-6)


def grey(output: Tensor) -> Tensor:
    """E[4x(1 - x)] of x = (output + 1) / 2: 0 for black and white alone, 1 for mid-grey alone."""
    x = (output.float() + 1) / 2
    return (4 * x * (1 - x)).mean()
