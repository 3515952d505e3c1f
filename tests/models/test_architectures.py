from __future__ import annotations

import pytest
import torch
from torch import nn

from core.models.layers import norm_layer
from core.models.patch_discriminator import PatchDiscriminator
from core.models.resnet_generator import ResnetGenerator


def size(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_the_published_parameter_counts() -> None:
    assert size(ResnetGenerator(64, 9)) == 11_378_179
    assert size(PatchDiscriminator(64)) == 2_764_737
    assert size(ResnetGenerator(64, 6)) == 11_378_179 - 3 * 2 * (256 * 256 * 9 + 256)


@pytest.mark.parametrize("norm", ["instance", "batch", "layer", "group"])
def test_shapes_ranges_and_gradients_with_each_norm(norm: str) -> None:
    torch.manual_seed(0)
    generator = ResnetGenerator(4, 2, norm, 0.5)  # type: ignore[arg-type]
    discriminator = PatchDiscriminator(4, norm)  # type: ignore[arg-type]
    x = torch.rand(2, 3, 32, 48) * 2 - 1
    y = generator(x)
    assert y.shape == x.shape
    assert y.abs().max() <= 1
    assert discriminator(y).shape == (2, 1, 2, 4)
    discriminator(y).mean().backward()
    assert all(p.grad is not None for p in generator.parameters())


def test_a_logit_sees_70_by_70_pixels() -> None:
    discriminator = PatchDiscriminator(4, "layer")
    for layer in discriminator.modules():  # a norm over the whole image would see everything
        if isinstance(layer, nn.GroupNorm):
            layer.forward = lambda x: x  # type: ignore[method-assign]
    x = torch.randn(1, 3, 160, 160, requires_grad=True)
    logits = discriminator(x)
    logits[0, 0, 9, 9].backward()
    assert x.grad is not None
    rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert int(rows.max() - rows.min()) + 1 == 70


def test_dropout_is_in_the_residual_blocks_and_only_there() -> None:
    def count(dropout: float) -> int:
        layers = ResnetGenerator(4, 3, dropout=dropout).modules()
        return sum(isinstance(layer, nn.Dropout) for layer in layers)

    assert (count(0.0), count(0.3)) == (0, 3)


def test_weights_start_as_published() -> None:
    torch.manual_seed(0)
    weights = ResnetGenerator(32, 2).layers[4].weight
    assert isinstance(weights, torch.Tensor)
    assert float(weights.detach().std()) == pytest.approx(0.02, rel=0.05)


def test_group_norm_takes_any_width() -> None:
    layer = norm_layer("group", 12)
    assert isinstance(layer, nn.GroupNorm)
    assert layer.num_groups == 12
    layer = norm_layer("group", 40)
    assert isinstance(layer, nn.GroupNorm)
    assert layer.num_groups == 20
