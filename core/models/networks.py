"""The published image networks: CycleGAN's generator, pix2pix's encoder-decoder, the PatchGAN."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from core.device import autocast

Norm = Literal["instance", "batch", "layer", "group", "none"]
Skip = Literal["concat", "add", "none"]
Upsample = Literal["transposed", "resize"]
BLUR = 4  # pixels: what a generator's `skip` leaves of its input
WIDEST = 8  # an encoder's widest layer, as a multiple of its first


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalisation (Ulyanov et al. 2016) that a compiler can fuse with its neighbours.

    PyTorch's own is opaque to the compiler and copies channels-last images there and back.
    """

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to the same shape: each image's channels with mean 0 and variance 1."""
        if not torch.compiler.is_compiling():
            return super().forward(x)
        var, mean = torch.var_mean(x.float(), (2, 3), correction=0, keepdim=True)
        return ((x.float() - mean) * torch.rsqrt(var + self.eps)).to(x.dtype)


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al. 2014) whose rate is data: one compilation serves all rates."""

    rate: Tensor

    def __init__(self, p: float) -> None:
        super().__init__(p)
        self.register_buffer("rate", torch.tensor(p), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """A tensor to the same shape, entries dropped in training."""
        if not torch.compiler.is_compiling() or not self.training:
            return super().forward(x)
        keep = torch.rand_like(x, dtype=torch.float32) >= self.rate
        return x * keep / (1 - self.rate)


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """A normalisation of N x C x H x W; `instance` has no learned scale, as in CycleGAN's code."""
    if norm == "none":
        return nn.Identity()
    if norm == "instance":
        return InstanceNorm(channels)
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


@torch.no_grad()
def init_without_norm(net: nn.Module) -> None:
    """Draw a generator's weights as He et al. 2015, where no norm sets the scale of its layers.

    Residual branches begin small, so that many of them add up, and so does the last layer.
    """
    convolutions = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    for layer in convolutions:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    for block in net.modules():
        if isinstance(block, ResidualBlock):
            last = [layer for layer in block.body if isinstance(layer, nn.Conv2d)][-1]
            last.weight.mul_(0.3)
    convolutions[-1].weight.mul_(0.1)


@torch.no_grad()
def apply_in_batches(
    net: nn.Module, images: Tensor, device: torch.device, precision: str, size: int = 16
) -> Tensor:
    """N x C x H x W images through `net` in eval mode, `size` at a time; float32 on the CPU."""
    net.eval()
    with autocast(device, precision):
        outputs = [net(part.to(device)).float().cpu() for part in torch.split(images, size)]
    net.train()
    return torch.cat(outputs)


class ResidualBlock(nn.Module):
    """x + f(x): reflection pad, c3, norm, ReLU, [dropout], reflection pad, c3, norm."""

    def __init__(self, channels: int, norm: Norm, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            norm_layer(norm, channels),
            nn.ReLU(inplace=True),
            *([Dropout(dropout)] if dropout > 0 else []),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            norm_layer(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to the same shape."""
        return x + cast(Tensor, self.body(x))


def upsampling(channels: int, how: Upsample) -> list[nn.Module]:
    """Layers from N x C x H x W to N x C/2 x 2H x 2W.

    `resize` repeats the nearest pixels and convolves: no grid (Odena et al. 2016, Distill 1(10)).
    """
    if how == "transposed":
        return [nn.ConvTranspose2d(channels, channels // 2, 3, 2, padding=1, output_padding=1)]
    convolution = nn.Conv2d(channels, channels // 2, 3)
    return [nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1), convolution]


class ResnetGenerator(nn.Module):
    """c7s1-w, d2w, d4w, `blocks` x R4w, u2w, uw, c7s1, tanh (Zhu et al. 2017, appendix 7.2).

    The residual image-to-image network of Johnson et al. 2016. Height and width must be multiples
    of 4 and at least 16. Width 64 with 9 blocks and instance norm has 11,378,179 parameters.

    With `skip` add, the features before each strided layer are added to those of their size on the
    way up, and what comes out is added to the input without its details, in place of the tanh: the
    network paints details over a blurred input. Out of training the sum is clamped to [-1, 1]; in
    training it is not, since a saturated tanh has no gradient, and no norm brings it back.
    """

    def __init__(
        self,
        width: int = 64,
        blocks: int = 9,
        norm: Norm = "instance",
        dropout: float = 0.0,
        channels: int = 3,
        upsample: Upsample = "transposed",
        skip: Literal["none", "add"] = "none",
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7)]
        layers += [norm_layer(norm, width), nn.ReLU(inplace=True)]
        self.skip, self.kept, self.added = skip, list[int](), list[int]()
        for wide in (width, 2 * width):
            self.kept.append(len(layers))
            layers += [nn.Conv2d(wide, 2 * wide, 3, stride=2, padding=1)]
            layers += [norm_layer(norm, 2 * wide), nn.ReLU(inplace=True)]
        layers += [ResidualBlock(4 * width, norm, dropout) for _ in range(blocks)]
        for wide in (4 * width, 2 * width):
            layers += upsampling(wide, upsample)
            layers += [norm_layer(norm, wide // 2), nn.ReLU(inplace=True)]
            self.added.append(len(layers))
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7)]
        layers += [nn.Tanh()] if skip == "none" else []
        self.layers = nn.Sequential(*layers)
        init_normal(self)
        if norm == "none":
            init_without_norm(self)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W in [-1, 1] to the same."""
        if self.skip == "none":
            return cast(Tensor, self.layers(x))
        features, kept = x, list[Tensor]()
        for i, layer in enumerate(self.layers):
            if i in self.kept:
                kept.append(features)
            if i in self.added:
                features = features + kept.pop()
            features = layer(features)
        blurred = nn.functional.avg_pool2d(x, BLUR)
        blurred = nn.functional.interpolate(blurred, scale_factor=BLUR, mode="bilinear")
        total = blurred + features
        return total if self.training else total.clamp(-1, 1)


class EncoderDecoder(nn.Module):
    """Halves a square image `depth` times and doubles it again; depth 0 goes down to 1 x 1 pixel.

    An autoencoder, or with `skip` the U-Net of Isola et al. 2017 (pix2pix). A step down: c4s2 with
    width, 2, 4, 8, 8 ... times width channels, norm (not on the first, not on 1 x 1 pixel),
    LeakyReLU 0.2, dropout on the last three, then `blocks` residual blocks where there is more
    than one pixel. A step up: transposed c4s2, norm, ReLU, dropout on the first two. The last one
    doubles the nearest pixels: c4, tanh. `skip` hands each encoder map to the decoder step of its
    size by concatenation or by addition. Width 64 at 64 pixels has 22,287,745 parameters, with
    concatenated skips 29,235,585.
    """

    def __init__(
        self,
        size: int,
        channels: int = 1,
        width: int = 64,
        depth: int = 0,
        skip: Skip = "none",
        norm: Norm = "instance",
        dropout: float = 0.5,
        blocks: int = 0,
    ) -> None:
        super().__init__()
        depth = depth or size.bit_length() - 1
        widths = [width * min(2**i, WIDEST) for i in range(depth)]
        self.skip = skip
        self.down = nn.ModuleList()
        for i, (wide_in, wide) in enumerate(zip([channels, *widths], widths, strict=False)):
            one_pixel = size >> (i + 1) == 1
            layers: list[nn.Module] = [nn.Conv2d(wide_in, wide, 4, stride=2, padding=1)]
            layers += [norm_layer(norm, wide)] if i > 0 and not one_pixel else []
            layers += [nn.LeakyReLU(0.2)]
            layers += [Dropout(dropout)] if dropout > 0 and i >= depth - 3 else []
            layers += [ResidualBlock(wide, norm, 0.0) for _ in range(0 if one_pixel else blocks)]
            self.down.append(nn.Sequential(*layers))
        self.up = nn.ModuleList()
        doubled = 2 if skip == "concat" else 1
        for i, wide in enumerate(reversed(widths[:-1])):
            wide_in = widths[-1] if i == 0 else widths[-1 - i] * doubled
            layers = [nn.ConvTranspose2d(wide_in, wide, 4, stride=2, padding=1)]
            layers += [norm_layer(norm, wide), nn.ReLU()]
            layers += [Dropout(dropout)] if dropout > 0 and i < 2 else []
            self.up.append(nn.Sequential(*layers))
        self.last = nn.Sequential(
            nn.Upsample(scale_factor=2),
            nn.ZeroPad2d((1, 0, 1, 0)),
            nn.Conv2d(width * (doubled if depth > 1 else 1), channels, 4, padding=1),
            nn.Tanh(),
        )
        init_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x size x size in [-1, 1] to the same."""
        maps = []
        for step in self.down:
            x = step(x)
            maps.append(x)
        for step, encoded in zip(self.up, reversed(maps[:-1]), strict=True):
            x = step(x)
            if self.skip == "concat":
                x = torch.cat([x, encoded], 1)
            elif self.skip == "add":
                x = x + encoded
        return cast(Tensor, self.last(x))


class PatchDiscriminator(nn.Module):
    """The 70 x 70 PatchGAN of Isola et al. 2017: Cw-C2w-C4w-C8w, one logit per patch.

    4 x 4 convolutions, LeakyReLU 0.2, no norm on the first. Every logit sees 70 x 70 pixels with
    `layers` 3, 34 with 2, 16 with 1; inputs must be at least 32 x 32. Width 64 with instance norm
    has 2,764,737 parameters. A conditional discriminator sees the image and its source
    concatenated: twice the channels. `spectral`: every convolution has norm 1 (Miyato et al. 2018),
    and `gain`, a factor of the logits, is the Lipschitz constant: with 1 faint brush strokes
    change the logits too little to be learnt.
    """

    def __init__(
        self,
        width: int = 64,
        norm: Norm = "instance",
        channels: int = 3,
        layers: int = 3,
        spectral: bool = False,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        widths = [width * min(2**i, WIDEST) for i in range(layers + 1)]
        steps: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1)]
        steps += [nn.LeakyReLU(0.2, inplace=True)]
        for i, (wide_in, wide) in enumerate(pairwise(widths), 1):
            steps += [nn.Conv2d(wide_in, wide, 4, stride=2 if i < layers else 1, padding=1)]
            steps += [norm_layer(norm, wide), nn.LeakyReLU(0.2, inplace=True)]
        steps += [nn.Conv2d(widths[-1], 1, 4, padding=1)]
        self.gain = gain
        self.layers = nn.Sequential(*steps)
        init_normal(self)
        for step in steps if spectral else ():
            if isinstance(step, nn.Conv2d):
                spectral_norm(step)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W in [-1, 1] to N x 1 x (H/2^layers - 2) x (W/2^layers - 2) logits."""
        return self.gain * cast(Tensor, self.layers(x))
