"""A feed-forward network fits y = sin x by gradient descent: the smallest study there is.

python -m trials.function_fit --help                      every parameter
python -m trials.function_fit --width 100 --depth 2       one trial
gantune sweep function_fit --grid depth=1,2,4,8 width=5,25,75
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from core.data.function import Samples, load_sine, plot_fit
from core.data.outputs import Predictions
from core.device import autocast
from core.main import main
from core.models.mlp import Activation, mlp
from core.task import Params, Task
from evaluators.regression import OBJECTIVE, RegressionEvaluator


class FunctionFitParams(Params):
    """The network and its optimiser, plain stochastic gradient descent."""

    iterations: int = Field(2000, ge=1, le=10_000_000, description="gradient steps in all")
    epochs: int = Field(5, ge=1, le=10_000, description="equal parts of them, each evaluated")
    batch_size: int = Field(0, ge=0, le=500, description="points drawn for a step; 0: all 500")
    width: int = Field(50, ge=1, le=4096, description="units of a hidden layer")
    depth: int = Field(1, ge=1, le=64, description="hidden layers, each with weights of its own")
    activation: Activation = Field("relu", description="activation of the hidden layers")
    lr: float = Field(0.01, gt=0, le=10, description="learning rate (SGD)")
    momentum: float = Field(0.0, ge=0, lt=1, description="momentum (SGD)")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "fp32", description="bf16 is autocast, with 3 digits: too few for a close fit"
    )

    @model_validator(mode="after")
    def _an_iteration_per_epoch(self) -> Self:
        if self.iterations < self.epochs:
            raise ValueError(f"--iterations {self.iterations}: must be at least --epochs")
        return self


Batch = tuple[Tensor, Tensor]  # inputs and targets, both N x 1


class FunctionFit:
    """A multilayer perceptron, trained on 500 points."""

    def __init__(self, params: FunctionFitParams, data: Samples, device: torch.device) -> None:
        p = self.params = params
        self.device = device
        self.data = data
        self.train = data.x[data.train].to(device), data.y[data.train].to(device)
        self.net = mlp(1, 1, p.width, p.depth, p.activation).to(device)
        self.networks = {"net": self.net}
        self.optimiser = torch.optim.SGD(self.net.parameters(), p.lr, p.momentum)
        self.random = torch.Generator().manual_seed(p.seed)
        self.epochs = 0
        self.steps_per_epoch = -(-p.iterations // p.epochs)

    def batches(self) -> Iterator[Batch]:
        """Yield one batch per iteration, for this epoch's share of the iterations."""
        p, (x, y) = self.params, self.train
        first = self.epochs * p.iterations // p.epochs
        self.epochs += 1
        for _ in range(first, self.epochs * p.iterations // p.epochs):
            order = torch.randperm(len(x), generator=self.random) if p.batch_size else None
            chosen = slice(None) if order is None else order[: p.batch_size].to(self.device)
            yield x[chosen], y[chosen]

    def step(self, batch: Batch) -> Mapping[str, Tensor]:
        """One step down the gradient of the mean squared error."""
        with autocast(self.device, self.params.precision):
            loss = (self.net(batch[0]).float() - batch[1]).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"mse": loss.detach()}

    @torch.no_grad()
    def outputs(self) -> Predictions:
        """Predictions for the 200 validation points, 200 x 1, with a plot of the fit."""
        rows = self.data.validation
        x, y = self.data.x[rows], self.data.y[rows]
        with autocast(self.device, self.params.precision):
            predicted = self.net(x.to(self.device)).float().cpu()
        return Predictions(x, predicted, y, partial(plot_fit, self.data, rows, predicted))

    def state_dict(self) -> dict[str, Any]:
        """Network, optimiser, random state and the number of epochs begun."""
        trained = {"net": self.net.state_dict(), "optimiser": self.optimiser.state_dict()}
        return {**trained, "random": self.random.get_state(), "epochs": self.epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.random.set_state(state["random"])
        self.epochs = state["epochs"]


TASK = Task(
    name="function_fit",
    summary="y = sin x by a feed-forward network, without an image",
    params=FunctionFitParams,
    load=lambda p: load_sine(),
    build=FunctionFit,
    evaluator=lambda p: RegressionEvaluator(),
    objective=OBJECTIVE,
)

if __name__ == "__main__":
    main(TASK)
