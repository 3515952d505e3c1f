from __future__ import annotations

import math

import torch

from core.data.function import load_sine, plot_fit


def test_a_thousand_equidistant_points_are_split_at_random_and_always_alike() -> None:
    data = load_sine()
    assert data.x.shape == data.y.shape == (1000, 1)
    assert torch.allclose(data.x.diff(dim=0), torch.tensor(2 * math.pi / 1000), atol=1e-6)
    assert data.x[0] == 0
    assert data.x[-1] < 2 * math.pi
    assert torch.allclose(data.y, data.x.sin(), atol=1e-6)
    splits = [data.train, data.validation, data.test]
    assert [len(rows) for rows in splits] == [500, 200, 300]
    assert torch.equal(torch.cat(splits).sort().values, torch.arange(1000))
    assert data.train.diff().max() > 1, "drawn at random"
    again = load_sine()
    assert torch.equal(again.validation, data.validation)
    assert again.fingerprint == data.fingerprint


def test_a_plot_shows_the_fit() -> None:
    data = load_sine()
    rows = data.validation
    good, bad = (plot_fit(data, rows, y[rows]) for y in (data.y, 0 * data.y))
    assert good.shape == bad.shape == (1, 3, 240, 320)
    assert good.dtype == torch.float32
    assert -1 <= good.min() < good.max() <= 1
    assert not torch.equal(good, bad)
    assert torch.equal(good, plot_fit(data, rows, data.y[rows]))
