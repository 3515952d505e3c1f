"""The ink of glyphs: how two glyphs' ink compares, and a small network that reads it.

Ink x = (1 - y) / 2 is 0 on white paper and 1 in black.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.metrics.cache import fit

SIDE = 32
RECIPE: dict[str, Any] = {
    "version": 1,
    "steps": [150, 900],
    "batch": 128,
    "lr": 4e-3,
    "weight_decay": 1e-2,
    "label_smoothing": 0.1,
    "seed": 0,
}


def ink(images: Tensor) -> Tensor:
    """N x C x H x W in [-1, 1], white +1, to N x H x W in [0, 1], 1 black."""
    return (1 - images.float().mean(1)) / 2


def iou(output: Tensor, target: Tensor) -> Tensor:
    """Intersection over union of what is darker than mid-grey: N x H x W to N values in [0, 1]."""
    a, b = output > 0.5, target > 0.5
    union = (a | b).sum((1, 2))
    return (a & b).sum((1, 2)) / union.clamp(min=1)


def tolerant_f1(output: Tensor, target: Tensor) -> Tensor:
    """F1 of ink pixels, where one a pixel off still counts: N x H x W to N values in [0, 1]."""
    a, b = (output > 0.5).float(), (target > 0.5).float()
    near_a, near_b = (F.max_pool2d(m[:, None], 3, 1, 1)[:, 0] for m in (a, b))
    precision = (a * near_b).sum((1, 2)) / a.sum((1, 2)).clamp(min=1)
    recall = (b * near_a).sum((1, 2)) / b.sum((1, 2)).clamp(min=1)
    return 2 * precision * recall / (precision + recall).clamp(min=1e-9)


def ink_ratio(output: Tensor, target: Tensor) -> float:
    """The output's ink over the target's, the median of the images: >= 0, 1 is right."""
    return float((output.sum((1, 2)) / target.sum((1, 2)).clamp(min=1e-6)).median())


def darkness(images: Tensor) -> float:
    """How dark the ink is where there is any, sum x^2 / sum x, in [0, 1]; 1 without grey."""
    return float(images.square().sum() / images.sum().clamp(min=1e-6))


class Recogniser(nn.Module):
    """Four convolutions with batch norm, halving 32 x 32 pixels to 2 x 2; a logit a class."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((1, 32), (32, 64), (64, 128), (128, 256)):
            side, stride = (5, 2) if inputs == 1 else (3, 1)
            layers += [nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False)]
            layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if stride == 1 else []
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(256 * 4, classes))

    def forward(self, ink: Tensor) -> Tensor:
        """N x H x W ink in [0, 1], H and W multiples of 32, to N x classes logits."""
        x = F.adaptive_avg_pool2d(ink[:, None], SIDE)
        return self.layers(x * 2 - 1)  # type: ignore[no-any-return]


def train_recogniser(ink: Tensor, labels: Tensor, device: torch.device) -> tuple[Recogniser, float]:
    """Learn N x H x W ink in [0, 1] by N labels from 0; the network and its accuracy.

    Each step sees glyphs moved, scaled, slanted, blurred, thickened, thinned, paled and with noise
    on them, so that it reads what a generator makes of a character too. The accuracy is measured
    on copies disturbed in the same way by draws it never saw: there is one glyph a character and
    font, and none to hold out. More classes take more steps. Seed PyTorch first: the same seed
    gives the same network.
    """
    classes = int(labels.max()) + 1
    fewest, most = RECIPE["steps"]
    net = Recogniser(classes).to(device)

    def batch() -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(ink), (RECIPE["batch"],))
        return disturb(ink[chosen]), labels[chosen]

    fit(net, batch, min(most, fewest + classes // 5), RECIPE)
    right = read(net.eval(), disturb(ink), device) == labels
    return net, float(right.float().mean())


@torch.inference_mode()
def read(net: Recogniser, ink: Tensor, device: torch.device) -> Tensor:
    """The likeliest class of each of N x H x W glyphs."""
    return torch.cat([net(x.to(device)).argmax(1).cpu() for x in torch.split(ink, 256)])


def disturb(ink: Tensor) -> Tensor:
    """N x H x W ink in [0, 1] to the same, each glyph changed in its own way."""
    n, side = len(ink), ink.shape[-1]

    def amount() -> Tensor:
        return torch.rand(n, 1, 1, 1)

    scale = 1 + (torch.rand(n) - 0.5) * 0.2
    slant, stretch = (torch.rand(2, n) - 0.5) * 0.3
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = scale, scale * (1 + stretch * 0.5)
    theta[:, 0, 1] = slant
    theta[:, :, 2] = (torch.rand(n, 2) - 0.5) * 0.15
    grid = F.affine_grid(theta, [n, 1, side, side], align_corners=False)
    x = F.grid_sample(ink[:, None].float(), grid, align_corners=False)
    kind = torch.randint(4, (n, 1, 1, 1))  # as it is, blurred, thicker, thinner
    x = torch.where(kind == 1, F.avg_pool2d(x, 3, 1, 1), x)
    x = torch.where(kind == 2, x.lerp(F.max_pool2d(x, 3, 1, 1), amount()), x)
    x = torch.where(kind == 3, x.lerp(-F.max_pool2d(-x, 3, 1, 1), amount() / 2), x)
    x = x * (0.5 + 0.5 * amount()) + 0.1 * amount() * torch.randn_like(x)
    return x.clamp(0, 1)[:, 0]
