from __future__ import annotations

from typing import Any

import pytest
import torch

from core.data.function import load_sine
from core.device import seed_everything
from evaluators.regression import RegressionEvaluator
from trials.function_fit import FunctionFit, FunctionFitParams


def function_fit(**values: Any) -> FunctionFit:
    params = FunctionFitParams(device="cpu", **values)
    seed_everything(params.seed)
    return FunctionFit(params, load_sine(), torch.device("cpu"))


def test_iterations_are_shared_out_over_the_epochs() -> None:
    model = function_fit(iterations=10, epochs=4)
    batches = [list(model.batches()) for _ in range(4)]
    assert [len(epoch) for epoch in batches] == [2, 3, 2, 3]
    x, y = batches[0][0]
    assert torch.equal(x, model.data.x[model.data.train]), "all training points, and no other"
    assert torch.allclose(y, x.sin(), atol=1e-6)


def test_a_batch_size_draws_points_at_random() -> None:
    model = function_fit(iterations=3, epochs=1, batch_size=20)
    drawn = [x for x, _ in model.batches()]
    assert [x.unique().numel() for x in drawn] == [20, 20, 20]
    assert not torch.equal(drawn[0], drawn[1])


def test_it_fits_a_sine() -> None:
    model = function_fit(depth=2, lr=0.1, momentum=0.9, iterations=1500, epochs=1)
    before = RegressionEvaluator()(model.outputs())
    for batch in model.batches():
        model.step(batch)
    after = RegressionEvaluator()(model.outputs())
    assert before.value > 0.1
    assert after.value < 1e-3
    assert after.parts["r2"] > 0.99


def test_nothing_in_its_data_is_an_image() -> None:
    model = function_fit()
    outputs = model.outputs()
    assert max(t.ndim for t in (outputs.input, outputs.output, outputs.target)) == 2
    assert outputs.pictures()["output"].shape == (1, 3, 240, 320)


def test_fewer_iterations_than_epochs_are_refused() -> None:
    with pytest.raises(ValueError, match="--iterations 3: must be at least --epochs"):
        FunctionFitParams(iterations=3, epochs=4)
