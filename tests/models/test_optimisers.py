from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from core.models.optimisers import (
    AlternatingParams,
    adam,
    is_generator_step,
    linear_decay,
    update_in_order,
)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_generator_is_updated_with_the_last_of_n_discriminator_steps(n: int) -> None:
    updated = [step for step in range(1, 11) if is_generator_step(step, n)]
    assert updated == list(range(n, 11, n))


@pytest.mark.parametrize("first", ["generator", "discriminator"])
@pytest.mark.parametrize("generator_too", [True, False])
def test_updates_run_in_the_order_asked_for(first: str, generator_too: bool) -> None:
    params = AlternatingParams(update_first=first)  # type: ignore[arg-type]
    losses = update_in_order(
        params,
        (lambda: {"g": torch.tensor(1.0)}) if generator_too else None,
        lambda: {"d": torch.tensor(2.0)},
    )
    order = ["g", "d"] if first == "generator" else ["d", "g"]
    assert list(losses) == (order if generator_too else ["d"])


def test_adam_has_the_published_betas() -> None:
    (group,) = adam(nn.Linear(1, 1).parameters(), 2e-4, 0.5).param_groups
    assert (group["lr"], group["betas"]) == (2e-4, (0.5, 0.999))


@pytest.mark.parametrize(
    ("decay_from", "factors"), [(0.5, [1, 1, 1, 0.5]), (0.0, [1, 0.75, 0.5, 0.25]), (1.0, [1] * 4)]
)
def test_the_rate_falls_linearly_towards_0(decay_from: float, factors: list[float]) -> None:
    optimiser = torch.optim.SGD(nn.Linear(1, 1).parameters(), 0.1)
    schedule = linear_decay(optimiser, 4, decay_from)
    rates = []
    for _ in range(4):
        rates.append(optimiser.param_groups[0]["lr"] / 0.1)
        optimiser.step()
        schedule.step()
    assert rates == pytest.approx(factors)


def test_adams_state_goes_to_another_implementation(tmp_path: Path) -> None:
    """A checkpoint's rates are numbers; flags and the kind of the rate stay the optimiser's."""
    saved, loaded = (nn.Linear(3, 3) for _ in range(2))
    first = adam(saved.parameters(), 0.1, 0.5)
    schedule = linear_decay(first, 4, 0.0)
    saved(torch.ones(1, 3)).sum().backward()
    first.step()
    schedule.step()
    torch.save(first.state_dict(), tmp_path / "state.pt")

    second = adam(loaded.parameters(), 0.1, 0.5)
    for group in second.param_groups:  # as on CUDA
        group.update(lr=torch.tensor(0.1), fused=False, foreach=False)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    (group,) = second.param_groups
    assert torch.is_tensor(group["lr"])
    assert float(group["lr"]) == pytest.approx(0.075)
    assert (group["fused"], group["foreach"]) == (False, False)
    assert second.state_dict()["param_groups"][0]["lr"] == pytest.approx(0.075)
    loaded.load_state_dict(saved.state_dict())
    for net, optimiser in ((saved, first), (loaded, second)):
        net.zero_grad()
        net(torch.ones(1, 3)).sum().backward()
        optimiser.step()
    assert torch.allclose(saved.weight, loaded.weight)
