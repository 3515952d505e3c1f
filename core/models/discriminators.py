"""Which discriminators a CycleGAN trains: patch ones, or such as see with a pretrained network."""

from __future__ import annotations

from typing import Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from core.backbone import Backbone, discriminator_backbone
from core.models.compute import Compute
from core.models.networks import Norm, PatchDiscriminator
from core.params import flag
from core.task import Params

STAGES = 5  # of the backbone: the stem, then those read, at strides of 2, 4, 8 and 16 pixels
MIXED = 64  # channels that a depth's features are mixed into


class DiscriminatorParams(Params):
    """The kind of the discriminators; the default is the published one."""

    discriminator: Literal["patch", "projected"] = Field(
        "patch",
        description="projected: judge what a pretrained network sees; strokes come in minutes",
    )
    d_layers: int = Field(
        3,
        ge=1,
        le=5,
        description="strided layers of a patch discriminator; a patch has 16, 34, 70 ... pixels",
    )
    spectral_norm: bool = Field(
        False, description="spectral normalisation in the patch discriminators"
    )
    d_gain: float = Field(
        1.0,
        gt=0,
        le=1000,
        description="factor of the patch discriminators' outputs: their Lipschitz constant under "
        "a spectral norm",
    )

    @model_validator(mode="after")
    def _has_what_is_set(self) -> Self:
        if self.discriminator == "projected":
            for name in ("d_layers", "spectral_norm", "d_gain"):
                if getattr(self, name) != DiscriminatorParams.model_fields[name].default:
                    raise ValueError(f"{flag(name)} is of patch discriminators; drop it")
        return self


def discriminators(
    p: DiscriminatorParams, width: int, norm: Norm, channels: int, compute: Compute
) -> list[nn.Module]:
    """One for each of two domains, on the device; projected ones share their backbone."""
    if p.discriminator == "projected":
        backbone = discriminator_backbone().to(compute.device)
        return [compute.place(ProjectedDiscriminator(backbone)) for _ in range(2)]
    patch = width, norm, channels, p.d_layers, p.spectral_norm, p.d_gain
    return [compute.place(PatchDiscriminator(*patch)) for _ in range(2)]


class ProjectedDiscriminator(nn.Module):
    """Small convolutions that judge four depths of a frozen network (Sauer et al. 2021).

    "Projected GANs converge faster" (arXiv 2111.01007): a head for each depth reads the features
    of a network pretrained on ImageNet, whose channels are mixed at random and stay so. Unlike
    the paper's, depths are not mixed with one another, and all heads have the same layers. The
    `backbone` is shared: it is not in the module's state_dict and is never trained.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.seen = (backbone,)  # a tuple, so that it is no submodule
        self.look = torch.compiler.disable(self._maps)  # its kernels are slower compiled
        black = torch.zeros(1, 3, 32, 32, device=backbone.mean.device)
        with torch.no_grad():
            maps = backbone.maps(black, STAGES)[1:]
        self.mixers = nn.ModuleList()
        self.heads = nn.ModuleList()
        for features in maps:
            mixer = nn.Conv2d(features.shape[1], MIXED, 1)
            nn.init.kaiming_normal_(mixer.weight, nonlinearity="linear")
            self.mixers.append(mixer)
            wide = nn.Conv2d(MIXED, MIXED, 3, padding=1)
            self.heads.append(nn.Sequential(wide, nn.LeakyReLU(0.2), nn.Conv2d(MIXED, 1, 1)))
        self.mixers.requires_grad_(False)

    def requires_grad_(self, requires_grad: bool = True) -> ProjectedDiscriminator:
        """Train the heads, or nothing; the mixers stay as they were drawn."""
        self.heads.requires_grad_(requires_grad)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """N x 3 (or 1) x H x W in [-1, 1] to N x 4 x H/2 x W/2 logits, as many of each depth."""
        maps = self.look(x.expand(-1, 3, -1, -1))[1:]
        logits = [
            head(mixer(features))
            for mixer, head, features in zip(self.mixers, self.heads, maps, strict=True)
        ]
        size = logits[0].shape[-2:]
        return torch.cat([F.interpolate(each, size, mode="nearest") for each in logits], 1)

    def _maps(self, x: Tensor) -> list[Tensor]:
        """What the backbone sees; on a CPU in fp32, which is the faster for depthwise kernels."""
        backbone = self.seen[0]
        if x.device.type != "cpu":
            return backbone.maps(x, STAGES)
        with torch.autocast("cpu", enabled=False):
            return backbone.maps(x.float(), STAGES)
