from __future__ import annotations

import pytest
import torch
from torch import nn

from core.models.mlp import Activation, mlp


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_hidden_layers_have_weights_of_their_own_and_all_of_them_train(depth: int) -> None:
    torch.manual_seed(0)
    net = mlp(1, 1, 8, depth, "tanh")
    hidden = [layer for layer in net if isinstance(layer, nn.Linear)][:-1]
    assert len({layer.weight.data_ptr() for layer in hidden}) == depth
    before = [layer.weight.detach().clone() for layer in hidden]
    assert not any(torch.equal(a, b) for i, a in enumerate(before) for b in before[:i])
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    net(torch.linspace(0, 6, 20)[:, None]).square().mean().backward()
    optimiser.step()
    assert not any(torch.equal(a, b.weight) for a, b in zip(before, hidden, strict=True))


@pytest.mark.parametrize(
    ("activation", "kind"), [("relu", nn.ReLU), ("sigmoid", nn.Sigmoid), ("tanh", nn.Tanh)]
)
def test_its_layers_are_those_asked_for(activation: Activation, kind: type[nn.Module]) -> None:
    net = mlp(3, 2, 5, 2, activation)
    assert [type(layer) for layer in net] == [nn.Linear, kind, nn.Linear, kind, nn.Linear]
    assert sum(p.numel() for p in net.parameters()) == (3 * 5 + 5) + (5 * 5 + 5) + (5 * 2 + 2)
    assert net(torch.rand(7, 3)).shape == (7, 2)
