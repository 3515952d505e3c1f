"""What every task under trials/ must keep, found by itself."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from core.data.glyphs import GlyphParams
from core.data.outputs import ImagePairs, Predictions
from core.device import seed_everything
from core.params import load_task, task_summaries
from core.search.space import Space
from core.task import CanCollapse, CanGenerate, CanTranslate, Task, Trainable
from tests.conftest import smallest

TASKS = sorted(task_summaries())


def build(task: Task, domains: Path, **more: Any) -> Trainable:
    params = smallest(task, domains, **more)
    seed_everything(params.seed)
    return task.build(params, task.load(params), torch.device("cpu"))


def train_epoch(model: Trainable) -> list[dict[str, float]]:
    return [{k: float(v) for k, v in model.step(b).items()} for b in model.batches()]


@pytest.fixture(scope="module", params=TASKS)
def task(request: pytest.FixtureRequest) -> Task:
    return load_task(request.param)


@pytest.fixture(scope="module")
def untrained(task: Task, domains: Path) -> Trainable:
    """A model of the task that no test may train."""
    return build(task, domains)


def test_there_are_tasks() -> None:
    assert {"cyclegan", "function_fit"} <= set(TASKS)


def test_a_task_is_named_after_its_file_and_says_what_it_is(task: Task) -> None:
    assert task.search_space.stem == task.name
    assert task_summaries()[task.name].endswith(".")
    assert all(field.description for field in task.params.model_fields.values())


def test_its_search_space_is_one_its_params_accept(task: Task) -> None:
    space = Space.load(task.search_space, task.params)
    defaults = task.params().model_dump()
    for dimension in space.dimensions:
        dimension.latent(defaults[dimension.name])  # the baseline lies inside


def test_params_refuse_unknown_names_and_cannot_change(task: Task) -> None:
    with pytest.raises(ValueError, match="Extra inputs"):
        task.params(surely_no_such_name=1)
    with pytest.raises(ValueError, match="frozen"):
        task.params().seed = 3
    json.dumps(task.params().model_dump(mode="json"))


def test_an_epoch_gives_finite_losses_and_changes_the_outputs(task: Task, domains: Path) -> None:
    model = build(task, domains)
    before = model.outputs().output
    losses = train_epoch(model)
    assert losses
    assert all(math.isfinite(v) for step in losses for v in step.values())
    assert not torch.equal(model.outputs().output, before)


def test_outputs_are_rows_of_finite_numbers_and_pictures_are_images(untrained: Trainable) -> None:
    outputs = untrained.outputs()
    assert outputs.output.dtype == torch.float32
    assert outputs.output.device.type == "cpu"
    assert len(outputs.output) > 0
    assert outputs.output.isfinite().all()
    assert torch.equal(untrained.outputs().output, outputs.output), "always the same, in eval mode"
    pictures = outputs.pictures()
    assert not pictures or "output" in pictures
    for images in pictures.values():
        assert images.ndim == 4
        assert images.abs().max() <= 1
    assert all(net.training for net in untrained.networks.values()), "ready to go on"


def test_outputs_are_for_the_same_inputs_in_every_trial(
    task: Task, domains: Path, untrained: Trainable
) -> None:
    first, other = untrained.outputs(), build(task, domains, seed=7).outputs()
    assert not torch.equal(first.output, other.output)
    for name, images in first.pictures().items():
        if name != "output":
            assert torch.equal(other.pictures()[name], images)
    if isinstance(first, Predictions):
        assert isinstance(other, Predictions)
        assert torch.equal(first.input, other.input)
        assert torch.equal(first.target, other.target)
        assert first.output.shape == first.target.shape
    if isinstance(first, ImagePairs):
        assert first.source.shape[0] == first.output.shape[0]
        assert first.target is None or first.target.shape == first.output.shape
        for images in first.pictures().values():
            assert images.dtype == torch.float32
            assert images.device.type == "cpu"


def test_translations_of_the_sources_are_the_outputs(untrained: Trainable) -> None:
    outputs = untrained.outputs()
    if not isinstance(untrained, CanTranslate):
        assert not isinstance(outputs, ImagePairs), "what pairs images can translate them"
        return
    assert isinstance(outputs, ImagePairs)
    assert torch.equal(untrained.translate(outputs.source), outputs.output)


def test_what_translates_any_images_is_built_without_data(
    task: Task, domains: Path, untrained: Trainable
) -> None:
    if not isinstance(untrained, CanTranslate) or issubclass(task.params, GlyphParams):
        return
    assert task.inference, "images of a folder are translated without the data set"
    outputs = untrained.outputs()
    assert isinstance(outputs, ImagePairs)
    alone = task.inference(smallest(task, domains, data="/gone", seed=7), torch.device("cpu"))
    alone.load_state_dict(untrained.state_dict())
    assert torch.equal(alone.translate(outputs.source), outputs.output)


def test_generated_images_are_as_many_as_wanted_and_seeded(
    task: Task, domains: Path, untrained: Trainable
) -> None:
    if isinstance(untrained, CanGenerate):
        images = untrained.generate(3, seed=1)
        assert len(images) == 3
        assert images.ndim == 4
        assert images.abs().max() <= 1
        assert torch.equal(untrained.generate(3, seed=1), images)
        assert not torch.equal(untrained.generate(3, seed=2), images)
        assert task.inference, "noise needs no data set"
        alone = task.inference(smallest(task, domains, data="/gone", seed=7), torch.device("cpu"))
        alone.load_state_dict(untrained.state_dict())
        assert torch.equal(alone.generate(3, seed=1), images)


def test_collapse_is_said_in_words(untrained: Trainable) -> None:
    if isinstance(untrained, CanCollapse):
        assert isinstance(untrained.collapse_reason(untrained.outputs()), str)


def test_a_checkpoint_continues_bit_for_bit(task: Task, domains: Path, tmp_path: Path) -> None:
    options = {"dropout": 0.3, "epochs": 4} if "dropout" in task.params.model_fields else {}
    model = build(task, domains, **options)
    train_epoch(model)
    path = tmp_path / "checkpoint.pt"
    torch.save({"model": model.state_dict(), "rng": torch.get_rng_state()}, path)
    straight = [train_epoch(model) for _ in range(2)], model.outputs().output

    saved = torch.load(path, weights_only=True)
    model = build(task, domains, **options)
    model.load_state_dict(saved["model"])
    torch.set_rng_state(saved["rng"])
    assert ([train_epoch(model) for _ in range(2)]) == straight[0]
    assert torch.equal(model.outputs().output, straight[1])


def test_the_same_seed_gives_the_same_epoch_and_another_another(task: Task, domains: Path) -> None:
    first, same, other = (train_epoch(build(task, domains, seed=s)) for s in (1, 1, 2))
    assert first == same
    assert first != other
