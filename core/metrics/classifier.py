"""How classifiers are trained, and how one learns to tell photographs from paintings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from core.data.images import Pixels
from core.data.tensors import random_crops
from core.device import autocast

RECIPE: dict[str, Any] = {
    "version": 2,
    "steps": 320,
    "passes": 40,
    "fewest_steps": 220,
    "crop": 128,
    "photographs": 14,
    "paintings": 14,
    "junk": 4,
    "lr": 1e-3,
    "weight_decay": 1e-2,
    "label_smoothing": 0.1,
    "average_decay": 0.98,
}
Net = TypeVar("Net", bound=nn.Module)


def fit(
    net: nn.Module,
    batch: Callable[[], tuple[Tensor, Tensor]],
    steps: int,
    recipe: Mapping[str, Any],
    after_step: Callable[[], object] = lambda: None,
) -> None:
    """Train a classifier on drawn batches of N inputs and N labels by cross-entropy.

    AdamW on a one-cycle schedule, bf16 where the hardware has it.
    """
    device, lr = next(net.parameters()).device, recipe["lr"]
    decay, smoothing = recipe["weight_decay"], recipe["label_smoothing"]
    optimizer = torch.optim.AdamW(net.parameters(), lr, weight_decay=decay, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    net.train()
    for _ in range(steps):
        inputs, labels = batch()
        with autocast(device, "auto"):
            logits = net(inputs.to(device)).float()
        loss = F.cross_entropy(logits, labels.to(device), label_smoothing=smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        after_step()


def train_classifier(
    net: Net, photographs: Sequence[Pixels], paintings: Sequence[Pixels], size: int, seed: int
) -> Net:
    """Train `net`: class 0 is a photograph or junk, class 1 a painting; return its average.

    Another image's colours, jitter, blur, sharpening, noise, crops and mirroring keep the label, so
    what it learns is how a picture is painted and not in which colours. Flat and noise images are
    "not a painting", so that an untrained generator's output is not one either. It sees crops of at
    most 128 x 128, some 40 passes over the images and 320 steps at most. What is returned is the
    exponential moving average of the weights. Seed PyTorch with `seed` first: the same seed gives
    the same network.
    """
    size = min(size, RECIPE["crop"])
    counts = [RECIPE[k] for k in ("photographs", "paintings", "junk")]
    passes = RECIPE["passes"] * (len(photographs) + len(paintings)) // sum(counts[:2])
    steps = min(RECIPE["steps"], max(RECIPE["fewest_steps"], passes))
    labels = torch.tensor([0, 1, 0]).repeat_interleave(torch.tensor(counts))
    average = AveragedModel(
        net, multi_avg_fn=get_ema_multi_avg_fn(RECIPE["average_decay"]), use_buffers=True
    )
    random = np.random.default_rng(seed)

    def batch() -> tuple[Tensor, Tensor]:
        drawn = [_draw(photographs, counts[0], size, random)]
        drawn += [_draw(paintings, counts[1], size, random), junk(counts[2], size)]
        return augment(torch.cat(drawn)) * 2 - 1, labels

    fit(net, batch, steps, RECIPE, lambda: average.update_parameters(net))
    return cast(Net, average.module)


def _draw(images: Sequence[Pixels], count: int, size: int, random: np.random.Generator) -> Tensor:
    """`count` random crops of random images, N x 3 x size x size in [0, 1]."""
    chosen = [images[int(k)] for k in random.integers(len(images), size=count)]
    return (random_crops(chosen, size, True, random) + 1) / 2


def augment(images: Tensor) -> Tensor:
    """Give half of the images another one's colours; jitter, blur, sharpen and add noise to some.

    N x 3 x H x W in [0, 1] to the same; each image draws its own changes: brightness by up to 30 %,
    contrast by 40 %, saturation by 60 %.
    """
    n = len(images)

    def amount() -> Tensor:
        return torch.rand(n, 1, 1, 1)

    def some(share: float) -> Tensor:
        return amount() < share

    def factor(most: float) -> Tensor:
        return 1 + (amount() * 2 - 1) * most

    images = torch.where(some(0.5), with_colours_of(images, images[torch.randperm(n)]), images)
    mean = images.mean((2, 3), keepdim=True)
    jittered = (images - mean) * factor(0.4) + mean * factor(0.3)
    grey = jittered.mean(1, keepdim=True)
    jittered = (jittered - grey) * factor(0.6) + grey
    images = torch.where(some(0.6), jittered, images)
    softer, sharper = some(0.2) * amount(), some(0.2) * amount()
    images = images + (softer - sharper * (softer == 0)) * (soften(images) - images)
    return (images + some(0.2) * amount() * 0.08 * torch.randn_like(images)).clamp(0, 1)


def with_colours_of(images: Tensor, others: Tensor) -> Tensor:
    """Each of N x 3 x H x W images with the mean and covariance of another's colours."""

    def moments(x: Tensor) -> tuple[Tensor, Tensor]:
        colours = x.flatten(2)
        mean = colours.mean(2, keepdim=True)
        covariance = (colours - mean) @ (colours - mean).transpose(1, 2) / colours.shape[2]
        return mean, torch.linalg.cholesky(covariance + 1e-3 * torch.eye(3))

    (mean, root), (target, target_root) = moments(images), moments(others)
    mixing = target_root @ torch.linalg.inv(root)
    recoloured: Tensor = mixing @ (images.flatten(2) - mean) + target
    return recoloured.view_as(images)


def soften(images: Tensor) -> Tensor:
    """N x 3 x H x W blurred: twice the 3 x 3 binomial, a Gaussian of 1 pixel."""
    row = torch.tensor([1.0, 2.0, 1.0], device=images.device)
    kernel = (row.outer(row) / 16).expand(3, 1, 3, 3)
    for _ in range(2):
        images = F.conv2d(F.pad(images, (1, 1, 1, 1), mode="reflect"), kernel, groups=3)
    return images


def junk(count: int, size: int) -> Tensor:
    """Flat colours and noise from fine to coarse, N x 3 x size x size in [0, 1]."""
    images = torch.rand(count, 3, 1, 1).expand(count, 3, size, size).clone()
    for image in images[::2]:
        grain = int(torch.randint(2, size + 1, ()))
        noise = torch.randn(1, 3, grain, grain) * torch.rand(()) * 0.5
        image += F.interpolate(noise, (size, size), mode="bilinear")[0]
    return images.clamp(0, 1)
