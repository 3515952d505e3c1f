from __future__ import annotations

import pytest
import torch
from torch import nn

from core.models.encoder_decoder import EncoderDecoder, Skip


def convolutions(net: nn.Module) -> list[tuple[int, int]]:
    kinds = nn.Conv2d | nn.ConvTranspose2d
    return [(m.in_channels, m.out_channels) for m in net.modules() if isinstance(m, kinds)]


def test_the_autoencoder_has_the_published_channels() -> None:
    net = EncoderDecoder(64)
    down = [(1, 64), (64, 128), (128, 256), (256, 512), (512, 512), (512, 512)]
    up = [(512, 512), (512, 512), (512, 256), (256, 128), (128, 64), (64, 1)]
    assert convolutions(net) == down + up


def test_the_u_net_reads_each_map_twice_as_wide() -> None:
    up = convolutions(EncoderDecoder(64, skip="concat"))[6:]
    assert up == [(512, 512), (1024, 512), (1024, 256), (512, 128), (256, 64), (128, 1)]


def test_it_has_as_many_parameters_as_it_says() -> None:
    counts = [sum(p.numel() for p in EncoderDecoder(64, skip=s).parameters())
              for s in ("none", "concat")]  # fmt: skip
    for count in counts:
        assert f"{count:,}" in str(EncoderDecoder.__doc__)


def test_norm_is_left_out_of_the_first_step_and_of_a_single_pixel() -> None:
    net = EncoderDecoder(64)
    normed = [any(isinstance(m, nn.InstanceNorm2d) for m in step.modules()) for step in net.down]
    assert normed == [False, True, True, True, True, False]
    shallow = EncoderDecoder(64, depth=4)
    assert any(isinstance(m, nn.InstanceNorm2d) for m in shallow.down[-1].modules())


def test_dropout_is_in_the_last_three_steps_down_and_the_first_two_up() -> None:
    net = EncoderDecoder(64, dropout=0.3)
    dropped = [[any(isinstance(m, nn.Dropout) for m in s.modules()) for s in part]
               for part in (net.down, net.up)]  # fmt: skip
    assert dropped == [[False] * 3 + [True] * 3, [True] * 2 + [False] * 3]
    assert not any(isinstance(m, nn.Dropout) for m in EncoderDecoder(64, dropout=0).modules())


@pytest.mark.parametrize("skip", ["none", "add", "concat"])
@pytest.mark.parametrize(
    ("size", "depth", "blocks"), [(32, 0, 0), (64, 4, 1), (128, 0, 0), (32, 1, 0)]
)
def test_it_keeps_the_size_and_stays_in_range(
    skip: Skip, size: int, depth: int, blocks: int
) -> None:
    net = EncoderDecoder(size, 3, 4, depth, skip, "instance", 0.5, blocks)
    out = net(torch.randn(2, 3, size, size))
    assert out.shape == (2, 3, size, size)
    assert out.abs().max() <= 1
    out.mean().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_a_skip_carries_what_the_bottleneck_cannot() -> None:
    """With the deepest map silenced, a skip still tells inputs apart; the autoencoder cannot."""
    torch.manual_seed(0)
    images = torch.randn(2, 1, 32, 32)
    for skip, alike in (("none", True), ("add", False), ("concat", False)):
        net = EncoderDecoder(32, width=8, skip=skip, dropout=0.0).eval()  # type: ignore[arg-type]
        net.down[-1].register_forward_hook(lambda module, inputs, output: output * 0)
        a, b = net(images)
        assert torch.allclose(a, b) is alike
