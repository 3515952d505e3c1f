"""CycleGAN: unpaired image-to-image translation, as in Zhu et al. 2017 (arXiv 1703.10593).

python -m trials.cyclegan --help        every parameter
python -m trials.cyclegan --size 64     one trial with the published defaults
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from core.data.images import Pixels, Preprocess, UnpairedImages, load_unpaired
from core.data.outputs import ImagePairs
from core.data.tensors import random_crops, to_tensor
from core.main import main
from core.models.cyclegan import Batch, CycleParams, CycleTraining
from core.task import Task
from evaluators.painting import OBJECTIVE, DomainName, EvaluatorKind, PaintingEvaluator

EVALUATED_INPUTS = 128
OTHER_DOMAIN: dict[str, DomainName] = {"A": "B", "B": "A"}


class CycleGANParams(CycleParams):
    """Every default is the paper's (its section 4 and appendix 7)."""

    data: str = Field(
        "sample", description="data folder; 'sample' is the embedded one, created on first use"
    )
    recursive: bool = Field(False, description="take the images in sub-folders of a domain, too")
    preprocess: Preprocess = Field(
        "resize", description="scale both sides or the width to size x 286/256, or not; then crop"
    )
    flip: bool = Field(True, description="mirror half of the training images")
    size: int = Field(256, ge=32, le=2048, description="side of the square images, a multiple of 4")
    crop: int = Field(0, ge=0, le=2048, description="side of the training crops; 0: size")
    source: Literal["A", "B"] = Field("B", description="the domain to translate: photographs")
    evaluator: EvaluatorKind = Field(
        "guarded", description="plain is the bare probability of a painting: easy to game"
    )
    evaluator_weights: str = Field(
        "auto",
        description="the pretrained network that the evaluator sees with: auto "
        "(efficientnet-lite0), efficientnet-lite1, resnet18, scratch (none) or a file of weights",
    )
    standard_measures: bool = Field(
        False, description="show FID, KID, LPIPS and SSIM, where torchvision's weights are there"
    )

    @model_validator(mode="after")
    def _size_fits(self) -> Self:
        if self.size % 4:
            raise ValueError(f"--size {self.size}: must be a multiple of 4 (two stride-2 layers)")
        if self.crop % 4 or self.crop > self.size:
            raise ValueError(f"--crop {self.crop}: must be a multiple of 4 up to size, {self.size}")
        if (side := self.crop or self.size) // 2**self.d_layers < 3:
            what = f"--d-layers {self.d_layers}: too many for {side} pixels"
            raise ValueError(f"{what}; take fewer, or larger crops")
        return self


class CycleGAN(CycleTraining):
    """Photographs x and paintings y, cropped and mirrored at random."""

    params: CycleGANParams

    def __init__(self, params: CycleGANParams, data: UnpairedImages, device: torch.device) -> None:
        super().__init__(params, 3, device)
        self.train_x = data.domain(params.source).train
        self.train_y = data.domain(OTHER_DOMAIN[params.source]).train
        self.inputs = to_tensor(data.domain(params.source).validation[:EVALUATED_INPUTS])

    @property
    def steps_per_epoch(self) -> int:
        """One pass over the larger domain."""
        return -(-max(len(self.train_x), len(self.train_y)) // self.params.batch_size)

    def draw_batches(self) -> Iterator[Batch]:
        """One pass over the larger domain; the smaller one repeats. Both are shuffled."""
        size, n = self.params.batch_size, max(len(self.train_x), len(self.train_y))
        order_x, order_y = (self.shuffled(len(d), n) for d in (self.train_x, self.train_y))
        for i in range(0, n, size):
            yield Batch(
                self._crops([self.train_x[k] for k in order_x[i : i + size]]),
                self._crops([self.train_y[k] for k in order_y[i : i + size]]),
            )

    def _crops(self, images: Sequence[Pixels]) -> Tensor:
        side = self.params.crop or self.params.size
        return random_crops(images, side, self.params.flip, self.random, self.device)

    def outputs(self) -> ImagePairs:
        """The first 128 validation images of the source domain, translated by G."""
        return ImagePairs(self.inputs, self.translate(self.inputs))


def _evaluator(p: CycleGANParams, holdout: bool = False) -> PaintingEvaluator:
    how = (p.evaluator_weights, p.device, p.evaluator, holdout, p.standard_measures)
    return PaintingEvaluator(OTHER_DOMAIN[p.source], *how)


TASK = Task(
    name="cyclegan",
    summary="photographs to paintings without pairs (Zhu et al. 2017)",
    params=CycleGANParams,
    load=lambda p: load_unpaired(p.data, p.size, p.preprocess, p.recursive),
    build=CycleGAN,
    evaluator=_evaluator,
    objective=OBJECTIVE,
    holdout=partial(_evaluator, holdout=True),
    inference=lambda p, device: CycleTraining(p, 3, device),
)

if __name__ == "__main__":
    main(TASK)
