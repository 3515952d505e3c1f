"""A fully connected GAN makes digits from noise, as in Goodfellow et al. 2014 (arXiv 1406.2661).

python -m trials.gan --help            every parameter
python -m trials.gan --data mnist      one trial with the baseline, on MNIST's files in a folder
"""

from __future__ import annotations

from typing import Self

import torch
from pydantic import model_validator

from core.data.digits import LabelledImages, load_digits
from core.main import main
from core.models.gan import GanParams, GanTraining
from core.models.gan_networks import DenseDiscriminator, DenseGenerator
from core.task import Task
from evaluators.digits import OBJECTIVE, digit_evaluator


class DenseGanParams(GanParams):
    """z-128-256-512-1024-image and image-512-256-1 units."""

    @model_validator(mode="after")
    def _norms_units(self) -> Self:
        for name in ("norm_g", "norm_d"):
            if getattr(self, name) == "instance":
                flag = f"--{name.replace('_', '-')}"
                raise ValueError(f"{flag} instance: a unit is no image; take batch, layer or group")
        return self


class DenseGan(GanTraining):
    """Both networks are fully connected."""

    def __init__(
        self, params: DenseGanParams, data: LabelledImages | None, device: torch.device
    ) -> None:
        p = params
        generator = DenseGenerator(p.size, p.channels, p.z, p.norm_g)
        d = DenseDiscriminator(p.size, p.channels, p.norm_d, p.dropout, p.d_final_norm)
        super().__init__(params, data, device, lambda classes: (generator, d))


TASK = Task(
    name="gan",
    summary="digits from noise by a fully connected GAN (Goodfellow et al. 2014)",
    params=DenseGanParams,
    load=load_digits,
    build=DenseGan,
    evaluator=digit_evaluator,
    objective=OBJECTIVE,
    inference=lambda p, device: DenseGan(p, None, device),
)

if __name__ == "__main__":
    main(TASK)
