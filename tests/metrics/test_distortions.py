"""What is done to images: whatever it is, images come out, the same ones for the same seed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from core.metrics import distortions as change
from core.metrics.similarity import best_recolouring

Change = Callable[[Tensor, Tensor, torch.Generator], Tensor]

DRAWN: dict[str, Change] = {
    "picked": lambda x, y, draw: change.picked(y, len(x), draw),
    "augmented": change.augmented,
    "patterned": lambda x, y, draw: change.patterned(x, draw),
    **{
        kind: lambda x, y, draw, kind=kind: change.patterned(x, draw, kind)  # type: ignore[misc]
        for kind in change.PATTERNS
    },
    "noisy": lambda x, y, draw: change.noisy(x, draw),
    "grainy": lambda x, y, draw: change.grainy(x, draw, 4),
    "recoloured in fields": lambda x, y, draw: change.recoloured_in_fields(x, y, 4, draw),
    "haloed": lambda x, y, draw: change.haloed(x, draw),
    "warped": lambda x, y, draw: change.warped(x, draw),
    "junk": lambda x, y, draw: change.junk(len(x), x.shape[-1], draw),
    "spoilt": change.spoilt,
    "superposed": change.superposed,
}
FIXED: dict[str, Change] = {
    "with colours of": lambda x, y, draw: change.with_colours_of(x, y),
    "softened": lambda x, y, draw: change.softened(x),
    "blurred": lambda x, y, draw: change.blurred(x, 1),
    "blended": lambda x, y, draw: change.blended(x, y, 0.3),
    "detailed": lambda x, y, draw: change.detailed(x, y, 1),
    "compressed": lambda x, y, draw: change.compressed(x, 8),
    "sharpened": lambda x, y, draw: change.sharpened(x),
    "posterised": lambda x, y, draw: change.posterised(x),
    "kuwahara": lambda x, y, draw: change.kuwahara(x),
}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 12, side: int = 48, seed: int = 0) -> Tensor:
    coarse = torch.randn(count, 3, 6, 6, generator=seeded(seed))
    fine = torch.randn(count, 3, side, side, generator=seeded(seed + 100))
    smooth = F.interpolate(coarse, (side, side), mode="bicubic")
    return (0.4 * smooth + 0.05 * fine).clamp(-1, 1)


@pytest.mark.parametrize("name", [*DRAWN, *FIXED])
@pytest.mark.parametrize("side", [32, 45, 96])
def test_images_become_images_and_stay_as_they_were_themselves(name: str, side: int) -> None:
    one = {**DRAWN, **FIXED}[name]
    for images in (
        pictures(side=side),
        torch.ones(12, 3, side, side),
        -torch.ones(1, 3, side, side),
    ):
        others = pictures(len(images), side, seed=1)
        before = images.clone(), others.clone()
        changed = one(images, others, seeded(0))
        assert changed.shape == images.shape
        assert changed.dtype == torch.float32
        assert changed.isfinite().all()
        assert changed.abs().max() <= 1 + 1e-5  # rounding
        assert torch.equal(images, before[0])
        assert torch.equal(others, before[1])


@pytest.mark.parametrize("name", [*DRAWN, *FIXED])
def test_the_generator_alone_decides(name: str) -> None:
    one, images, others = {**DRAWN, **FIXED}[name], pictures(), pictures(seed=1)
    state = torch.get_rng_state()
    first, again, other = (one(images, others, seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (name in FIXED)
    assert not torch.equal(first, images)


@pytest.mark.parametrize("kind", change.PATTERNS)
def test_a_pattern_lies_around_0_and_is_as_strong_as_is_said(kind: change.Pattern) -> None:
    patterns = change.pattern(kind, 64, 64, seeded(0))
    assert patterns.shape == (64, 1, 64, 64)
    low, high = (2 * amplitude for amplitude in change.AMPLITUDES)  # of [-1, 1]
    ways = 1 if kind in ("grid", "dots") else 2  # up, or up and down
    swing = (patterns.amax((1, 2, 3)) - patterns.amin((1, 2, 3))) / ways
    assert swing.min() > 0.8 * low
    assert swing.max() < 1.35 * high
    assert swing.max() > 1.5 * swing.min(), "each image has its own"
    assert patterns.mean().abs() < 0.1


def test_stripes_have_a_period_of_4_to_16_pixels() -> None:
    patterns = change.pattern("stripes", 200, 128, seeded(0))[:, 0]
    assert torch.equal(patterns, patterns[:, :1].expand_as(patterns)), "they run down"
    changes = (patterns[:, 0].diff(dim=1) != 0).sum(1)
    least, most = (2 * 128 / period for period in reversed(change.PERIODS))
    assert changes.min() >= least - 1
    assert changes.max() <= most
    assert changes.max() > 2 * changes.min()


def test_borrowed_colours_have_the_others_moments() -> None:
    images, others = torch.rand(4, 3, 32, 32, generator=seeded(0)), pictures(4, 32)
    others = 0.5 * others + 0.1
    recoloured = change.with_colours_of(images, others)
    assert torch.allclose(recoloured.mean((2, 3)), others.mean((2, 3)), atol=1e-2)
    assert torch.allclose(recoloured.std((2, 3)), others.std((2, 3)), atol=0.02)


def test_fields_of_one_knot_are_a_recolouring_and_more_knots_are_not() -> None:
    images, paintings = 0.3 * pictures(), 0.3 * pictures(seed=1)

    def beyond(knots: int) -> float:
        changed = change.recoloured_in_fields(images, paintings, knots, seeded(0))
        return float((changed - best_recolouring(images, changed)).abs().mean())

    assert beyond(1) < 1e-3 < 0.02 < beyond(4)


def test_blurs_keep_the_mean_and_take_detail_by_the_share_of_the_side() -> None:
    for side in (32, 128):
        images = F.interpolate(pictures(side=64), (side, side), mode="nearest")
        left = [float(change.blurred(images, sigma).std()) for sigma in (0.5, 1, 3)]
        assert left == sorted(left, reverse=True)
        assert change.blurred(images, 1).mean() == pytest.approx(float(images.mean()), abs=0.01)
    steps = [x.diff(dim=3).abs().mean() for x in (change.softened(pictures()), pictures())]
    assert steps[0] < 0.7 * steps[1]


def test_half_and_half_is_half_way_and_details_are_what_a_blur_takes() -> None:
    one, other = pictures(), pictures(seed=1)
    assert torch.allclose(change.blended(one, other, 0.5), (one + other) / 2)
    blurred = change.blurred(0.5 * one, 1)
    assert torch.allclose(change.detailed(blurred, 0.5 * one, 1), 0.5 * one, atol=1e-5)


def test_kuwahara_keeps_an_edge_and_calms_what_lies_beside_it() -> None:
    step = torch.ones(1, 3, 32, 32)
    step[..., :16] = -1
    noisy = 0.8 * step + 0.1 * torch.randn(1, 3, 32, 32, generator=seeded(0))
    calm = change.kuwahara(noisy)
    for column in (15, 16):
        assert abs(calm[..., column].mean() - noisy[..., column].mean()) < 0.1
    assert calm[..., :12].std() < 0.6 * noisy[..., :12].std()


def test_two_bits_are_four_levels() -> None:
    assert len(change.posterised(pictures()).unique()) <= 4


def test_junk_is_half_noise_and_half_flat_colours() -> None:
    noise, flat = change.junk(8, 32, seeded(0)).split(4)
    assert (noise.std((2, 3)) > 0.05).all()
    assert (flat.std((2, 3)) < 1e-6).all()


def test_each_spoilt_photograph_is_changed_and_in_another_way() -> None:
    photographs = pictures(1, 48).expand(168, 3, 48, 48)  # two of each share
    spoilt = change.spoilt(photographs, pictures(seed=1), seeded(0))
    distances = (spoilt - photographs).abs().mean((1, 2, 3))
    assert (distances > 1e-3).sum() > 150
    assert len(spoilt.flatten(1).unique(dim=0)) > 100
