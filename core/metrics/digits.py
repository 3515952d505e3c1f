"""A small classifier of a data set's classes, and what generated images are measured by with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.data.digits import LabelledImages
from core.data.tensors import from_pixels, to_pixels
from core.metrics.cache import fit
from core.metrics.similarity import mean_distance

RECIPE: dict[str, Any] = {
    "version": 1,
    "steps": 400,
    "batch": 128,
    "lr": 4e-3,
    "weight_decay": 1e-2,
    "label_smoothing": 0.0,
    "seed": 0,
}
WIDTH, FEATURES = 32, 64
SHARE = 0.2  # of an equal share of the images: a class with fewer is not covered
NEAREST = 200  # images whose nearest training image is looked for
NEAR = 0.02  # of held-out images are as near to a training image by chance


class Classifier(nn.Module):
    """Three strided convolutions with batch norm, 64 features, a logit a class."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, wide in enumerate((WIDTH, 2 * WIDTH, 4 * WIDTH)):
            before = wide // 2 if i else channels
            layers += [nn.Conv2d(before, wide, 3, 2, 1, bias=False), nn.BatchNorm2d(wide)]
            layers += [nn.ReLU(inplace=True)]
        layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16 * WIDTH, FEATURES)]
        self.body = nn.Sequential(*layers, nn.BatchNorm1d(FEATURES), nn.ReLU())
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, images: Tensor) -> Tensor:
        """N x C x H x W in [-1, 1] to N x classes logits."""
        return self.head(self.body(images))  # type: ignore[no-any-return]

    @torch.inference_mode()
    def look(self, images: Tensor) -> Seen:
        """What it sees of images on the CPU, rounded to 8 bit as a saved picture would be."""
        device = self.head.weight.device
        parts = []
        for part in torch.split(images, 500):
            features = self.body(from_pixels(to_pixels(part)).to(device))
            parts.append((features.cpu(), self.head(features).softmax(1).cpu()))
        return Seen(*(torch.cat(each) for each in zip(*parts, strict=True)))


class Seen(NamedTuple):
    """Features, N x 64, and probabilities of the classes, N x K."""

    features: Tensor
    chances: Tensor

    @property
    def classes(self) -> Tensor:
        """The likeliest class of each image."""
        return self.chances.argmax(1)


def train_classifier(
    data: LabelledImages, device: torch.device, say: Callable[[str], None]
) -> tuple[Classifier, dict[str, Any]]:
    """Learn the training images, each moved, scaled and slanted a little; and how well it does.

    Seed PyTorch first: the same seed gives the same network.
    """
    from scipy.stats import beta  # slow to import

    net = Classifier(data.pixels.shape[1], len(data.classes)).to(device)
    training = torch.from_numpy(data.train)

    def batch() -> tuple[Tensor, Tensor]:
        chosen = training[torch.randint(len(training), (RECIPE["batch"],))]
        images, labels = data.tensors(chosen.numpy())
        return moved(images), labels

    fit(net, batch, RECIPE["steps"], RECIPE, say=say)
    images, labels = data.tensors(data.validation)
    classes = net.eval().look(images).classes
    right, n = int((classes == labels).sum()), len(labels)
    confusion = {
        name: torch.bincount(classes[labels == i], minlength=len(data.classes)).tolist()
        for i, name in enumerate(data.classes)
    }
    share, guess = right / n, float(labels.bincount().max()) / n
    interval = beta.ppf((0.025, 0.975), right + 0.5, n - right + 0.5).tolist()
    weak = share < (1 + guess) / 2
    return net, {"accuracy": share, "interval": interval, "weak": weak, "confusion": confusion}


def moved(images: Tensor) -> Tensor:
    """N x C x H x W in [-1, 1], black -1, each moved, scaled and slanted in its own way."""
    n = len(images)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 + (torch.rand(n) - 0.5) * 0.2
    theta[:, 0, 1] = (torch.rand(n) - 0.5) * 0.3
    theta[:, :, 2] = (torch.rand(n, 2) - 0.5) * 0.2
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images + 1, grid, align_corners=False) - 1


def inception_score(chances: Tensor) -> float:
    """exp(E[KL(p(class|x) || p(class))]), Salimans et al. 2016, of N x K: from 1 to K."""
    logs = chances.clamp(min=1e-9).log()
    overall = chances.mean(0).clamp(min=1e-9).log()
    return math.exp(float((chances * (logs - overall)).sum(1).mean()))


def class_balance(classes: Tensor, count: int) -> tuple[int, float]:
    """How many of `count` classes N images cover, and the entropy of their shares, 1 if equal.

    A class is covered by a fifth of an equal share or more.
    """
    shares = torch.bincount(classes, minlength=count) / len(classes)
    entropy = -float((shares * shares.clamp(min=1e-9).log()).sum())
    return int((shares >= SHARE / count).sum()), entropy / math.log(count)


def diversity(seen: Seen, real: Seen) -> float:
    """Mean distance of two images of a class over real images', the mean of the classes: >= 0.

    A class of which there are fewer than two images counts as 0.
    """
    found = []
    for label in range(real.chances.shape[1]):
        spread = mean_distance(real.features[real.classes == label])
        if spread > 0:
            found.append(mean_distance(seen.features[seen.classes == label]) / spread)
    return sum(found) / max(1, len(found))


def small(images: Tensor) -> Tensor:
    """N x C x H x W to N vectors of half the resolution, by which images are near or not."""
    return F.avg_pool2d(images, 2).flatten(1)


def nearest_distances(images: Tensor, training: Tensor) -> Tensor:
    """Distances of N images, 200 at most, to the nearest of M training ones, which are `small`."""
    return torch.cdist(small(images[:NEAREST]), training).amin(1)
