"""Families of outputs that evaluators score: image pairs, generated images, predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 10  # images in a row of a picture of generated ones
ENOUGH_INPUTS = 8  # with fewer, outputs that are nearly alike are no evidence of collapse


def few_inputs_note(inputs: int, remedy: str) -> str:
    """What so few validation inputs cannot show; '' where there are enough."""
    if inputs >= ENOUGH_INPUTS:
        return ""
    counted = f"{inputs} validation input{'s' if inputs > 1 else ''}"
    return (
        f"{counted}, fewer than {ENOUGH_INPUTS}: where they are translated, collapse is recognised "
        f"by identical or blank outputs alone; {remedy}"
    )


@dataclass(frozen=True)
class ImagePairs:
    """Translated images beside their sources, N x C x H x W in [-1, 1]; targets where known."""

    source: Tensor
    output: Tensor
    target: Tensor | None = None

    def pictures(self) -> Mapping[str, Tensor]:
        """Source, output, and target where there is one."""
        rows = {"source": self.source, "output": self.output}
        return rows if self.target is None else {**rows, "target": self.target}


@dataclass(frozen=True)
class Generated:
    """Images made from noise, N x C x H x W in [-1, 1], and N classes where they were asked for."""

    output: Tensor
    labels: Tensor | None = None

    def pictures(self) -> Mapping[str, Tensor]:
        """The first 100 as one picture, ten in a row."""
        shown = self.output[: SIDE * SIDE]
        n, channels, height, width = shown.shape
        rows = -(-n // SIDE)
        sheet = shown.new_full((rows * SIDE, channels, height, width), -1.0)
        sheet[:n] = shown
        grid = sheet.reshape(rows, SIDE, channels, height, width).permute(2, 0, 3, 1, 4)
        return {"output": grid.reshape(1, channels, rows * height, SIDE * width)}


@dataclass(frozen=True)
class Predictions:
    """Predictions beside their targets: N rows of any shape, for inputs of N rows.

    `plot` draws them, 1 x C x H x W in [-1, 1], where there is something to see.
    """

    input: Tensor
    output: Tensor
    target: Tensor
    plot: Callable[[], Tensor] | None = None

    def pictures(self) -> Mapping[str, Tensor]:
        """The plot as the one picture of the output."""
        return {"output": self.plot()} if self.plot else {}
