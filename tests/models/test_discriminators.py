"""Discriminators on a pretrained network: what they train, what they keep, and what they learn."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score
from torch import Tensor

from core.backbone import Backbone, _efficientnet, _read, discriminator_backbone, packaged_weights
from core.data.images import load_unpaired
from core.data.tensors import to_tensor
from core.models.discriminators import ProjectedDiscriminator
from core.models.losses import lsgan_discriminator
from core.models.networks import PatchDiscriminator
from core.params import validate_params
from core.task import UserError
from trials.cyclegan import TASK

SMALL = {"size": 32, "width": 4, "blocks": 1, "batch_size": 2, "threads": 1, "compile": "off"}


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return discriminator_backbone()


def images(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_folding_the_batch_norms_changes_nothing_but_the_time(backbone: Backbone) -> None:
    name = "efficientnet-lite2"
    whole = _efficientnet(name, _read(packaged_weights(name)))
    for folded, wanted in zip(backbone.maps(images(), 5), whole.maps(images(), 5), strict=True):
        assert torch.allclose(folded, wanted, atol=1e-3)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in backbone.modules())


@pytest.mark.parametrize("channels", [1, 3])
def test_the_heads_train_the_rest_is_frozen_and_images_get_gradients(
    backbone: Backbone, channels: int
) -> None:
    net = ProjectedDiscriminator(backbone).requires_grad_(True)
    x = images()[:, :channels].requires_grad_(True)
    logits = net(x)
    assert logits.shape == (2, 4, 16, 16)
    logits.square().mean().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0
    trained = {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None}
    assert trained == {"heads"}
    assert all(p.grad is None for p in backbone.parameters())


def test_a_checkpoint_holds_no_pretrained_network(backbone: Backbone) -> None:
    net, other = ProjectedDiscriminator(backbone), ProjectedDiscriminator(backbone)
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    assert file.tell() < 1_000_000
    assert not torch.equal(net(images()), other(images()))
    other.load_state_dict(net.state_dict())
    assert torch.equal(net(images()), other(images()))


def test_twenty_steps_tell_held_out_paintings_from_photographs(backbone: Backbone) -> None:
    data = load_unpaired("sample", 64, "resize")
    photographs, paintings = (to_tensor(data.domain(name).train) for name in "BA")
    held_out = torch.cat([to_tensor(data.domain(name).validation) for name in "BA"])
    painted = [0] * len(data.domain("B").validation) + [1] * len(data.domain("A").validation)

    def auc(net: torch.nn.Module) -> float:
        random = torch.Generator().manual_seed(0)
        optimiser = torch.optim.Adam(net.parameters(), 7e-4, betas=(0.5, 0.999))
        for _ in range(20):
            real, fake = (
                domain[torch.randint(len(domain), (4,), generator=random), :, :32, :32]
                for domain in (paintings, photographs)
            )
            loss = lsgan_discriminator(net(real), net(fake))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            return float(roc_auc_score(painted, net(held_out).flatten(1).mean(1)))

    torch.manual_seed(0)
    assert auc(ProjectedDiscriminator(backbone)) > 0.95
    assert auc(PatchDiscriminator(16, "none", layers=2, spectral=True, gain=10)) < 0.8


def test_a_trial_goes_on_from_its_state_exactly() -> None:
    params = validate_params(TASK.params, {**SMALL, "discriminator": "projected"})
    data, device = TASK.load(params), torch.device("cpu")
    one, other = (TASK.build(params, data, device) for _ in range(2))
    batches = iter(one.batches())
    first, second = next(batches), next(batches)
    one.step(first)
    other.load_state_dict(one.state_dict())
    wanted, found = one.step(second), other.step(second)
    assert {name: loss.item() for name, loss in found.items()} == {
        name: loss.item() for name, loss in wanted.items()
    }


@pytest.mark.parametrize("setting", [{"d_gain": 10}, {"spectral_norm": True}, {"d_layers": 2}])
def test_what_is_of_patch_discriminators_is_refused(setting: dict[str, Any]) -> None:
    (name,) = setting
    with pytest.raises((UserError, ValidationError), match=f"--{name.replace('_', '-')} is of"):
        validate_params(TASK.params, {**SMALL, "discriminator": "projected", **setting})


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("core.backbone.importlib.import_module", missing)
    with pytest.raises(
        UserError, match=r"--discriminator projected: .*pip install efficientnet-li"
    ):
        discriminator_backbone()
