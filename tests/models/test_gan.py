from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.data.digits import load_digits
from core.data.outputs import Generated
from core.device import seed_everything
from core.models.gan import GanTraining
from core.models.gan_networks import ConvGenerator, halvings
from core.models.networks import norm_layer
from core.task import UserError
from trials.dcgan import DCGAN, DCGANParams
from trials.dcgan import TASK as DCGAN_TASK
from trials.gan import DenseGan, DenseGanParams

SMALL: dict[str, Any] = {"width": 4, "batch_size": 64, "precision": "fp32", "device": "cpu"}


def dcgan(**values: Any) -> DCGAN:
    p = DCGANParams(**{**SMALL, **values})
    seed_everything(p.seed)
    return DCGAN(p, load_digits(p), torch.device("cpu"))


def weights(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def size(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def moved(model: GanTraining, steps: int) -> Iterator[tuple[bool, bool]]:
    """Which of G and D each of the first steps changes."""
    batches = iter(model.batches())
    for _ in range(steps):
        before = weights(model.G), weights(model.D)
        model.step(next(batches))
        yield (
            not torch.equal(before[0], weights(model.G)),
            not torch.equal(before[1], weights(model.D)),
        )


def test_the_fully_connected_networks_are_the_published_ones() -> None:
    p = DenseGanParams(device="cpu")
    model = DenseGan(p, load_digits(p), torch.device("cpu"))
    layers = [(100, 128), (128, 256), (256, 512), (512, 1024), (1024, 784)]
    norms = 2 * (256 + 512 + 1024)
    assert size(model.G) == sum((a + 1) * b for a, b in layers) + norms
    assert size(model.D) == (785 * 512) + (513 * 256) + 257 + 2 * 256


@pytest.mark.parametrize(("side", "steps"), [(28, 2), (32, 3), (64, 4)])
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_a_map_doubles_its_side_up_to_the_image(side: int, steps: int, upsample: Any) -> None:
    assert halvings(side) == steps
    net = ConvGenerator(side, 3, 10, "batch", 4, upsample)
    assert net(torch.randn(2, 10)).shape == (2, 3, side, side)


def test_resize_convolutions_leave_no_checkerboard() -> None:
    """Odena et al. 2016: of one colour everywhere, transposed convolutions make a grid."""
    spread = {}
    for upsample in ("transposed", "resize"):
        seed_everything(0)
        net = ConvGenerator(28, 1, 4, "none", 8, upsample)  # type: ignore[arg-type]
        inner = net.layers[3:](torch.ones(1, 16, 7, 7))[0, 0, 6:-6, 6:-6]
        spread[upsample] = float((inner[::2] - inner[1::2]).detach().abs().mean())
    assert spread["resize"] < 1e-6 < spread["transposed"]


def test_each_network_is_updated_in_its_turn() -> None:
    both = (True, True)
    assert list(moved(dcgan(), 2)) == [both, both]
    assert list(moved(dcgan(d_steps_per_g=2), 4)) == [(False, True), both] * 2
    assert list(moved(dcgan(g_steps_per_d=3), 3)) == [(True, False), (True, False), both]


def test_spectral_norm_bounds_the_discriminator() -> None:
    model = dcgan(spectral_norm=True, norm_d="none", lr_d=1e-2)
    for _, batch in zip(range(15), model.batches(), strict=False):
        model.step(batch)
    model.D.eval()
    for layer in model.D.modules():
        if isinstance(layer, nn.Conv2d):
            largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
            assert 0.8 < float(largest) < 1.2


def test_the_average_is_what_is_scored_and_kept() -> None:
    model = dcgan(ema=0.9)
    for _, batch in zip(range(5), model.batches(), strict=False):
        model.step(batch)
    assert not torch.equal(weights(model.average), weights(model.G))
    images = model.generate(4, seed=1)
    other = dcgan(ema=0.9)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.generate(4, seed=1), images)
    model.average.load_state_dict(model.G.state_dict())
    assert not torch.equal(model.generate(4, seed=1), images)


def test_a_conditional_network_makes_the_class_that_is_asked_for() -> None:
    model = dcgan(conditional=True, width=8, lr_g=2e-3, lr_d=1e-3, batch_size=32)
    for _ in range(6):
        for batch in model.batches():
            model.step(batch)
    outputs = model.outputs()
    assert outputs.labels is not None
    assert torch.equal(outputs.labels[:10], torch.arange(10))
    means = torch.stack([outputs.output[outputs.labels == k].mean(0) for k in range(10)])
    images, labels = model.data.tensors(model.data.train)
    real = torch.stack([images[labels == k].mean(0) for k in range(10)])
    likest = torch.cdist(means.flatten(1), real.flatten(1)).argmin(1)
    assert (likest == torch.arange(10)).sum() >= 7


def test_an_instance_of_a_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="--norm-d instance"):
        DenseGanParams(norm_d="instance")


def test_rates_fall_as_the_schedule_says() -> None:
    rates = {}
    for schedule in ("constant", "linear", "cosine"):
        model = dcgan(lr_schedule=schedule, epochs=4, lr_g=1.0)
        rates[schedule] = []
        for _ in range(4):
            rates[schedule].append(round(float(model.opt_g.param_groups[0]["lr"]), 3))
            for each in model.schedules:
                each.optimizer.step()
                each.step()
    assert rates == {
        "constant": [1, 1, 1, 1],
        "linear": [1, 1, 1, 0.5],
        "cosine": [1, 0.854, 0.5, 0.146],
    }


def test_group_norm_is_layer_norm_of_one_group_and_instance_norm_of_as_many_as_channels() -> None:
    x = torch.randn(3, 37, 5, 5)  # a prime number above 32: one group
    assert torch.allclose(norm_layer("group", 37)(x), norm_layer("layer", 37)(x), atol=1e-6)
    x = x[:, :8]  # eight groups of one channel
    assert torch.allclose(norm_layer("group", 8)(x), norm_layer("instance", 8)(x), atol=1e-5)


def test_all_noise_to_one_image_is_collapse() -> None:
    model = dcgan()
    real, _ = model.data.tensors(model.data.train[:200])
    assert model.collapse_reason(Generated(real)) == ""
    same = Generated(real[:1].expand(200, -1, -1, -1))
    assert "nearly the same image from all noise" in model.collapse_reason(same)


def test_a_trained_generator_needs_no_data() -> None:
    assert DCGAN_TASK.inference is not None
    p = DCGANParams(**SMALL, data="/moved/away")
    model = DCGAN_TASK.inference(p, torch.device("cpu"))
    assert isinstance(model, GanTraining)
    assert model.generate(2, seed=0).shape == (2, 1, 28, 28)
    with pytest.raises(UserError, match="no such folder"):
        DCGAN_TASK.inference(p.model_copy(update={"conditional": True}), torch.device("cpu"))
