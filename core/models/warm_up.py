"""What generators can learn before their adversarial training: to copy their input."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain, count, islice

from torch import Tensor, nn

from core.models.compute import Compute
from core.models.losses import l1
from core.models.optimisers import adam

RATE = 1e-3  # of Adam


def learn_to_copy(
    G: nn.Module,
    F: nn.Module,
    batches: Callable[[], Iterable[tuple[Tensor, Tensor, object]]],
    steps: int,
    compute: Compute,
) -> None:
    """Train G and F to reproduce images of their own domains (Chen et al. 2018, CartoonGAN).

    `batches` begins a pass of N x C x H x W images x for G and y for F.
    """
    optimiser = adam(chain(G.parameters(), F.parameters()), RATE, 0.9)
    endless = chain.from_iterable(batches() for _ in count())
    for x, y, _ in islice(endless, steps):
        own_x, own_y = compute.arrange(x, y)
        with compute.autocast():
            loss = l1(G(own_x), own_x) + l1(F(own_y), own_y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
