"""How a network learns to tell two domains of images apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from core.data.images import Pixels
from core.data.tensors import random_crops
from core.device import autocast

RECIPE: dict[str, Any] = {
    "version": 1,
    "steps": 320,
    "photographs": 14,
    "paintings": 14,
    "junk": 4,
    "lr": 1e-3,
    "weight_decay": 1e-2,
    "label_smoothing": 0.1,
    "average_decay": 0.98,
    "seed": 0,
}


def train_classifier(
    net: nn.Module,
    photographs: Sequence[Pixels],
    paintings: Sequence[Pixels],
    size: int,
    seed: int,
) -> nn.Module:
    """Train `net`: class 0 is a photograph or junk, class 1 a painting; return its average.

    Crops, mirroring, colour jitter, blur and noise keep the label. Flat and noise images are
    "not a painting", so that an untrained generator's output is not one either. AdamW on a
    one-cycle schedule, bf16 where the hardware has it; what is returned is the exponential moving
    average of the weights. Seed PyTorch with `seed` first: the same seed gives the same network.
    """
    device = next(net.parameters()).device
    steps, domains = RECIPE["steps"], (photographs, paintings)
    counts = [RECIPE[k] for k in ("photographs", "paintings", "junk")]
    labels = torch.tensor([0, 1, 0]).repeat_interleave(torch.tensor(counts)).to(device)
    average = AveragedModel(
        net, multi_avg_fn=get_ema_multi_avg_fn(RECIPE["average_decay"]), use_buffers=True
    )
    decay = RECIPE["weight_decay"]
    optimizer = torch.optim.AdamW(net.parameters(), RECIPE["lr"], weight_decay=decay, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RECIPE["lr"], total_steps=steps)
    random = np.random.default_rng(seed)
    net.train()
    for _ in range(steps):
        drawn = [_draw(d, counts[k], size, random) for k, d in enumerate(domains)]
        images = augment(torch.cat([*drawn, junk(counts[2], size)])).to(device)
        with autocast(device, "auto"):
            logits = net(images * 2 - 1).float()
        loss = F.cross_entropy(logits, labels, label_smoothing=RECIPE["label_smoothing"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        average.update_parameters(net)
    return average.module


def _draw(images: Sequence[Pixels], count: int, size: int, random: np.random.Generator) -> Tensor:
    """`count` random crops of random images, N x 3 x size x size in [0, 1]."""
    chosen = [images[int(k)] for k in random.integers(len(images), size=count)]
    return (random_crops(chosen, size, True, random) + 1) / 2


def augment(images: Tensor) -> Tensor:
    """Jitter brightness, contrast and saturation by up to 40 %, blur and add noise to a quarter.

    N x 3 x H x W in [0, 1] to the same; each image draws its own changes.
    """

    def factor() -> Tensor:
        return 1 + (torch.rand(len(images), 1, 1, 1) * 2 - 1) * 0.4

    def some() -> Tensor:
        return (torch.rand(len(images), 1, 1, 1) < 0.25) * torch.rand(len(images), 1, 1, 1)

    images = images * factor()
    mean = images.mean((1, 2, 3), keepdim=True)
    images = (images - mean) * factor() + mean
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * factor() + grey
    kernel = torch.tensor([1.0, 2.0, 1.0]).outer(torch.tensor([1.0, 2.0, 1.0])) / 16
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    images = images.lerp(F.conv2d(padded, kernel.expand(3, 1, 3, 3), groups=3), some())
    return (images + some() * 0.05 * torch.randn_like(images)).clamp(0, 1)


def junk(count: int, size: int) -> Tensor:
    """Flat colours and noise from fine to coarse, N x 3 x size x size in [0, 1]."""
    images = torch.rand(count, 3, 1, 1).expand(count, 3, size, size).clone()
    for image in images[::2]:
        grain = int(torch.randint(2, size + 1, ()))
        noise = torch.randn(1, 3, grain, grain) * torch.rand(()) * 0.5
        image += F.interpolate(noise, (size, size), mode="bilinear")[0]
    return images.clamp(0, 1)
