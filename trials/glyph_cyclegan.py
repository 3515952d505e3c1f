"""Glyph transfer by CycleGAN, without pairs (Zhu et al. 2017, arXiv 1703.10593).

python -m trials.glyph_cyclegan --help        every parameter
python -m trials.glyph_cyclegan --epochs 10   one trial with the baseline
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from core.data.glyphs import GlyphParams, Glyphs, load_glyphs
from core.data.outputs import ImagePairs
from core.data.tensors import to_device
from core.main import main
from core.models.cyclegan import Batch, CycleParams, CycleTraining
from core.models.postprocess import GlyphPostprocessing, translate
from core.task import Task
from evaluators.glyph import OBJECTIVE, glyph_evaluator


class GlyphCycleGANParams(CycleParams, GlyphParams, GlyphPostprocessing):
    """Defaults are the paper's for small images, with a larger batch: one glyph holds little."""

    blocks: int = Field(6, ge=1, le=32, description="residual blocks of a generator (6 or 9)")
    batch_size: int = Field(8, ge=1, le=1024, description="glyphs of each font a step")
    pairing: Literal["unpaired", "paired"] = Field(
        "unpaired", description="paired: a step sees the same characters in both fonts"
    )


class GlyphCycleGAN(CycleTraining):
    """Glyphs x of the source font and y of the target font; only the evaluator sees pairs."""

    params: GlyphCycleGANParams

    def __init__(self, params: GlyphCycleGANParams, data: Glyphs, device: torch.device) -> None:
        super().__init__(params, params.channels, device)
        self.data = data
        self.source, self.target = data.tensors(data.validation, params.channels)

    @property
    def steps_per_epoch(self) -> int:
        """One pass over the training characters."""
        return -(-len(self.data.train) // self.params.batch_size)

    def draw_batches(self) -> Iterator[Batch]:
        """One pass over the training characters, shuffled separately for each font if unpaired."""
        size, channels = self.params.batch_size, self.params.channels
        order_x = self.random.permutation(self.data.train)
        order_y = self.random.permutation(self.data.train)
        if self.params.pairing == "paired":
            order_y = order_x
        for i in range(0, len(order_x), size):
            x, _ = self.data.tensors(order_x[i : i + size], channels)
            _, y = self.data.tensors(order_y[i : i + size], channels)
            yield Batch(to_device(x, self.device), to_device(y, self.device))

    def outputs(self) -> ImagePairs:
        """Every validation pair, its source translated and post-processed."""
        return ImagePairs(self.source, self.translate(self.source), self.target)

    def translate(self, images: Tensor) -> Tensor:
        """N x C x size x size source glyphs to target glyphs, post-processed."""
        seen = self.grained(images, fixed=True)
        return translate(self.average, seen, self.device, self.params)


TASK = Task(
    name="glyph_cyclegan",
    summary="glyphs from one font to another without pairs (Zhu et al. 2017)",
    params=GlyphCycleGANParams,
    load=load_glyphs,
    build=GlyphCycleGAN,
    evaluator=glyph_evaluator,
    objective=OBJECTIVE,
)

if __name__ == "__main__":
    main(TASK)
