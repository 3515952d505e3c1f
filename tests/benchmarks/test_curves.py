"""What the curves of benchmarks/curves.py promise."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest

from benchmarks.curves import (
    EPOCH_NOISE,
    EPOCHS,
    SEED_NOISE,
    SOURCE,
    SPACE,
    CurveParams,
    breaks,
    clean,
    curve,
)
from core.task import OutcomeKind
from tests.conftest import ROOT

SEEDS = 2000
BASELINE = CurveParams().model_dump(include=set(SOURCE))


def point(**changes: float) -> dict[str, Any]:
    return {**BASELINE, **changes}


def outcomes(values: dict[str, Any]) -> Counter[tuple[OutcomeKind, int]]:
    drawn = (curve(values, seed) for seed in range(SEEDS))
    return Counter((one.outcome, len(one.scores)) for one in drawn)


def test_a_high_learning_rate_leads_early_and_trails_late() -> None:
    slow, fast = clean(point()), clean(point(lr_g=1.2e-3, lr_d=1.2e-3))
    ahead = fast > slow
    assert ahead[:3].all()
    assert not ahead[-3:].any()
    assert fast.argmax() < EPOCHS - 1, "it goes down at last"


def test_noise_has_the_size_that_is_stated() -> None:
    noise = np.array([curve(BASELINE, seed).scores for seed in range(SEEDS)]) - clean(BASELINE)
    assert np.abs(noise.mean(axis=0)).max() < 4 * SEED_NOISE / SEEDS**0.5
    assert noise.std(axis=0) == pytest.approx(np.hypot(SEED_NOISE, EPOCH_NOISE), rel=0.1)
    epochs = noise - noise.mean(axis=1, keepdims=True)
    assert epochs.std() == pytest.approx(EPOCH_NOISE, rel=0.05), "the shift is the whole curve's"
    assert noise.mean(axis=1).std() == pytest.approx(SEED_NOISE, rel=0.1)


def test_a_wild_point_diverges_with_every_seed_the_sooner_the_wilder() -> None:
    wild, wilder = (outcomes(point(lr_g=rate)) for rate in (3.3e-3, 4e-3))
    assert {outcome for outcome, _ in (*wild, *wilder)} == {OutcomeKind.DIVERGED}
    mean = [sum(n * times for (_, n), times in e.items()) / SEEDS for e in (wild, wilder)]
    assert mean[1] < mean[0] < EPOCHS / 2


def test_a_point_at_the_edge_diverges_with_some_seeds() -> None:
    edge = outcomes(point(lr_g=2e-3))
    diverged = sum(n for (outcome, _), n in edge.items() if outcome is OutcomeKind.DIVERGED)
    assert 0.4 * SEEDS < diverged < 0.6 * SEEDS


def test_where_the_adversarial_loss_rules_it_collapses() -> None:
    found = outcomes(point(lambda_gan=8.0, lambda_cycle=1.0, lr_g=1e-4))
    assert {outcome for outcome, _ in found} == {OutcomeKind.COLLAPSED}
    assert outcomes(BASELINE) == {(OutcomeKind.COMPLETED, EPOCHS): SEEDS}


def test_the_same_point_and_seed_give_the_same_curve_in_another_process() -> None:
    code = "from benchmarks.curves import *; print(curve(dict(CurveParams(lr_g=1e-3)), 7))"
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == repr(curve(point(lr_g=1e-3), 7))
    assert curve(point(lr_g=1e-3), 7) != curve(point(lr_g=1e-3), 8)
    assert curve(point(lr_g=1e-3), 7) != curve(point(lr_g=1.01e-3), 7)


def test_the_baseline_is_whole_and_inside_the_space() -> None:
    assert 0.5 < clean(BASELINE)[-1] < 0.7
    assert np.isinf(np.minimum(*breaks(BASELINE)))
    assert SPACE.latents(BASELINE)[1] == {}, "the space holds it"
