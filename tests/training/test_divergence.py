from __future__ import annotations

import pytest
import torch
from torch import nn

from core.training.divergence import Diverged, LossSums


def sums(every: int = 0) -> LossSums:
    return LossSums({"G": nn.Linear(2, 2)}, epoch=3, every=every)


def losses(**values: float) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value) for name, value in values.items()}


@pytest.mark.parametrize("every", [0, 2, 50])
def test_each_loss_is_averaged_over_the_steps_that_have_it(every: int) -> None:
    epoch = sums(every)
    for step in range(1, 6):
        epoch.add(losses(d=step, **({"g": 10.0 * step} if step % 2 == 0 else {})))
    assert epoch.means() == {"d": 3.0, "g": 30.0}
    assert epoch.means() == {"d": 3.0, "g": 30.0}, "asked for twice"


def test_a_cpu_names_the_step() -> None:
    epoch = sums()
    epoch.add(losses(g=1.0))
    with pytest.raises(Diverged, match=r"^g is nan at step 2 of epoch 3$"):
        epoch.add(losses(g=float("nan")))


def test_a_device_that_is_seldom_read_names_the_range_of_the_steps() -> None:
    epoch = sums(every=4)
    for value in (1.0, 1.0, 1.0, 1.0, 1.0, float("inf"), 1.0):
        epoch.add(losses(g=value))
    with pytest.raises(Diverged, match=r"^g is inf at steps 5 to 8 of epoch 3$"):
        epoch.add(losses(g=1.0))


def test_what_is_left_of_an_epoch_is_read_at_its_end() -> None:
    epoch = sums(every=4)
    for value in (1.0, 1.0, 1.0, 1.0, 1.0, float("nan")):
        epoch.add(losses(g=value))
    with pytest.raises(Diverged, match=r"^g is nan at steps 5 to 6 of epoch 3$"):
        epoch.means()


def test_a_weight_that_is_not_finite_is_named() -> None:
    net = nn.Linear(2, 2)
    epoch = LossSums({"D_x": net}, epoch=1, every=2)
    epoch.add(losses(g=1.0))
    with torch.no_grad():
        net.bias[0] = float("nan")
    with pytest.raises(Diverged, match=r"^weight D_x.bias is not finite after steps 1 to 2"):
        epoch.add(losses(g=1.0))
