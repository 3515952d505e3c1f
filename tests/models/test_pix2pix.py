from __future__ import annotations

from typing import Any

import pytest
import torch

from core.data.glyphs import load_glyphs
from core.device import seed_everything
from core.models.adversarial import GENERATOR
from core.models.losses import fixed_l1
from core.models.pix2pix import AdversarialParams, PairedParams, PairedTraining, Pairs

SMALL: dict[str, Any] = {
    "size": 32,
    "width": 8,
    "batch_size": 16,
    "characters": "ascii",
    "source_font": "DejaVu Sans",
    "target_font": "DejaVu Serif",
    "precision": "fp32",
    "device": "cpu",
}


def training(params: type[PairedParams] = AdversarialParams, **values: Any) -> PairedTraining:
    p = params(**{**SMALL, **values})
    seed_everything(p.seed)
    return PairedTraining(p, load_glyphs(p), torch.device("cpu"))


def first(model: PairedTraining) -> Pairs:
    return next(iter(model.batches()))


def weights(model: PairedTraining, name: str) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.networks[name].parameters()])


def test_an_epoch_sees_every_training_character_once_and_no_other() -> None:
    model = training(PairedParams)
    seen = torch.cat([batch.target for batch in model.batches()])
    assert len(seen) == len(model.data.train)
    everything = model.data.tensors(model.data.train, 1)[1]
    assert torch.equal(seen.flatten(1).sum(1).sort()[0], everything.flatten(1).sum(1).sort()[0])


def test_source_and_target_are_the_same_character() -> None:
    model = training(PairedParams)
    source, target = model.data.tensors(model.data.train, 1)
    pairs = {s.numpy().tobytes(): t for s, t in zip(source, target, strict=True)}
    batch = first(model)
    for s, t in zip(batch.source, batch.target, strict=True):
        assert torch.equal(pairs[s.numpy().tobytes()], t)


@pytest.mark.parametrize("kind", GENERATOR)
@pytest.mark.parametrize("order", ["generator", "discriminator"])
def test_both_networks_train_under_every_adversarial_loss(kind: str, order: str) -> None:
    model = training(gan_loss=kind, update_first=order)
    before = weights(model, "G"), weights(model, "D")
    losses = model.step(first(model))
    assert not torch.equal(weights(model, "G"), before[0])
    assert not torch.equal(weights(model, "D"), before[1])
    assert ("d_penalty" in losses) is (kind == "wgan-gp")


def test_without_weight_the_adversary_changes_nothing_of_the_generator() -> None:
    alone = training(PairedParams, dropout=0.0)
    watched = training(lambda_gan=0.0, dropout=0.0)
    watched.G.load_state_dict(alone.G.state_dict())
    batch = first(alone)
    alone.step(batch)
    watched.step(batch)
    assert torch.allclose(weights(alone, "G"), weights(watched, "G"), atol=1e-7)


def test_the_pixel_loss_is_the_one_asked_for_and_weighed() -> None:
    for kind in ("l1", "fixed_l1"):
        still = training(PairedParams, lambda_pixel=0.0, pixel_loss=kind)
        before = weights(still, "G")
        still.step(first(still))
        assert torch.equal(weights(still, "G"), before)
    after = []
    for kind in ("l1", "fixed_l1"):
        model = training(PairedParams, pixel_loss=kind)
        model.step(first(model))
        after.append(weights(model, "G"))
    assert not torch.equal(*after)


def test_the_grey_penalty_makes_pages_blacker_and_whiter() -> None:
    greys = []
    for weight in (0.0, 100.0):
        model = training(PairedParams, lambda_grey=weight, dropout=0.0, lr_g=2e-3)
        for _ in range(6):
            losses = [model.step(batch) for batch in model.batches()]
        greys.append(float(losses[-1]["grey"]))
    assert greys[1] < 0.5 * greys[0]


def test_the_discriminator_has_its_head_start_and_its_share_of_steps() -> None:
    model = training(d_head_start=3, d_steps_per_g=2)
    batch, moved = first(model), []
    for _ in range(7):
        before = weights(model, "G"), weights(model, "D")
        model.step(batch)
        moved.append((not torch.equal(weights(model, "G"), before[0]),
                      not torch.equal(weights(model, "D"), before[1])))  # fmt: skip
    assert moved == [(step > 3 and step % 2 == 0, True) for step in range(1, 8)]


def test_the_discriminator_sees_the_source_beside_the_image() -> None:
    model = training()
    batch, seen = first(model), list[torch.Tensor]()
    model.D.register_forward_hook(lambda net, inputs, output: seen.append(inputs[0]))
    model.step(batch)
    for_g, for_d = seen
    assert torch.equal(for_g[:, 1:], batch.source)
    assert torch.equal(for_d, torch.cat([torch.cat(batch[::-1], 1), for_g.detach()]))


def test_it_learns_to_write_the_other_font() -> None:
    """Real learning: better than a blank page, and than copying the source, on held-out glyphs."""
    wide = {"width": 16, "characters": "ascii+latin"}
    model = training(PairedParams, skip="concat", lr_g=2e-3, dropout=0.0, **wide)
    for _ in range(6):
        for batch in model.batches():
            model.step(batch)
    outputs = model.outputs()
    assert outputs.target is not None
    copied = float(fixed_l1(outputs.source, outputs.target).mean())
    assert float(fixed_l1(outputs.output, outputs.target).mean()) < 0.9 * min(1.0, copied)


def test_a_network_deeper_than_the_size_is_refused() -> None:
    with pytest.raises(ValueError, match="halve 5 times at most"):
        PairedParams(size=32, depth=6)
