from __future__ import annotations

import torch

from core.models.losses import l1, lsgan_discriminator, lsgan_generator


def test_values_worked_out_by_hand() -> None:
    real, fake = torch.tensor([1.0, 0.0]), torch.tensor([0.5, -0.5])
    assert lsgan_generator(fake) == (0.25 + 2.25) / 2
    assert lsgan_discriminator(real, fake) == (0.5 + 0.25) / 2
    assert l1(torch.tensor([1.0, -1.0]), torch.tensor([0.0, 1.0])) == 1.5


def test_half_precision_logits_lose_nothing_in_the_loss() -> None:
    fake = torch.full((4096,), 0.5, dtype=torch.bfloat16)
    assert lsgan_generator(fake).dtype == torch.float32
    assert lsgan_generator(fake) == 0.25
