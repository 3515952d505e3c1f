"""The painting evaluator's exam: real painterly translations, and what would cheat it.

All images are N x 3 x H x W in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from core.data.images import Pixels
from core.data.outputs import ImagePairs
from core.data.painterly import paint
from core.data.tensors import from_pixels, to_pixels, to_tensor
from core.metrics import distortions as change
from core.metrics.painting_net import BRUSHES, PaintingNet
from core.task import Case

INPUTS = 24
STRENGTH, STEPS = 8 / 127.5, 10  # of the adversarial attack
CANVAS = 256
PAINTED, CLEAN = "the more is painted", "the cleaner the strokes"  # what the score rises with


def painting_exam(
    photographs: Sequence[Pixels], paintings: Tensor, nets: Mapping[str, PaintingNet]
) -> Iterator[Case]:
    """The cases, for the first 24 validation photographs (size x size) and all M paintings.

    `paintings`: M x 3 x size x size training paintings in [-1, 1]; each of `nets` is attacked.
    """
    pixels = photographs[:INPUTS]
    source = to_tensor(pixels)
    draw = torch.Generator().manual_seed(0)
    strokes = brushed(pixels, 0)

    def case(
        name: str, output: Tensor, good: bool | None = False, ladders: tuple[str, ...] = ()
    ) -> Case:
        return Case(name, ImagePairs(source, from_pixels(to_pixels(output))), good, ladders)

    yield case("the photograph itself", source, ladders=(PAINTED,))
    for share in (0.25, 0.5, 0.75):
        painted = partly(source, strokes, share, draw)
        yield case(f"painted over by {share:.0%}", painted, None, (PAINTED,))
    yield case("strokes under a grid", change.patterned(strokes, draw, "grid"), None, (CLEAN,))
    yield case("blurred strokes", change.blurred(strokes, 1), None, (CLEAN,))
    yield case("painted with brush strokes", strokes, True, (PAINTED, CLEAN))
    for name, output in bad_outputs(source, paintings, strokes, draw):
        yield case(name, output)
    yield case("a negative, painted over", brushed([255 - each for each in pixels], 0))
    for name, net in nets.items():
        yield case(f"adversarial to {name}", adversarial(source, net))


def bad_outputs(
    source: Tensor, paintings: Tensor, strokes: Tensor, draw: torch.Generator
) -> Iterator[tuple[str, Tensor]]:
    """Outputs that must not win, by name."""
    n = len(source)
    other = change.picked(paintings, n, draw)
    yield "white", torch.ones_like(source)
    yield "each photograph's mean colour", source.mean((2, 3), True).expand_as(source)
    yield "one painting for all", other[:1].expand_as(source)
    yield "other paintings", other
    yield "good outputs, shuffled", strokes.roll(1, 0)
    yield "noise", torch.rand(source.shape, generator=draw) * 2 - 1
    clouds = change.blurred(torch.randn(source.shape, generator=draw), 1.28)
    yield "coloured clouds", (0.5 * clouds / clouds.std()).clamp(-1, 1)
    filtered = recoloured_as(source, paintings)
    yield "colour filter", filtered
    yield "photograph and noise", change.noisy(source, draw)
    yield "colour filter and noise", change.noisy(filtered, draw)
    yield "colour filter and coarse grain", change.grainy(filtered, draw)
    yield "sharpened", change.sharpened(source)
    yield "posterised", change.posterised(source)
    yield "Kuwahara's filter", change.kuwahara(source)
    yield "both filters", change.kuwahara(filtered)
    yield "compressed", change.compressed(filtered, 8)
    yield "warped", change.warped(filtered, draw)
    yield "halos", change.haloed(source, draw)
    for knots in (2, 4, 8):
        fields = change.recoloured_in_fields(source, paintings, knots, draw)
        yield f"recoloured in {knots} x {knots} fields", fields
    yield "half a painting shows through", change.blended(source, other, 0.5)
    yield "a third of a painting shows through", change.blended(filtered, other, 0.33)
    yield "photograph, a painting's details", change.detailed(source, other, 1)
    yield "colour filter, a painting's details", change.detailed(filtered, other, 2.5)
    soft = change.blurred(filtered, 1.2)
    yield "blurred", soft
    yield "blurred, a painting's details", change.detailed(soft, other, 1.2)
    for base, images in (("photograph", source), ("blurred", soft), ("colour filter", filtered)):
        for kind in change.PATTERNS:
            yield f"{base} and {kind}", change.patterned(images, draw, kind)


def partly(photographs: Tensor, painted: Tensor, share: float, draw: torch.Generator) -> Tensor:
    """Photographs of which a share of the area, in patches, is painted over."""
    n, _, height, width = photographs.shape
    fields = torch.rand(n, 1, 12, 12, generator=draw)
    fields = F.interpolate(fields, (height, width), mode="bicubic")
    edge = torch.quantile(fields.flatten(1), 1 - share, dim=1).view(-1, 1, 1, 1)
    return torch.where(fields >= edge, painted, photographs)


def brushed(photographs: Sequence[Pixels], seed: int) -> Tensor:
    """Photographs (H x H x 3 uint8) painted with curved strokes: N x 3 x H x H in [-1, 1]."""
    random = np.random.default_rng(seed)
    painted = []
    for photograph in photographs:
        side = len(photograph)
        canvas = max(CANVAS, side * 3 // 2)
        large = Image.fromarray(photograph).resize((canvas, canvas), Image.Resampling.BICUBIC)
        picture = paint(large, BRUSHES, random, joints=False)
        painted.append(np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS)))
    return to_tensor(painted)


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


def adversarial(images: Tensor, net: PaintingNet) -> Tensor:
    """Projected gradient descent (Madry et al. 2018, arXiv 1706.06083) towards both of its heads.

    Ten steps within 8/255 of each pixel: to the eye the photograph is what it was.
    """
    device = next(net.parameters()).device
    attacked = []
    for batch in torch.split(images, 16):
        start = batch.to(device)
        moved = start.clone()
        for _ in range(STEPS):
            moved.requires_grad_(True)
            (slope,) = torch.autograd.grad(F.logsigmoid(net(moved)).sum(), moved)
            moved = moved.detach() + 2.5 * STRENGTH / STEPS * slope.sign()
            moved = moved.clamp(start - STRENGTH, start + STRENGTH).clamp(-1, 1)
        attacked.append(moved.cpu())
    return torch.cat(attacked)
