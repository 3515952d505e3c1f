"""How far predictions are from their targets: the mean squared error of a regression.

Part          what it is                                                         range, best
mse           the search value: mean squared error                               [0, ...), 0
max_error     the largest absolute error                                         [0, ...), 0
r2            share of the targets' variance that is explained                   (-..., 1], 1

It needs no guard: whatever lowers the error of held-out targets is a better fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.data.function import Samples
from core.data.outputs import Predictions
from core.task import Case, Objective, Score

WORST = 100.0  # far above the error of any constant, and far below numbers that overflow
OBJECTIVE = Objective("MSE", "minimize", worst=WORST)


class RegressionEvaluator:
    """Scores predictions N x D by their targets; there is nothing to train."""

    objectives = (OBJECTIVE, Objective("max_error", "minimize", worst=WORST))

    def prepare(self, data: Samples, folder: Path, say: Callable[[str], None]) -> Mapping[str, Any]:
        """Nothing to prepare; returns what the record shows."""
        return {"evaluator": "regression", "data": data.fingerprint}

    def __call__(self, outputs: Predictions) -> Score:
        """Score predictions; an error above `WORST` counts as that."""
        error = outputs.output.double() - outputs.target.double()
        variance = outputs.target.double().var(correction=0)
        mse = float(error.square().mean())
        parts = {
            "mse": mse,
            "max_error": float(error.abs().max()),
            "r2": 1 - mse / max(float(variance), 1e-12),
        }
        return Score(min(mse, WORST), parts)

    def exam(self, data: Samples) -> Iterator[Case]:
        """Predictions for the validation points that fit nothing, beside targets with noise."""
        x, y = data.x[data.validation], data.y[data.validation]
        random = torch.Generator().manual_seed(0)
        noise = torch.randn(y.shape, generator=random)

        def case(name: str, output: Tensor, good: bool = False) -> Case:
            return Case(name, Predictions(x, output, y), good)

        yield case("targets with 2% noise", y + 0.02 * noise, True)
        yield case("zeros", torch.zeros_like(y))
        yield case("the mean", y.mean(0, keepdim=True).expand_as(y))
        yield case("a straight line", _least_squares_line(x, y))
        yield case("another point's target", y[torch.randperm(len(y), generator=random)])
        yield case("noise", noise)
        yield case("half the amplitude", y / 2)


def _least_squares_line(x: Tensor, y: Tensor) -> Tensor:
    """The best straight line through N x 1 points, at those points."""
    design = torch.cat([x, torch.ones_like(x)], 1)
    solution: Tensor = torch.linalg.lstsq(design, y).solution
    return design @ solution
