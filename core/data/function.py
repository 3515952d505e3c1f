"""Points of y = sin x, split for a regression."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

POINTS, TRAIN, VALIDATION = 1000, 500, 200  # the remaining 300 are for the test
SEED = 0  # of the split, the same in every trial
INCHES, DPI = (4.0, 3.0), 80  # of the plot: 320 x 240 pixels


@dataclass(frozen=True)
class Samples:
    """Inputs x and targets y of a function, both N x 1 float32, with the rows of each split."""

    x: Tensor
    y: Tensor
    train: Tensor
    validation: Tensor
    test: Tensor
    fingerprint: str
    notes: tuple[str, ...] = ()


def load_sine() -> Samples:
    """1,000 equidistant points of sin x on [0, 2 pi), split 500 / 200 / 300 at random."""
    import torch

    x = np.arange(POINTS) * (2 * math.pi / POINTS)
    order = np.random.default_rng(SEED).permutation(POINTS)
    inputs, targets = (torch.from_numpy(v.astype(np.float32))[:, None] for v in (x, np.sin(x)))
    splits = np.split(order, [TRAIN, TRAIN + VALIDATION])
    train, validation, test = (torch.from_numpy(np.sort(rows)) for rows in splits)
    content = f"sin {POINTS} {TRAIN} {VALIDATION} {SEED}"
    fingerprint = hashlib.sha256(content.encode()).hexdigest()[:16]
    return Samples(inputs, targets, train, validation, test, fingerprint)


def plot_fit(samples: Samples, rows: Tensor, predicted: Tensor) -> Tensor:
    """Draw predictions for some rows as dots over the grey true curve: 1 x 3 x H x W in [-1, 1].

    Values beyond +-1.5 are not shown.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from core.data.tensors import to_tensor

    figure = Figure(figsize=INCHES, dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.1, 0.1, 0.86, 0.86))
    axes.set(ylim=(-1.5, 1.5), xticks=range(7), yticks=(-1, 0, 1))
    axes.plot(samples.x, samples.y, color="silver", linewidth=4)
    axes.plot(samples.x[rows], predicted, ".", markersize=3)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    return to_tensor([pixels[..., :3]])
