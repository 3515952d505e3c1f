"""What the published architectures share: the choice of normalisation, and their start."""

from __future__ import annotations

from typing import Literal

from torch import nn

Norm = Literal["instance", "batch", "layer", "group"]


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """A normalisation of N x C x H x W; `instance` has no learned scale, as in CycleGAN's code."""
    if norm == "instance":
        return nn.InstanceNorm2d(channels)
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    groups = 1 if norm == "layer" else max(g for g in range(1, 33) if channels % g == 0)
    return nn.GroupNorm(groups, channels)


def init_normal(net: nn.Module, std: float = 0.02) -> None:
    """Draw convolution weights from N(0, std) and zero their biases: Radford et al. 2016."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
