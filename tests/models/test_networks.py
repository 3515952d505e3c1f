from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import Tensor, nn

from core.models.networks import (
    EncoderDecoder,
    PatchDiscriminator,
    ResnetGenerator,
    Skip,
    Upsample,
    apply_in_batches,
    norm_layer,
)


def size(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_the_published_parameter_counts() -> None:
    assert size(ResnetGenerator(64, 9)) == 11_378_179
    assert size(PatchDiscriminator(64)) == 2_764_737
    assert size(ResnetGenerator(64, 6)) == 11_378_179 - 3 * 2 * (256 * 256 * 9 + 256)


@pytest.mark.parametrize("norm", ["instance", "batch", "layer", "group", "none"])
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


@pytest.mark.parametrize(("layers", "pixels"), [(1, 16), (2, 34), (3, 70)])
def test_a_logit_sees_a_patch_of_so_many_pixels(layers: int, pixels: int) -> None:
    discriminator = PatchDiscriminator(4, "layer", layers=layers)
    for layer in discriminator.modules():  # a norm over the whole image would see everything
        if isinstance(layer, nn.GroupNorm):
            layer.forward = lambda x: x  # type: ignore[method-assign]
    x = torch.randn(1, 3, 160, 160, requires_grad=True)
    logits = discriminator(x)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    assert x.grad is not None
    rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert int(rows.max() - rows.min()) + 1 == pixels


def test_a_spectral_norm_keeps_each_convolution_at_norm_1() -> None:
    torch.manual_seed(0)
    net = PatchDiscriminator(4, "none", spectral=True)
    for _ in range(30):  # a step of the power iteration each
        net(torch.randn(1, 3, 32, 32))
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            norm = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
            assert float(norm.detach()) == pytest.approx(1, abs=0.05)


def test_a_gain_is_the_lipschitz_constant_of_a_discriminator() -> None:
    torch.manual_seed(0)
    plain = PatchDiscriminator(4, "none", spectral=True).eval()
    steep = PatchDiscriminator(4, "none", spectral=True, gain=10).eval()
    steep.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 32, 32)
    assert torch.allclose(steep(x), 10 * plain(x), atol=1e-5)


def test_resize_convolution_leaves_no_grid() -> None:
    @torch.no_grad()
    def unevenness(upsample: Upsample) -> float:
        torch.manual_seed(0)
        net = ResnetGenerator(8, 1, "instance", upsample=upsample)
        noise = net.layers[:-2](torch.rand(8, 3, 32, 32) * 2 - 1)[..., 4:-4, 4:-4]
        power = noise.square().mean((0, 1))  # of the pixels at each place of a 4 x 4 grid
        cells = torch.stack([power[i::4, j::4].mean() for i in range(4) for j in range(4)])
        return float(cells.std() / cells.mean())

    assert unevenness("resize") < 0.5 * unevenness("transposed")


def test_a_generator_with_skips_begins_at_its_blurred_input() -> None:
    torch.manual_seed(0)
    net = ResnetGenerator(8, 2, "none", upsample="resize", skip="add").eval()
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    blurred = nn.functional.avg_pool2d(x, 4)
    y = net(x)
    assert (nn.functional.avg_pool2d(y, 4) - blurred).abs().mean() < 0.3
    assert y.abs().max() <= 1
    smooth = net(torch.zeros(1, 3, 32, 32))
    assert (net(0.1 * torch.randn(1, 3, 32, 32)) - smooth).abs().max() > 0.01, "grain gets through"
    last = cast(nn.Conv2d, net.layers[-1])
    nn.init.constant_(cast(Tensor, last.bias), 3.0)
    net.train()(x).mean().backward()
    assert last.bias is not None
    assert last.bias.grad is not None
    assert float(last.bias.grad.abs().max()) > 0.3, "out of range it has a way back"


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


def test_images_pass_in_batches_in_eval_mode() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Dropout(0.9))
    images = torch.rand(5, 1, 8, 8)
    out = apply_in_batches(net, images, torch.device("cpu"), "fp32", size=2)
    assert torch.allclose(out, net[0](images))
    assert not out.requires_grad
    assert net.training


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


def test_the_encoder_decoder_has_as_many_parameters_as_documented() -> None:
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
    dropped = [[any(isinstance(m, nn.Dropout) for m in s.modules()) for s in half]
               for half in (net.down, net.up)]  # fmt: skip
    assert dropped == [[False] * 3 + [True] * 3, [True] * 2 + [False] * 3]
    assert not any(isinstance(m, nn.Dropout) for m in EncoderDecoder(64, dropout=0).modules())


@pytest.mark.parametrize("skip", ["none", "add", "concat"])
@pytest.mark.parametrize(
    ("size", "depth", "blocks"), [(32, 0, 0), (64, 4, 1), (128, 0, 0), (32, 1, 0)]
)
def test_the_encoder_decoder_keeps_the_size_and_stays_in_range(
    skip: Skip, size: int, depth: int, blocks: int
) -> None:
    net = EncoderDecoder(size, 3, 4, depth, skip, "instance", 0.5, blocks)
    out = net(torch.randn(2, 3, size, size))
    assert out.shape == (2, 3, size, size)
    assert out.abs().max() <= 1
    out.mean().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_a_skip_carries_what_the_bottleneck_cannot() -> None:
    """With the deepest map silenced, a skip still separates the inputs; the autoencoder cannot."""
    torch.manual_seed(0)
    images = torch.randn(2, 1, 32, 32)
    for skip, alike in (("none", True), ("add", False), ("concat", False)):
        net = EncoderDecoder(32, width=8, skip=skip, dropout=0.0).eval()  # type: ignore[arg-type]
        net.down[-1].register_forward_hook(lambda module, inputs, output: output * 0)
        a, b = net(images)
        assert torch.allclose(a, b) is alike
