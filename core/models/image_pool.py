"""The pool of past translations that a discriminator is shown (Shrivastava et al. 2017)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


class ImagePool:
    """Keeps up to `capacity` past images and returns one of them half of the time, once full.

    What is exchanged is drawn beforehand, so that the exchange itself waits for no device.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.count = 0
        self._images: Tensor | None = None  # one row more than the capacity: never shown

    def draw(self, n: int, random: np.random.Generator) -> Tensor:
        """Which images the next n are exchanged for: 2 x n indices, for `exchange`.

        Row 0: what is shown, a place in the pool or, from capacity + 1 on, in the batch. Row 1:
        the place in the pool that each image takes, capacity for none.
        """
        now = [self.capacity + 1 + i for i in range(n)]
        places = dict[int, int]()  # what each place holds that was taken by an image of this batch
        shown = list(now)
        for i in range(n if self.capacity else 0):
            if self.count < self.capacity:
                places[self.count] = i
                self.count += 1
            elif random.random() < 0.5:
                k = int(random.integers(self.capacity))
                shown[i] = now[places[k]] if k in places else k
                places[k] = i
        taken = [self.capacity] * n
        for place, i in places.items():
            taken[i] = place
        return torch.tensor([shown, taken])

    def exchange(self, batch: Tensor, drawn: Tensor) -> Tensor:
        """N x C x H x W images to the same shape, each image new or from the past."""
        if self.capacity == 0:
            return batch
        if self._images is None:
            self._images = batch.new_zeros(self.capacity + 1, *batch.shape[1:])
        self._images = self._images.to(batch.device)  # after `load_state_dict`
        shown, taken = drawn.to(batch.device)
        past = self._images[shown.clamp(max=self.capacity)]
        new = batch[(shown - self.capacity - 1).clamp(min=0)]
        images = torch.where((shown > self.capacity).view(-1, 1, 1, 1), new, past)
        self._images.index_copy_(0, taken, batch.to(past.dtype))
        return images

    def state_dict(self) -> dict[str, Any]:
        """The images in the pool."""
        return {"images": [] if self._images is None else self._images[: self.count].clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with the images of `state_dict()`."""
        self.count, self._images = len(state["images"]), None
        for place, image in enumerate(state["images"]):
            if self._images is None:
                self._images = image.new_zeros(self.capacity + 1, *image.shape)
            self._images[place] = image
