from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.models.adversarial import DISCRIMINATOR, GENERATOR, GanGame, GanLossParams
from core.models.gan import GanParams
from core.models.losses import r1_penalty, wgan_penalty

OUT = torch.tensor([2.0, -1.0])


def game(**values: Any) -> GanGame:
    return GanGame(GanLossParams(**values))


def test_every_loss_has_both_sides() -> None:
    kinds = set(GanLossParams.model_fields["gan_loss"].annotation.__args__)  # type: ignore[union-attr]
    assert kinds == set(GENERATOR) == set(DISCRIMINATOR)


def log(x: float) -> float:
    return math.log(x)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(
    ("kind", "generator", "discriminator"),
    [
        (
            "minimax",
            (log(1 - sigmoid(2)) + log(1 - sigmoid(-1))) / 2,
            -(2 * log(sigmoid(1)) + log(1 - sigmoid(2)) + log(1 - sigmoid(-1))) / 4,
        ),
        (
            "non-saturating",
            -(log(sigmoid(2)) + log(sigmoid(-1))) / 2,
            -(2 * log(sigmoid(1)) + log(1 - sigmoid(2)) + log(1 - sigmoid(-1))) / 4,
        ),
        ("lsgan", (1 + 4) / 2, (0 + (4 + 1) / 2) / 2),
        ("hinge", -0.5, (0 + (3 + 0) / 2) / 2),
        ("wgan", -0.5, 0.5 - 1),
        ("wgan-gp", -0.5, 0.5 - 1),
    ],
)
def test_losses_worked_out_by_hand(kind: str, generator: float, discriminator: float) -> None:
    real = torch.tensor([1.0, 1.0])
    assert float(game(gan_loss=kind).generator(OUT)) == pytest.approx(generator, rel=1e-5)
    assert float(game(gan_loss=kind).discriminator(real, OUT)) == pytest.approx(
        discriminator, rel=1e-5
    )


def test_smoothed_labels_are_below_1() -> None:
    real, fake = torch.tensor([3.0]), torch.tensor([-30.0])
    smoothed = game(label_smoothing=0.1)
    losses = [float(smoothed.discriminator(torch.tensor([x]), fake)) for x in (1.0, log(9), 4.0)]
    assert losses[1] == min(losses), "best where D(y) is 0.9"
    squares = game(gan_loss="lsgan", label_smoothing=0.1)
    assert float(squares.discriminator(real, torch.zeros(1))) == pytest.approx(2.1**2 / 2)


def gradient(x: Tensor) -> float:
    assert x.grad is not None
    return float(x.grad.abs().max())


def test_a_clipped_head_without_a_sigmoid_stalls_at_minus_log_of_1_and_99_percent() -> None:
    """SRNet's published discriminator: real and generated end on either side of the clip."""
    stuck = game(sigmoid="off", clip=0.01, allow_unsound=True)
    real, fake = (torch.full((8,), x, requires_grad=True) for x in (-0.7, 0.4))
    real_wrong, fake_right = torch.full((8,), -0.7), torch.full((8,), -0.2)
    loss = 2 * stuck.discriminator(real_wrong, fake_right)
    assert float(loss) == pytest.approx(-math.log(0.01) - math.log(0.99), abs=1e-3)
    assert float(loss) == pytest.approx(4.6152, abs=1e-3)
    (2 * stuck.discriminator(real, torch.full((8,), 1.3))).backward()
    assert gradient(real) == 0, "beyond the clip nothing is learned"
    stuck.generator(fake - 1).backward()
    assert gradient(fake) == 0, "and the adversary teaches nothing"


class Normed(nn.Module):
    """A discriminator of numbers that ends in batch norm, as published."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
        self.norm = nn.BatchNorm1d(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.layers(x))  # type: ignore[no-any-return]


def trained(head: GanGame, net: nn.Module, same: bool, steps: int = 300) -> float:
    """The sum of both halves of the loss after training on one kind of data, or on two."""
    torch.manual_seed(0)
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(steps):
        real, fake = torch.randn(64, 4), torch.randn(64, 4) + (0 if same else 3)
        loss = head.discriminator(net(real), net(fake))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return 2 * float(loss.detach())


def test_where_nothing_can_be_told_apart_a_sigmoid_ends_at_twice_log_2() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    assert trained(game(), net, same=True) == pytest.approx(2 * math.log(2), abs=0.05)


def test_a_normed_and_clipped_head_cannot_say_that_all_are_real() -> None:
    """Batch norm gives every batch mean 0: a batch of real images alone is half wrong."""
    stuck = game(sigmoid="off", clip=0.01, allow_unsound=True)
    published = trained(stuck, Normed(), same=False)
    torch.manual_seed(0)
    free = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    assert published > 1.0
    assert trained(game(), free, same=False) < 0.2
    assert trained(game(gan_loss="wgan", clip_weights=1.0), free, same=False) < -1


def test_penalties_of_a_linear_critic_are_known() -> None:
    real, fake = torch.randn(6, 1, 4, 4), torch.randn(6, 1, 4, 4)
    weight = torch.zeros(1, 4, 4)
    weight[0, 0, 0] = 3.0

    def critic(x: Tensor) -> Tensor:
        return (x * weight).sum((1, 2, 3))

    assert float(r1_penalty(critic, real)) == pytest.approx(9 / 2)
    assert float(wgan_penalty(critic, real, fake)) == pytest.approx(4, rel=1e-4)
    assert float(game(gan_loss="wgan-gp").penalty(critic, real, fake) or 0) == pytest.approx(40)
    assert game(gan_loss="wgan").penalty(critic, real, fake) is None


def test_wgan_clips_weights_and_no_other_does() -> None:
    for kind, bounded in (("wgan", True), ("hinge", False)):
        net = nn.Linear(4, 1)
        nn.init.constant_(net.weight, 5.0)
        optimiser = torch.optim.SGD(net.parameters(), 1e-3)
        out = net(torch.randn(8, 4))
        game(gan_loss=kind).minimise({"d": out.mean()}, optimiser)
        assert bool(net.weight.abs().max() <= 0.01) is bounded


def test_wgan_clips_no_frozen_layer() -> None:
    frozen, trained_layer = nn.Linear(4, 4), nn.Linear(4, 1)
    nn.init.constant_(frozen.weight, 5.0)
    frozen.requires_grad_(False)
    net = nn.Sequential(frozen, trained_layer)
    optimiser = torch.optim.SGD(net.parameters(), 1e-3)
    game(gan_loss="wgan").minimise({"d": net(torch.randn(8, 4)).mean()}, optimiser)
    assert frozen.weight.min() == 5.0
    assert trained_layer.weight.abs().max() <= 0.01


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        ({"sigmoid": "off"}, "takes the log of a probability"),
        ({"gan_loss": "wgan-gp", "norm_d": "batch"}, "batch norm in the discriminator mixes"),
        ({"gan_loss": "hinge", "sigmoid": "on"}, "without bounds"),
        ({"d_final_norm": True}, "other images of its batch"),
    ],
)
def test_what_is_known_not_to_work_is_refused_unless_asked_for(
    values: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(ValueError, match=remedy) as refused:
        GanParams(**values)
    assert "--allow-unsound" in str(refused.value)
    GanParams(**values, allow_unsound=True)


@pytest.mark.parametrize(
    "values",
    [
        {"gan_loss": "lsgan", "clip": 0.1},
        {"gan_loss": "wgan", "label_smoothing": 0.1},
        {"gan_loss": "wgan-gp", "gradient_penalty": "r1", "norm_d": "none"},
        {"d_steps_per_g": 2, "g_steps_per_d": 2},
    ],
)
def test_what_means_nothing_is_refused_always(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="--"):
        GanParams(**values, allow_unsound=True)
