from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.textbook import Textbook
from core.data.images import load_unpaired
from core.device import seed_everything
from trials.cyclegan import CycleGAN, CycleGANParams


def cyclegan(domains: Path, **values: Any) -> CycleGAN:
    small: dict[str, Any] = {"size": 32, "width": 4, "blocks": 1, "batch_size": 4}
    params = CycleGANParams(**{**small, "precision": "fp32", "device": "cpu", **values})
    seed_everything(params.seed)
    data = load_unpaired(str(domains), params.size, params.preprocess)
    return CycleGAN(params, data, torch.device("cpu"))


def weights(*nets: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for net in nets for p in net.parameters()])


def test_the_defaults_are_the_papers() -> None:
    p = CycleGANParams()
    assert (p.lambda_gan, p.lambda_cycle, p.lambda_identity) == (1, 10, 0.5)
    assert (p.lr_g, p.lr_d, p.beta1, p.batch_size, p.pool_size) == (2e-4, 2e-4, 0.5, 1, 50)
    assert (p.size, p.width, p.blocks, p.norm, p.dropout) == (256, 64, 9, "instance", 0)
    assert (p.epochs, p.decay_from) == (200, 0.5)


def test_grain_is_seen_by_the_generator_alone_and_fixed_where_it_translates(
    domains: Path,
) -> None:
    model = cyclegan(domains, grain=0.1)
    batch = next(iter(model.batches()))
    assert batch.seen is not None
    assert float((batch.seen - batch.x).std()) == pytest.approx(0.2, rel=0.2)
    seen = []
    model.D_x.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.step(batch)
    assert any(torch.equal(images[:4], batch.x) for images in seen), "D_x sees clean photographs"
    assert torch.equal(model.outputs().output, model.outputs().output)
    plain = cyclegan(domains)
    assert next(iter(plain.batches())).seen is not None
    assert torch.equal(model.inputs, plain.inputs), "the evaluator compares with clean inputs"


def test_the_averaged_generator_translates_and_is_resumed(domains: Path) -> None:
    model = cyclegan(domains, ema=0.9)
    start = weights(model.G)
    for batch in model.batches():
        model.step(batch)
    moved, behind = weights(model.G) - start, weights(model.average) - start
    assert 0 < float(behind.norm()) < float(moved.norm())
    again = cyclegan(domains, ema=0.9, seed=1)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.outputs().output, model.outputs().output)


def test_generators_that_warmed_up_copy_their_input_whatever_a_search_varies(
    domains: Path,
) -> None:
    model, other = (
        cyclegan(domains, warm_up=60),
        cyclegan(domains, warm_up=60, lr_g=1e-3, grain=0.2),
    )
    before = model.outputs()
    for each in (model, other):
        each.warm_up()
    after = model.outputs()
    assert (after.output - after.source).abs().mean() < 0.7 * (
        before.output - before.source
    ).abs().mean()
    assert torch.equal(weights(model.G, model.F), weights(other.G, other.F))
    assert not model.opt_g.state, "the training itself has not begun"
    averaged = cyclegan(domains, warm_up=60, ema=0.9)
    averaged.warm_up()
    assert torch.equal(averaged.outputs().output, after.output)


def test_crops_smaller_than_the_image_train_and_whole_images_are_judged(domains: Path) -> None:
    model = cyclegan(domains, size=48, crop=32)
    assert next(iter(model.batches())).x.shape == (4, 3, 32, 32)
    assert model.outputs().output.shape[-2:] == (48, 48)
    for wrong in ({"crop": 52}, {"crop": 30}, {"crop": 32, "d_layers": 4}):
        with pytest.raises(ValueError, match=r"--crop|--d-layers"):
            CycleGANParams(**{"size": 48, **wrong})


def test_a_longer_schedule_goes_on_at_its_own_rate(domains: Path) -> None:
    short = cyclegan(domains, epochs=4, lr_g=0.08)
    for _ in range(4):
        for batch in short.batches():
            short.step(batch)
    long = cyclegan(domains, epochs=16, lr_g=0.08)
    long.load_state_dict(short.state_dict())
    assert [group["lr"] for group in long.opt_g.param_groups] == [0.08]


def test_the_learning_rate_is_constant_then_falls_linearly(domains: Path) -> None:
    model = cyclegan(domains, epochs=8, lr_g=0.08, lr_d=0.8)
    rates = []
    for _ in range(8):
        rates.append([model.opt_g.param_groups[0]["lr"], model.opt_d.param_groups[0]["lr"]])
        for batch in model.batches():
            model.step(batch)
    assert [r[0] for r in rates] == pytest.approx([0.08] * 5 + [0.06, 0.04, 0.02])
    assert [r[1] for r in rates] == pytest.approx([10 * r[0] for r in rates])


def test_each_loss_is_weighed_and_an_identity_of_0_costs_nothing(domains: Path) -> None:
    model = cyclegan(domains, lambda_identity=0)
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    model.G.register_forward_hook(count)
    losses = model.step(next(iter(model.batches())))
    assert "g_identity" not in losses
    assert calls == 2  # translate, and cycle back

    still = cyclegan(domains, lambda_gan=0, lambda_cycle=0)
    before = weights(still.G, still.F)
    still.step(next(iter(still.batches())))
    assert torch.equal(weights(still.G, still.F), before), "no weight, no learning"


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("first", ["generator", "discriminator"])
def test_translations_are_computed_once_whoever_is_updated_first(
    domains: Path, first: str, norm: str
) -> None:
    model = cyclegan(domains, update_first=first, norm=norm)
    seen = {"G": 0, "D": 0}

    def count(name: str) -> Any:
        return lambda net, inputs, output: seen.update({name: seen[name] + len(output)})

    model.G.register_forward_hook(count("G"))
    model.D_y.register_forward_hook(count("D"))
    model.step(next(iter(model.batches())))
    # G: x, y for the identity, and F(y); D: for G, on real images, on past ones
    assert seen == {"G": 3 * 4, "D": 3 * 4}


@pytest.mark.parametrize("compile", ["off", "on"])
def test_a_step_in_fp32_is_the_textbooks(domains: Path, compile: str) -> None:
    """Losses and updated weights, three steps long.

    Compiled code rounds otherwise, and Adam's first steps magnify that: two steps' losses, the
    second of which depend on all updated weights.
    """
    steps, within = (3, 1e-4) if compile == "off" else (2, 1e-3)
    model = cyclegan(domains, pool_size=0, compile=compile)
    book = Textbook(4, 1)
    pairs = [(model.networks[name], getattr(book, name)) for name in ("G", "F", "D_x", "D_y")]
    for ours, theirs in pairs:
        theirs.load_state_dict(
            dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True))
        )
    for _, batch in zip(range(steps), model.batches(), strict=False):
        losses, expected = model.step(batch), book.step(*batch[:2])
        assert {k: float(v) for k, v in losses.items()} == pytest.approx(
            {k: float(v) for k, v in expected.items()}, rel=within
        )
    if compile == "on":
        return
    # Adam's steps have the size of the learning rate, 2e-4, wherever a gradient is not 0; rounding
    # decides where it is nearly 0: in a few weights, and in all biases before a norm.
    both = [zip(a.parameters(), b.parameters(), strict=True) for a, b in pairs]
    moved = [(a - b).detach().flatten() for pair in both for a, b in pair if a.ndim > 1]
    assert (torch.cat(moved).abs() > 2e-5).float().mean() < 0.005


def test_the_order_of_updates_matters_and_both_train(domains: Path) -> None:
    after = []
    for first in ("generator", "discriminator"):
        model = cyclegan(domains, update_first=first)
        start = weights(model.G, model.D_y)
        model.step(next(iter(model.batches())))
        assert not torch.equal(weights(model.G, model.D_y), start)
        after.append(weights(model.G))
    assert not torch.equal(*after)


def test_a_generator_step_comes_after_the_wanted_discriminator_steps(domains: Path) -> None:
    model = cyclegan(domains, d_steps_per_g=3)
    moved = []
    for batch in model.batches():
        before = weights(model.G), weights(model.D_x)
        model.step(batch)
        moved.append((not torch.equal(weights(model.G), before[0]),
                      not torch.equal(weights(model.D_x), before[1])))  # fmt: skip
    assert moved == [(k % 3 == 0, True) for k in range(1, 7)]


def test_generators_never_train_the_discriminators_and_the_reverse(domains: Path) -> None:
    model = cyclegan(domains)
    batch = next(iter(model.batches()))
    nets = model.networks
    made = model._translations(batch, nets, train=True)
    before = weights(model.D_x, model.D_y)
    model._update_generators(batch, nets, made)
    assert torch.equal(weights(model.D_x, model.D_y), before)
    before = weights(model.G, model.F)
    drawn = model.pool_x.draw(len(batch.x), model.random)
    model._update_discriminators(batch, nets, made, drawn, drawn)
    assert torch.equal(weights(model.G, model.F), before)


def test_an_epoch_passes_over_the_larger_domain_once(domains: Path) -> None:
    model = cyclegan(domains, batch_size=5)
    sizes = []
    for batch in model.batches():
        model.step(batch)
        sizes.append((len(batch.x), len(batch.y)))
    assert sizes == [(5, 5)] * 4 + [(4, 4)]


def test_the_source_domain_is_what_is_translated(domains: Path) -> None:
    data = load_unpaired(str(domains), 32, "resize")
    assert len(cyclegan(domains, source="A").outputs().source) == len(data.a.validation)
    assert len(cyclegan(domains, source="B").outputs().source) == len(data.b.validation)


def test_it_learns_to_reconstruct(domains: Path) -> None:
    """Real learning, not just motion: the cycle loss falls by a third in a few epochs."""
    model = cyclegan(domains, lr_g=2e-3, width=8, lambda_gan=0.5, epochs=6)
    means = []
    for _ in range(6):
        cycle = [float(model.step(batch)["g_cycle"]) for batch in model.batches()]
        means.append(sum(cycle) / len(cycle))
    assert means[-1] < 0.67 * means[0]


def test_a_size_that_is_no_multiple_of_4_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        CycleGANParams(size=66)
