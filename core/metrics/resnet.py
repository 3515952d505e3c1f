"""The network that tells photographs from paintings: a ResNet-18 (He et al. 2016), trained here.

Images are N x 3 x H x W, in [-1, 1] for the network and in [0, 1] where they are augmented.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from core.data.images import Pixels
from core.data.tensors import random_crops
from core.metrics.cache import fit
from core.task import UserError

EvaluatorWeights = Literal["scratch", "imagenet"]
COARSE_FROM = 64  # pixels a side, below which half of them show nothing
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


class PaintingNet(nn.Module):
    """Two logits (photograph, painting); `coarse`: of the image at half its resolution."""

    def __init__(self, weights: EvaluatorWeights, coarse: bool = False) -> None:
        from torchvision.models import ResNet18_Weights, resnet18  # slow to import

        super().__init__()
        self.coarse = coarse
        self.resnet = resnet18()
        if weights == "imagenet":
            flag, remedy = "--evaluator-weights imagenet", "use --evaluator-weights scratch"
            imagenet = ResNet18_Weights.IMAGENET1K_V1
            self.resnet.load_state_dict(torchvision_weights(imagenet, flag, remedy))
        self.fc = nn.Linear(512, 2)
        self.resnet.fc = nn.Identity()

    def features(self, images: Tensor) -> Tensor:
        """N x 3 x H x W in [-1, 1] to N x 512, what the logits are made from."""
        if self.coarse and min(images.shape[2:]) >= COARSE_FROM:
            images = F.avg_pool2d(images, 2)
        found: Tensor = self.resnet(images)
        return found

    def forward(self, images: Tensor) -> Tensor:
        """N x 3 x H x W in [-1, 1] to N x 2."""
        logits: Tensor = self.fc(self.features(images))
        return logits


@torch.no_grad()
def calibrate(net: PaintingNet, photographs: Iterable[Tensor], paintings: Iterable[Tensor]) -> None:
    """Put the threshold half-way between training photographs and paintings as they are.

    Both batches of N x 3 x H x W in [-1, 1]. It was learned on images changed at random, and is
    elsewhere for these.
    """
    margins = []
    for batches in (photographs, paintings):
        seen = torch.cat([look(net, images, False)[1] for images in batches])
        chance = seen.double().clamp(1e-6, 1 - 1e-6)
        margins.append(float(torch.logit(chance).mean()))
    net.fc.bias[1] -= sum(margins) / 2


@torch.inference_mode()
def look(net: PaintingNet, images: Tensor, blurred: bool) -> tuple[Tensor, Tensor]:
    """Features (N x 512) and P(painting) (N, in [0, 1]) of N x 3 x H x W images in [-1, 1].

    `blurred`: through a Gaussian of one pixel, and mirrored: brush strokes stay, most of what only
    deceives a network does not.
    """
    device = next(net.parameters()).device
    features = []
    for batch in torch.split(images, 32):
        seen = soften(batch.flip(3)) if blurred else batch
        features.append(net.features(seen.to(device)).float())
    found = torch.cat(features)
    chances = F.softmax(net.fc(found).float(), dim=1)[:, 1]
    return found.cpu(), chances.cpu()


def torchvision_weights(weights: Any, flag: str, remedy: str) -> dict[str, Tensor]:
    """The state of torchvision's published weights; UserError where their file is not here."""
    name = Path(weights.url).name
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        raise UserError(
            f"{flag}: {path} is not there, and gantune downloads nothing unasked; put "
            f"torchvision's {name} there or {remedy}"
        )
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


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
        drawn = []
        for images, count in zip((photographs, paintings), counts[:2], strict=True):
            chosen = [images[int(k)] for k in random.integers(len(images), size=count)]
            drawn.append((random_crops(chosen, size, True, random) + 1) / 2)
        return augment(torch.cat([*drawn, junk(counts[2], size)])) * 2 - 1, labels

    fit(net, batch, steps, RECIPE, lambda: average.update_parameters(net))
    return cast(Net, average.module)


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
