"""Published losses, a few lines each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

GanLoss = Literal["minimax", "non-saturating", "lsgan", "hinge", "wgan", "wgan-gp"]
LOG_LOSSES = ("minimax", "non-saturating")  # of a probability, which a sigmoid makes of a logit


def lsgan_generator(fake: Tensor) -> Tensor:
    """E[(D(G(x)) - 1)^2]: least-squares GAN, Mao et al. 2017. Scalar >= 0."""
    return (fake.float() - 1).square().mean()


def lsgan_discriminator(real: Tensor, fake: Tensor, target: float = 1.0) -> Tensor:
    """(E[(D(y) - target)^2] + E[D(G(x))^2]) / 2: Mao et al. 2017, halved as in Zhu et al. 2017."""
    return ((real.float() - target).square().mean() + fake.float().square().mean()) / 2


def minimax_generator(fake: Tensor) -> Tensor:
    """E[log(1 - D(G(x)))] of logits: the original loss of Goodfellow et al. 2014. Scalar <= 0."""
    return -F.softplus(fake.float()).mean()


def non_saturating_generator(fake: Tensor) -> Tensor:
    """-E[log D(G(x))] of logits: what Goodfellow et al. 2014 train with. Scalar >= 0."""
    return F.softplus(-fake.float()).mean()


def log_discriminator(real: Tensor, fake: Tensor, target: float = 1.0) -> Tensor:
    """-(E[log D(y)] + E[log(1 - D(G(x)))]) / 2 of logits, halved as in pix2pix.

    With a `target` t below 1 the first term is t log D(y) + (1 - t) log(1 - D(y)): one-sided label
    smoothing (Salimans et al. 2016).
    """
    real = real.float()
    smoothed = F.softplus(-real).mean()
    if target < 1:
        smoothed = target * smoothed + (1 - target) * F.softplus(real).mean()
    return (smoothed + F.softplus(fake.float()).mean()) / 2


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """(E[max(0, 1 - D(y))] + E[max(0, 1 + D(G(x)))]) / 2: Lim and Ye 2017 (arXiv 1705.02894)."""
    return (F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean()) / 2


def wgan_generator(fake: Tensor) -> Tensor:
    """-E[D(G(x))]: Wasserstein GAN, Arjovsky et al. 2017, and the hinge loss. Scalar."""
    return -fake.float().mean()


def wgan_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E[D(G(x))] - E[D(y)]: Arjovsky et al. 2017; needs clipped weights or a penalty. Scalar."""
    return fake.float().mean() - real.float().mean()


Critic = Callable[[Tensor], Tensor]


def wgan_penalty(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """E[(|grad D(z)| - 1)^2], z drawn between real and fake: Gulrajani et al. 2017. Scalar."""
    mix = torch.rand(len(real), 1, 1, 1, device=real.device)
    length = _gradient(critic, mix * real.float() + (1 - mix) * fake.float())
    return (length.add(1e-12).sqrt() - 1).square().mean()


def r1_penalty(critic: Critic, real: Tensor) -> Tensor:
    """E[|grad D(y)|^2] / 2 on real images: Mescheder et al. 2018 (arXiv 1801.04406). Scalar."""
    return _gradient(critic, real.float()).mean() / 2


def _gradient(critic: Critic, images: Tensor) -> Tensor:
    """The squared length of the critic's gradient at each of N images."""
    images = images.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
    return gradient.flatten(1).square().sum(1)


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
