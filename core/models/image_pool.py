"""The history of translated images that discriminators are shown (Shrivastava et al. 2017)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


class HistoryPool:
    """Keeps up to `capacity` past images; half of the time it hands back an old one instead."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.images: list[Tensor] = []

    def exchange(self, batch: Tensor, random: np.random.Generator) -> Tensor:
        """N x C x H x W in, the same shape out, each image new or from the past."""
        if self.capacity == 0:
            return batch
        out = []
        for image in batch:
            if len(self.images) < self.capacity:
                self.images.append(image.clone())
                out.append(image)
            elif random.random() < 0.5:
                k = int(random.integers(self.capacity))
                out.append(self.images[k].to(image.device))
                self.images[k] = image.clone()
            else:
                out.append(image)
        return torch.stack(out)

    def state_dict(self) -> dict[str, Any]:
        """The images kept."""
        return {"images": self.images}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with these images."""
        self.images = list(state["images"])
