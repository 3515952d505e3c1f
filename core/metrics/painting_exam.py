"""The painting evaluator's exam: real painterly translations, and what would cheat it.

All images are N x 3 x H x W in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
import torchvision.transforms.v2.functional as transforms
from PIL import Image
from torch import Tensor, nn

from core.data.images import Pixels
from core.data.outputs import ImagePairs
from core.data.painterly import paint
from core.data.tensors import from_pixels, to_pixels, to_tensor
from core.metrics.similarity import luminance
from core.task import Case

INPUTS = 48
STRENGTH, STEPS = 8 / 127.5, 10  # of the adversarial attack
NOISE = 0.2  # deviation
BRUSHES = (16, 9, 6)  # radii on the canvas, coarse to fine
CANVAS = 256
PATCHES = 16_000
COLOUR = 2.0  # what a difference in colour counts beside one in brightness
SEAM = 6.0  # how fast a patch fades from its middle: the more, the harder the seams


def painting_exam(
    photographs: Sequence[Pixels],
    paintings: Tensor,
    nets: Sequence[nn.Module],
    device: torch.device,
) -> Iterator[Case]:
    """The cases, for the first 48 validation photographs (size x size) and all M paintings.

    `paintings`: M x 3 x size x size training paintings in [-1, 1]; each of `nets`, the evaluator's
    networks, is attacked.
    """
    pixels = photographs[:INPUTS]
    source = to_tensor(pixels)
    n = len(source)
    draw = torch.Generator().manual_seed(0)
    strokes = brushed(pixels, 0)

    def case(name: str, output: Tensor, good: bool = False) -> Case:
        return Case(name, ImagePairs(source, output), good)

    yield case("painted with brush strokes", strokes, True)
    yield case("pieced together from paintings", patchwork(source, paintings, draw), True)
    yield case("the photograph itself", source)
    yield case("white", torch.ones_like(source))
    yield case("each photograph's mean colour", source.mean((2, 3), True).expand_as(source))
    one = int(torch.randint(len(paintings), (), generator=draw))
    yield case("one painting for all", paintings[one : one + 1].expand_as(source))
    other = torch.randint(len(paintings), (n,), generator=draw)
    yield case("other paintings", paintings[other])
    yield case("good outputs, shuffled", strokes.roll(1, 0))
    yield case("noise", torch.rand(source.shape, generator=draw) * 2 - 1)
    yield case("coloured clouds", blurred_noise(source, draw))
    yield case("photograph and noise", noisy(source, draw))
    filtered = recoloured_as(source, paintings)
    yield case("colour filter", filtered)
    yield case("colour filter and noise", noisy(filtered, draw))
    yield case("colour filter and coarse grain", grainy(filtered, draw))
    yield case("sharpened", sharpened(source))
    yield case("posterised", posterised(source))
    yield case("Kuwahara's filter", kuwahara(source))
    yield case("both filters", kuwahara(filtered))
    for number, net in enumerate(nets, 1):
        yield case(f"adversarial to network {number}", adversarial(source, net, device))


def brushed(photographs: Sequence[Pixels], seed: int) -> Tensor:
    """Photographs (H x H x 3 uint8) painted with curved strokes: N x 3 x H x H in [-1, 1]."""
    random = np.random.default_rng(seed)
    painted = []
    for photograph in photographs:
        side = len(photograph)
        canvas = max(CANVAS, 2 * side)
        large = Image.fromarray(photograph).resize((canvas, canvas), Image.Resampling.BICUBIC)
        small = paint(large, BRUSHES, random).resize((side, side), Image.Resampling.LANCZOS)
        painted.append(np.asarray(small))
    return to_tensor(painted)


def patchwork(photographs: Tensor, paintings: Tensor, generator: torch.Generator) -> Tensor:
    """N photographs in the patches of M paintings, both x 3 x H x H in [-1, 1], to N x 3 x H x H.

    Texture transfer (Efros and Freeman 2001, "Image quilting for texture synthesis and transfer")
    with soft seams: any target domain's texture in the input's layout. Patches of 3/32 of the side
    overlap by half; each is the one of up to 16,000 drawn at random, or its mirror image, that is
    nearest in brightness (6 x 6) and colour (2 x 2).
    """
    half = max(2, photographs.shape[-1] * 3 // 64)
    patch = 2 * half
    pieces = _drawn(paintings, patch, generator)
    mirrored = pieces.view(-1, 3, patch, patch).flip(3).flatten(1)
    pieces = torch.cat([pieces, mirrored])
    keys = _key(pieces, patch)
    ramp = 1 - ((torch.arange(patch) + 0.5) / patch * 2 - 1).abs()
    weight = ramp.outer(ramp) ** SEAM
    levelled = _levelled(photographs, paintings)
    return torch.stack([_assemble(x, pieces, keys, weight) for x in levelled]).clamp(-1, 1)


def _drawn(paintings: Tensor, patch: int, generator: torch.Generator) -> Tensor:
    """Up to 16,000 patches of the paintings, overlapping by half: N x 3*patch*patch."""
    each = ((paintings.shape[-1] - patch) // (patch // 2) + 1) ** 2
    chosen = torch.randperm(len(paintings) * each, generator=generator)[:PATCHES]
    pieces = torch.empty(len(chosen), 3 * patch**2)
    for number, painting in enumerate(paintings):
        here = chosen // each == number
        patches = F.unfold(painting[None], patch, stride=patch // 2)[0].T
        pieces[here] = patches[chosen[here] % each]
    return pieces


def _levelled(photographs: Tensor, paintings: Tensor) -> Tensor:
    """The photographs with the paintings' mean and deviation in each colour channel."""
    mean, deviation = (f(photographs, (0, 2, 3), keepdim=True) for f in (torch.mean, torch.std))
    target, spread = (f(paintings, (0, 2, 3), keepdim=True) for f in (torch.mean, torch.std))
    return (photographs - mean) / deviation.clamp(min=1e-3) * spread + target


def _key(pieces: Tensor, patch: int) -> Tensor:
    """What patches are compared by: N x 3*patch*patch to N x 48."""
    images = pieces.view(-1, 3, patch, patch)
    grey = luminance(images)
    small = F.adaptive_avg_pool2d(images, 2) - F.adaptive_avg_pool2d(grey, 2)
    return torch.cat([F.adaptive_avg_pool2d(grey, 6).flatten(1), COLOUR * small.flatten(1)], 1)


def _assemble(photo: Tensor, pieces: Tensor, keys: Tensor, weight: Tensor) -> Tensor:
    """One 3 x H x W photograph from the nearest pieces."""
    patch = len(weight)
    half = patch // 2
    height, width = photo.shape[1:]
    low, right = (half + -n % half for n in (height, width))
    padded = F.pad(photo[None], (half, right, half, low), mode="reflect")
    wanted = F.unfold(padded, patch, stride=half)[0].T
    chosen = pieces[torch.cdist(_key(wanted, patch), keys).argmin(1)]
    shares = weight.flatten().repeat(3)
    size = padded.shape[-2:]
    laid = F.fold((chosen * shares).T[None], size, patch, stride=half)
    laid = laid / F.fold(shares[:, None].expand(-1, len(chosen))[None], size, patch, stride=half)
    return laid[0][:, half : half + height, half : half + width]


def recoloured_as(images: Tensor, wanted: Tensor) -> Tensor:
    """A colour filter: mean and covariance of all their colours become those of `wanted`."""

    def moments(x: Tensor) -> tuple[Tensor, Tensor]:
        colours = x.transpose(0, 1).flatten(1)
        return colours.mean(1).view(1, 3, 1, 1), torch.cov(colours)

    def power(matrix: Tensor, exponent: float) -> Tensor:
        values, vectors = torch.linalg.eigh(matrix)
        root: Tensor = vectors @ torch.diag(values.clamp(min=1e-6) ** exponent) @ vectors.T
        return root

    (mean, spread), (target, target_spread) = moments(images), moments(wanted)
    mixing = power(target_spread, 0.5) @ power(spread, -0.5)
    return (torch.einsum("ij,njhw->nihw", mixing, images - mean) + target).clamp(-1, 1)


def sharpened(images: Tensor) -> Tensor:
    """Pillow's sharpening at four times its strength."""
    return from_pixels(transforms.adjust_sharpness(to_pixels(images), 4.0))


def posterised(images: Tensor) -> Tensor:
    """Two bits a colour channel."""
    return from_pixels(transforms.posterize(to_pixels(images), 2))


def noisy(images: Tensor, generator: torch.Generator) -> Tensor:
    """Gaussian noise added."""
    return (images + NOISE * torch.randn(images.shape, generator=generator)).clamp(-1, 1)


def grainy(images: Tensor, generator: torch.Generator) -> Tensor:
    """Noise added in grains of two pixels, or of 1/64 of the side where that is more."""
    n, channels, side, _ = images.shape
    coarse = side // max(2, side // 64)
    noise = torch.randn(n, channels, coarse, coarse, generator=generator)
    grain = F.interpolate(noise, (side, side), mode="bilinear")
    return (images + NOISE * grain).clamp(-1, 1)


def blurred_noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Coloured clouds: noise through a Gaussian of 1/50 of the side, its contrast restored."""
    sigma = max(like.shape[-1] / 50, 1.0)
    kernel = 2 * round(2 * sigma) + 1
    noise = torch.randn(like.shape, generator=generator)
    clouds = transforms.gaussian_blur(noise, [kernel, kernel], [sigma, sigma])
    return torch.clamp(0.5 * clouds / clouds.std(), -1, 1)


def kuwahara(images: Tensor) -> Tensor:
    """The edge-keeping filter that photo editors call "oil painting" (Kuwahara et al. 1976).

    Each pixel becomes the mean of the calmest of the four squares that meet in it; their radius is
    1/64 of the side, at least 2.
    """
    r = max(2, images.shape[-1] // 64)
    height, width = images.shape[-2:]

    def means(x: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(x, (r, r, r, r), mode="reflect"), r + 1, 1)

    grey = luminance(images)
    mean, unrest = means(images), means(grey * grey) - means(grey).square()
    corners = [(y, x) for y in (0, r) for x in (0, r)]
    squares = torch.stack([mean[:, :, y : y + height, x : x + width] for y, x in corners])
    calm = torch.stack([unrest[:, :, y : y + height, x : x + width] for y, x in corners])
    return squares.gather(0, calm.argmin(0, keepdim=True).expand(1, -1, 3, -1, -1))[0]


def adversarial(images: Tensor, net: nn.Module, device: torch.device) -> Tensor:
    """Projected gradient descent (Madry et al. 2018, arXiv 1706.06083) towards class 1 of `net`.

    Ten steps within 8/255 of each pixel: to the eye the photograph is what it was.
    """
    attacked = []
    for batch in torch.split(images, 16):
        start = batch.to(device)
        moved = start.clone()
        for _ in range(STEPS):
            moved.requires_grad_(True)
            logits = net(moved)
            (slope,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), moved)
            moved = moved.detach() + 2.5 * STRENGTH / STEPS * slope.sign()
            moved = moved.clamp(start - STRENGTH, start + STRENGTH).clamp(-1, 1)
        attacked.append(moved.cpu())
    return torch.cat(attacked)
