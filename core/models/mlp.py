"""The multilayer perceptron."""

from __future__ import annotations

from typing import Literal

from torch import nn

Activation = Literal["relu", "sigmoid", "tanh"]
ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


def mlp(inputs: int, outputs: int, width: int, depth: int, activation: Activation) -> nn.Sequential:
    """N x inputs to N x outputs through `depth` hidden layers, each with weights of its own.

    A hidden layer is a linear layer of `width` units and the activation; the output is linear.
    Weights start as PyTorch's default, uniform within 1 / sqrt(inputs of the layer).
    """
    layers: list[nn.Module] = []
    for size in [inputs] + [width] * (depth - 1):
        layers += [nn.Linear(size, width), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers, nn.Linear(width, outputs))
