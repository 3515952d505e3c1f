"""The network that tells photographs from paintings: a ResNet-18 (He et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.metrics.classifier import soften
from core.task import UserError

EvaluatorWeights = Literal["scratch", "imagenet"]
COARSE_FROM = 64  # pixels a side, below which half of them show nothing


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
