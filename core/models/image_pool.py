"""The pool of past translations that a discriminator is shown (Shrivastava et al. 2017)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


class ImagePool:
    """Keeps up to `capacity` past images and returns one of them half of the time, once full."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.images: list[Tensor] = []

    def exchange(self, batch: Tensor, random: np.random.Generator) -> Tensor:
        """N x C x H x W images to the same shape, each image new or from the past."""
        if self.capacity == 0:
            return batch
        shown = []
        for image in batch:
            if len(self.images) < self.capacity:
                self.images.append(image.clone())
            elif random.random() < 0.5:
                k = int(random.integers(self.capacity))
                image, self.images[k] = self.images[k].to(image.device), image.clone()
            shown.append(image)
        return torch.stack(shown)

    def state_dict(self) -> dict[str, Any]:
        """The images in the pool."""
        return {"images": self.images}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with the images of `state_dict()`."""
        self.images = list(state["images"])
