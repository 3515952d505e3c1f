"""The painting evaluator's exam: what would cheat an evaluator of style, and real painterly translations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from core.data.images import Pixels
from core.data.outputs import ImagePairs
from core.data.painterly import paint
from core.data.tensors import to_tensor
from core.metrics.patchwork import patchwork
from core.metrics.tampering import (
    adversarial,
    blurred_noise,
    grainy,
    kuwahara,
    noisy,
    posterised,
    recoloured_as,
    sharpened,
)
from core.task import Case

INPUTS = 48
BRUSHES = (16, 9, 6)  # radii on the canvas, coarse to fine
CANVAS = 256


def painting_exam(
    photographs: Sequence[Pixels],
    paintings: Tensor,
    nets: Sequence[nn.Module],
    device: torch.device,
    seed: int = 0,
) -> Iterator[Case]:
    """The cases, for the first 48 validation photographs (size x size) and all M paintings.

    `paintings`: M x 3 x size x size training paintings in [-1, 1]; `nets`: the evaluator's networks,
    each of which is attacked.
    """
    pixels = photographs[:INPUTS]
    source = to_tensor(pixels)
    n = len(source)
    draw = torch.Generator().manual_seed(seed)
    strokes = brushed(pixels, seed)

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
