"""Collapse: a generator with one output for all inputs, or outputs that ignore them or are blank.

Mode collapse (Goodfellow 2016, arXiv 1701.00160, section 5.1; Salimans et al. 2016, arXiv
1606.03498, section 3.2: "the generator collapses to a parameter setting where it always emits the
same point") shows in the outputs. A discriminator that has won shows in the generator's gradient,
which vanishes (Arjovsky and Bottou 2017, arXiv 1701.04862, theorem 2.4). Losses show neither: with
a pixel or cycle loss the generator goes on learning while the discriminator is never wrong.

The outputs of a young network look collapsed for a while, since it learns the mean image first; but
its score still improves, which `core.training.history` takes into account.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.data.outputs import ENOUGH_INPUTS, ImagePairs

ENOUGH_TO_CORRELATE = 32
# Of the outputs' spread, over the targets': a twentieth of what trained networks have at worst, and
# twice what collapsed GANs have (benchmarks/collapse.md).
NEGLIGIBLE = 0.01
ADAM_EPSILON = 1e-8  # gradients below it move no weight by as much as the learning rate
SIDE = 32


@torch.no_grad()
def collapse_reason(outputs: ImagePairs) -> str:
    """What is wrong with the outputs, in words; '' where nothing is or nothing can be said.

    A blank output is recognised by itself, identical ones from 2 different inputs on, nearly
    identical ones from 8, unrelated ones from 32; none of them where the targets are the same way.
    """
    distinct = _distinct(outputs.source)
    n, output, source = len(distinct), outputs.output[distinct], outputs.source[distinct]
    known = "inputs" if outputs.target is None else "targets"
    reference = source if outputs.target is None else outputs.target[distinct]
    inputs = f"{n} different inputs" if n > 1 else "the only input"
    differing, known_spread = spread(output), spread(reference)
    if n > 1 and differing == 0 < known_spread:
        return f"the same output for {inputs}"
    if n >= ENOUGH_INPUTS and differing < NEGLIGIBLE * known_spread:
        amount = f"{differing / known_spread:.1%} of the {known}' spread"
        return f"nearly the same output for {inputs}, {amount}"
    if _contrast(output) < NEGLIGIBLE * _contrast(reference):
        return f"{'blank outputs' if n > 1 else 'a blank output'} for {inputs}"
    if n >= ENOUGH_TO_CORRELATE and known_spread and unrelated(source, output):
        return f"outputs that have nothing to do with the {n} inputs"
    return ""


def spread(images: Tensor) -> float:
    """How far images are from their mean: root mean square over all pixels, in [0, 1].

    N x C x H x W in [-1, 1], rounded to 8 bit first: a difference too small to see does not count.
    """
    images = _eight_bit(images)
    images -= images[:1].clone()  # exactly 0 for equal images, whose mean may be off by rounding
    return float(images.sub_(images.mean(0)).square_().mean().sqrt()) / 255


def unrelated(a: Tensor, b: Tensor) -> bool:
    """Whether N images a and N images b cannot be distinguished from independent ones.

    The t-test of the bias-corrected distance correlation (Szekely and Rizzo 2013, "The distance
    correlation t-test of independence in high dimension"), one-sided, at 5%, on images shrunk to
    32 pixels a side.
    """
    n = len(a)
    freedom = n * (n - 3) // 2 - 1
    r = distance_correlation(_small(a), _small(b))
    t = math.sqrt(freedom) * r / math.sqrt(max(1 - r * r, 1e-12))
    return t < 1.645  # the normal quantile, close enough for hundreds of degrees of freedom


def distance_correlation(a: Tensor, b: Tensor) -> float:
    """The bias-corrected distance correlation of N > 3 points: 1 is linear, about 0 independent."""
    centred = [_centred(torch.cdist(x, x)) for x in (a.double(), b.double())]
    across = (centred[0] * centred[1]).sum()
    own = (centred[0].square().sum() * centred[1].square().sum()).sqrt()
    return float(across / own) if own > 0 else 0.0


def vanished_gradient(generator: nn.Module) -> bool:
    """Whether the root mean square of a network's last gradient lies below Adam's epsilon.

    False before its first gradient, as in a discriminator's head start.
    """
    gradients = [p.grad.detach() for p in generator.parameters() if p.grad is not None]
    if not gradients:
        return False
    squares = float(torch.stack([g.double().square().sum() for g in gradients]).sum())
    return math.sqrt(squares / sum(g.numel() for g in gradients)) < ADAM_EPSILON


def _centred(distances: Tensor) -> Tensor:
    """U-centred distances: rows and columns sum to 0, the diagonal is 0."""
    n = len(distances)
    rows = distances.sum(0, keepdim=True) / (n - 2)
    centred = distances - rows - rows.T + distances.sum() / ((n - 1) * (n - 2))
    return centred.fill_diagonal_(0)


def _distinct(images: Tensor) -> list[int]:
    """The indices of the images that differ in 8 bit from all before them."""
    first: dict[bytes, int] = {}
    for i, image in enumerate(_eight_bit(images).to(torch.uint8)):
        first.setdefault(image.numpy().tobytes(), i)
    return list(first.values())


def _eight_bit(images: Tensor) -> Tensor:
    """N x C x H x W in [-1, 1] to whole numbers from 0 to 255."""
    return images.float().clamp(-1, 1).add_(1).mul_(127.5).round_()


def _contrast(images: Tensor) -> float:
    """How far pixels are from their own image's mean colour, as `spread`: 0 for blank images."""
    return spread(images.flatten(2).movedim(2, 0).unsqueeze(-1))


def _small(images: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    return F.adaptive_avg_pool2d(images.float(), (min(height, SIDE), min(width, SIDE))).flatten(1)
