from __future__ import annotations

import pytest
import torch
from torch import nn

from core.training.divergence import EVERY, Diverged, LossSums


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


@pytest.mark.parametrize("every", [1, EVERY])
def test_a_weight_that_is_not_finite_is_named(every: int) -> None:
    net = nn.Linear(2, 2)
    epoch = LossSums({"D_x": net}, epoch=1, every=every)
    for step in range(2 * EVERY - 1):
        with torch.no_grad():
            net.bias[0] = float("nan") if step > EVERY else 1.0
        epoch.add(losses(g=1.0))
    where = rf"steps {EVERY + 1} to {2 * EVERY} of epoch 1"
    with pytest.raises(Diverged, match=rf"^weight D_x.bias is not finite after {where}$"):
        epoch.add(losses(g=1.0))


def test_a_weight_that_breaks_at_the_end_is_found_before_the_score() -> None:
    net = nn.Linear(2, 2)
    epoch = LossSums({"G": net}, epoch=2)
    epoch.add(losses(g=1.0))
    with torch.no_grad():
        net.weight[1, 1] = float("inf")
    with pytest.raises(Diverged, match=r"^weight G.weight is not finite after step 1 of epoch 2$"):
        epoch.means()
