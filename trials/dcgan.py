"""DCGAN makes digits, or any small images, from noise: Radford et al. 2016 (arXiv 1511.06434).

python -m trials.dcgan --help                  every parameter
python -m trials.dcgan --conditional           one trial that is given the class of each image
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from core.data.digits import LabelledImages, load_digits
from core.main import main
from core.models.gan import GanParams, GanTraining
from core.models.gan_networks import ConvDiscriminator, ConvGenerator
from core.models.networks import Upsample
from core.task import Task
from evaluators.digits import OBJECTIVE, digit_evaluator


class DCGANParams(GanParams):
    """Every default but the width, 128, is the paper's, whose images have 64 pixels."""

    width: int = Field(
        32, ge=2, le=1024, description="channels of the generator's last map, D's first"
    )
    upsample: Upsample = Field(
        "transposed", description="the generator's way up; resize leaves no checkerboard"
    )
    conditional: bool = Field(
        False, description="both networks are given the class of each image (Mirza 2014)"
    )


class DCGAN(GanTraining):
    """Both networks are convolutional."""

    params: DCGANParams

    def __init__(
        self, params: DCGANParams, data: LabelledImages | None, device: torch.device
    ) -> None:
        p = params

        def build(classes: int) -> tuple[nn.Module, nn.Module]:
            how = p.norm_d, p.dropout, p.d_final_norm, p.width
            return (
                ConvGenerator(p.size, p.channels, p.z + classes, p.norm_g, p.width, p.upsample),
                ConvDiscriminator(p.size, p.channels + classes, *how),
            )

        super().__init__(params, data, device, build, p.conditional)


TASK = Task(
    name="dcgan",
    summary="digits, or any small images, from noise by a DCGAN (Radford et al. 2016)",
    params=DCGANParams,
    load=load_digits,
    build=DCGAN,
    evaluator=digit_evaluator,
    objective=OBJECTIVE,
    inference=lambda p, device: DCGAN(p, load_digits(p) if p.conditional else None, device),
)

if __name__ == "__main__":
    main(TASK)
