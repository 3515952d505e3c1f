"""Published losses, a few lines each."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def lsgan_generator(fake_logits: Tensor) -> Tensor:
    """E[(D(G(x)) - 1)^2]: least-squares GAN, Mao et al. 2017. Scalar >= 0."""
    fake_logits = fake_logits.float()
    return (fake_logits - 1).square().mean()


def lsgan_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """(E[(D(y) - 1)^2] + E[D(G(x))^2]) / 2: Mao et al. 2017, halved as in Zhu et al. 2017."""
    real_logits, fake_logits = real_logits.float(), fake_logits.float()
    return ((real_logits - 1).square().mean() + fake_logits.square().mean()) / 2


def l1(output: Tensor, target: Tensor) -> Tensor:
    """E[|output - target|]: the cycle and identity terms of Zhu et al. 2017. Scalar >= 0."""
    return F.l1_loss(output.float(), target.float())
