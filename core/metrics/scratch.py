"""A ResNet-18 (He et al. 2016) trained on the data set alone, without pretraining."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from core.backbone import Backbone, resnet_backbone
from core.data.images import Pixels
from core.data.tensors import random_crops
from core.metrics import distortions as change
from core.metrics.cache import fit, load_or_train

RECIPE: dict[str, Any] = {
    "version": 3,
    "steps": 320,
    "crop": 128,
    "photographs": 14,
    "paintings": 14,
    "junk": 4,
    "lr": 1e-3,
    "weight_decay": 1e-2,
    "label_smoothing": 0.1,
    "average_decay": 0.98,
}


def scratch_backbone(
    photographs: Sequence[Pixels],
    paintings: Sequence[Pixels],
    size: int,
    recipe: dict[str, Any],
    folder: Path,
    say: Callable[[str], None],
) -> Backbone:
    """The network of this data set (`recipe` tells it from others), trained unless it is kept.

    It learns to tell photographs (0, and flat and noise images) from paintings (1) in crops of at
    most 128 x 128; label-preserving changes leave it no colours to go by. What is kept is the
    exponential moving average of its weights.
    """

    def build() -> nn.Module:
        from torchvision.models import resnet18  # slow to import

        net: nn.Module = resnet18(num_classes=2)
        return net

    def train() -> tuple[nn.Module, dict[str, Any]]:
        say("evaluator: training a ResNet-18 from random weights (once per data set)")
        draw = torch.Generator().manual_seed(0)
        random = np.random.default_rng(0)
        net, side = build(), min(size, RECIPE["crop"])
        counts = [RECIPE[k] for k in ("photographs", "paintings", "junk")]
        labels = torch.tensor([0, 1, 0]).repeat_interleave(torch.tensor(counts))
        decay = get_ema_multi_avg_fn(RECIPE["average_decay"])
        average = AveragedModel(net, multi_avg_fn=decay, use_buffers=True)

        def batch() -> tuple[Tensor, Tensor]:
            chosen = [
                images[int(k)]
                for images, count in zip((photographs, paintings), counts[:2], strict=True)
                for k in random.integers(len(images), size=count)
            ]
            drawn = random_crops(chosen, side, True, random)
            changed = change.augmented(drawn, drawn, draw)
            return torch.cat([changed, change.junk(counts[2], side, draw)]), labels

        fit(net, batch, RECIPE["steps"], RECIPE, lambda: average.update_parameters(net), say)
        return average.module, {"evaluator": "backbone", **recipe}

    net, _ = load_or_train(folder, "backbone", {**recipe, **RECIPE}, 0, build, train)
    return resnet_backbone(f"scratch:{RECIPE['version']}", net)
