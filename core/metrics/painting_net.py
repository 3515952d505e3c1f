"""The classifier of photographs and paintings: a frozen backbone, and a linear head at each depth.

A head is a regularised logistic regression (scikit-learn) on the backbone's features, fitted once
per data set. Beside the images as they are it is shown what GANs under search produce: both
domains with changes that keep the label, photographs and paintings that are painted over with
brush strokes (paintings), and photographs spoilt in a dozen ways, photographs through which a
painting shows, paintings under patterns or grain, flat colours and noise (none of them paintings).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from core.backbone import Backbone
from core.data.images import Pixels
from core.data.painterly import paint
from core.data.tensors import centre_crops, to_tensor
from core.metrics import distortions as change
from core.metrics.cache import counted

RECIPE: dict[str, Any] = {"version": 1, "inverse_regularisation": 0.02, "images": 80, "rounds": 6}
# The weight of each kind of image in the fit; paintings and all the rest weigh the same in sum.
PHOTOGRAPHS, PAINTINGS = 0.7, 0.7
CHANGED, PAINTED_OVER = 1.0, 0.5
SPOILT, SUPERPOSED, SPOILT_PAINTINGS, SPOILT_STROKES, JUNK = 1.2, 0.8, 0.25, 0.15, 0.1
BRUSHES = (16, 9, 6)  # radii on a canvas of 256 pixels, coarse to fine
SMALLEST_CANVAS = 128  # pixels
WEAK = 0.7  # an accuracy below which scores mean little

Example = tuple[str, Tensor, int, float]  # what it is, images, 1 for paintings, weight in sum


class PaintingNet(nn.Module):
    """Two logits of "painting" for an image: by its texture, and by its form."""

    def __init__(self, backbone: Backbone, heads: nn.ModuleList) -> None:
        super().__init__()
        self.backbone, self.heads = backbone, heads

    def forward(self, images: Tensor) -> Tensor:
        """N x 3 x H x W in [-1, 1] to N x 2."""
        return self.logits(self.backbone(images))

    def logits(self, features: Sequence[Tensor]) -> Tensor:
        """The same of the backbone's features."""
        device = self.backbone.mean.device
        pairs = zip(self.heads, features, strict=True)
        return torch.cat([head(depth.to(device)) for head, depth in pairs], 1)

    @torch.inference_mode()
    def look(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Features at both depths, and logits (N x 2), of images on the CPU."""
        features = self.backbone.features(images)
        return features, self.logits(features).cpu()


def untrained_heads(backbone: Backbone) -> nn.ModuleList:
    """A head for texture and one for form, of the backbone's sizes."""
    sizes = [depth.shape[1] for depth in backbone.features(torch.zeros(1, 3, 32, 32))]
    return nn.ModuleList(nn.Linear(size, 1) for size in sizes)


def train_heads(
    backbone: Backbone,
    photographs: Sequence[Pixels],
    paintings: Sequence[Pixels],
    size: int,
    seed: int,
    say: Callable[[str], None],
) -> nn.ModuleList:
    """Fit both heads on the middle size x size pixels of these images; progress is said."""
    rows: list[list[Tensor]] = []
    labels: list[Tensor] = []
    weights: list[Tensor] = []
    examples = training_images(photographs, paintings, size, seed, say)
    what = f"evaluator: {backbone.name} looks at images"
    # Five kinds a round, and five once; together they are too many to be held in memory.
    count = 5 * (RECIPE["rounds"] + 1)
    for _, images, label, weight in counted(examples, what, say, count):
        rows.append(backbone.features(images))
        labels.append(torch.full((len(images),), label))
        weights.append(torch.full((len(images),), weight / len(images), dtype=torch.float64))
    features = [torch.cat(depth).numpy() for depth in zip(*rows, strict=True)]
    fitted = [_fit(x, torch.cat(labels).numpy(), torch.cat(weights).numpy()) for x in features]
    return nn.ModuleList(fitted)


def _fit(x: NDArray[Any], labels: NDArray[Any], weights: NDArray[Any]) -> nn.Linear:
    """One head: its regression on standardised features, folded into one linear layer."""
    from sklearn.linear_model import LogisticRegression  # slow to import

    for label in (0, 1):
        weights[labels == label] *= len(labels) / 2 / weights[labels == label].sum()
    mean, deviation = x.mean(0), x.std(0) + 1e-6
    regression = LogisticRegression(C=RECIPE["inverse_regularisation"], max_iter=1000)
    regression.fit((x - mean) / deviation, labels, sample_weight=weights)
    slope = regression.coef_[0] / deviation
    head = nn.Linear(len(slope), 1)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(slope)[None])
        head.bias.fill_(float(regression.intercept_[0] - slope @ mean))
    return head


def training_images(
    photographs: Sequence[Pixels],
    paintings: Sequence[Pixels],
    size: int,
    seed: int,
    say: Callable[[str], None],
) -> Iterator[Example]:
    """What the heads are shown; the module says of what kinds."""
    draw = torch.Generator().manual_seed(seed)
    n, rounds = RECIPE["images"], RECIPE["rounds"]
    photos, painted = (
        to_tensor(centre_crops(_some(images, 300, seed), size))
        for images in (photographs, paintings)
    )
    both = torch.cat([change.picked(x, 2 * n, draw) for x in (photos, painted)])

    def some(images: Tensor, count: int) -> Tensor:
        """Images drawn at random, more than half of them in another image's colours."""
        drawn = change.picked(images, count, draw)
        coloured = change.with_colours_of(drawn, change.picked(both, count, draw))
        return torch.where(change.uniform(count, 0, 1, draw) < 0.6, coloured, drawn)

    def worn(images: Tensor) -> Tensor:
        """Half of them under patterns, half under grain."""
        one, other = images.tensor_split(2)
        strength = change.uniform(len(other), 0.1, 0.5, draw)
        grain = change.grainy(other, draw, 2 ** change.number(0, 3, draw), strength)
        return torch.cat([change.patterned(one, draw), grain])

    say("evaluator: painting photographs over with brush strokes")
    canvases = [*_some(photographs, n // 3, seed), *_some(paintings, n // 6, seed)]
    strokes = _painted_over(centre_crops(canvases, size), np.random.default_rng(seed))
    yield "photographs", photos, 0, PHOTOGRAPHS
    yield "paintings", painted, 1, PAINTINGS
    for _ in range(rounds):
        a, b = change.picked(photos, n, draw), change.picked(painted, n, draw)
        yield "changed photographs", change.augmented(a, both, draw), 0, CHANGED / rounds
        yield "changed paintings", change.augmented(b, both, draw), 1, CHANGED / rounds
        yield "spoilt", change.spoilt(some(photos, 2 * n), painted, draw), 0, SPOILT / rounds
        seen_through = change.superposed(some(photos, n), painted, draw)
        yield "superposed", seen_through, 0, SUPERPOSED / rounds
        yield "spoilt paintings", worn(some(painted, 3 * n // 8)), 0, SPOILT_PAINTINGS / rounds
    yield (
        "painted over",
        torch.cat([strokes, change.augmented(strokes.flip(3), both, draw)]),
        1,
        PAINTED_OVER,
    )
    yield "spoilt strokes", worn(strokes), 0, SPOILT_STROKES
    yield "junk", change.junk(32, size, draw), 0, JUNK


def _some(images: Sequence[Pixels], most: int, seed: int) -> list[Pixels]:
    """At most so many of the images, drawn at random."""
    order = np.random.default_rng(seed).permutation(len(images))[:most]
    return [images[int(i)] for i in order]


def _painted_over(images: Sequence[Pixels], random: np.random.Generator) -> Tensor:
    """N H x H x 3 images painted over by brushes of many widths: N x 3 x H x H in [-1, 1]."""
    painted = []
    for image in images:
        side = len(image)
        canvas = max(SMALLEST_CANVAS, side)
        large = Image.fromarray(image).resize((canvas, canvas), Image.Resampling.BICUBIC)
        wide = random.uniform(0.35, 1.1) * canvas / 256
        radii = tuple(max(2, round(radius * wide)) for radius in BRUSHES)
        picture = paint(large, radii[int(random.integers(2)) :], random, joints=False)
        painted.append(np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS)))
    return to_tensor(painted)


def accuracy(
    photographs: Tensor, paintings: Tensor, held_photographs: Tensor, held_paintings: Tensor
) -> dict[str, Any]:
    """How a classifier does on held-out images, from logits N x 2 of both heads.

    The threshold is half-way between the means of the two domains' training images: what else the
    heads have learned to refuse lies on the photographs' side. The balanced accuracy comes with its
    95 % interval (Jeffreys' for each domain, as one).
    """
    from scipy.stats import beta  # slow to import

    threshold = float(photographs.mean() + paintings.mean()) / 2
    confusion, shares, ends = {}, [], []
    for kind, logits in (("photograph", held_photographs), ("painting", held_paintings)):
        painted = int((logits.mean(1) > threshold).sum())
        confusion[f"{kind}s"] = {"photograph": len(logits) - painted, "painting": painted}
        right, n = confusion[f"{kind}s"][kind], len(logits)
        shares.append(right / n)
        ends.append(beta.ppf((0.025, 0.975), right + 0.5, n - right + 0.5))
    share = sum(shares) / 2
    spread = [(sum((end[i] - s) ** 2 for end, s in zip(ends, shares, strict=True)) ** 0.5) / 2
              for i in (0, 1)]  # fmt: skip
    interval = [max(0.0, share - float(spread[0])), min(1.0, share + float(spread[1]))]
    return {"accuracy": share, "interval": interval, "weak": share < WEAK, "confusion": confusion}
