"""The cache of evaluators' networks: trained once a recipe, by one seed, and mended."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.metrics import cache
from core.metrics.cache import counted, fit, load_or_train


def prepare(folder: Path, recipe: dict[str, Any], trained: list[nn.Linear]) -> Any:
    def build() -> nn.Linear:
        return nn.Linear(3, 2)

    def train() -> tuple[nn.Linear, dict[str, Any]]:
        trained.append(build())
        return trained[-1], {"evaluator": "toy"}

    return load_or_train(folder, "toy", recipe, 7, build, train)


def test_it_is_trained_once_a_recipe_by_the_seed_and_leaves_other_draws_alone(
    tmp_path: Path,
) -> None:
    trained: list[nn.Linear] = []
    state = torch.get_rng_state()
    first, facts = prepare(tmp_path, {"a": 1}, trained)
    torch.manual_seed(99)
    again, same = prepare(tmp_path, {"a": 1}, trained)
    assert len(trained) == 1
    assert same == facts == {"evaluator": "toy", "seconds": facts["seconds"]}
    assert torch.equal(first.weight, again.weight)
    assert not again.training
    assert not again.weight.requires_grad
    torch.set_rng_state(state)
    other, _ = prepare(tmp_path / "elsewhere", {"a": 1}, trained)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.weight, other.weight)
    prepare(tmp_path, {"a": 2}, trained)
    assert len(trained) == 3
    assert len(list(tmp_path.glob("toy-*"))) == 2


@pytest.mark.parametrize("name", ["facts.json", "weights.pt"])
@pytest.mark.parametrize("damage", [
    lambda path: path.unlink(),
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(path.read_bytes()[:40]),
    lambda path: path.write_text(json.dumps({"other": 1})),
    lambda path: torch.save({"other": torch.zeros(1)}, path),
])  # fmt: skip
def test_what_is_damaged_is_trained_anew(
    tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    trained: list[nn.Linear] = []
    prepare(tmp_path, {}, trained)
    (path,) = tmp_path.glob(f"toy-*/{name}")
    damage(path)
    prepare(tmp_path, {}, trained)
    assert len(trained) == 2
    prepare(tmp_path, {}, trained)
    assert len(trained) == 2


def test_features_are_kept_for_the_same_network_images_and_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []

    def features(images: Tensor, weight: float = 1.0) -> list[Tensor]:
        def see() -> list[Tensor]:
            seen.append(images)
            return [images * weight, images.sum(1)]

        device, sources = torch.device("cpu"), [images, torch.tensor(weight)]
        return cache.kept_features(tmp_path, device, sources, see)

    images = torch.randn(4, 3)
    first, again = features(images), features(images.clone())
    assert len(seen) == 1
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    features(images + 1e-7)
    features(images, 2.0)
    monkeypatch.setattr("platform.node", lambda: "another machine")
    features(images)
    assert len(seen) == 4
    for path in tmp_path.glob("features-*.pt"):
        path.write_bytes(b"damaged")
    assert torch.equal(features(images)[0], first[0])
    assert len(seen) == 5


def test_progress_is_said_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    assert list(counted("abc", "letters", said.append)) == ["a", "b", "c"]
    assert said == [], "what is done at once needs no words"
    monkeypatch.setattr(cache, "PAUSE", 0)
    assert list(counted("abcd", "letters", said.append, 4)) == ["a", "b", "c", "d"]
    assert said == ["letters: 0%", "letters: 25%", "letters: 50%", "letters: 75%"]
    said.clear()
    list(counted(iter("ab"), "letters", said.append))
    assert said == ["letters: 0 done", "letters: 1 done"]


def test_a_classifier_learns_and_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "PAUSE", 0)
    torch.manual_seed(0)
    net, said, steps = nn.Linear(2, 2), list[str](), list[int]()
    recipe = {"lr": 0.1, "weight_decay": 0.0, "label_smoothing": 0.0}

    def batch() -> tuple[Tensor, Tensor]:
        labels = torch.arange(16) % 2
        return torch.randn(16, 2) + 4 * labels[:, None] - 2, labels

    fit(net, batch, 20, recipe, lambda: steps.append(1), said.append)
    inputs, labels = batch()
    assert (net(inputs).argmax(1) == labels).float().mean() > 0.8
    assert len(steps) == 20
    assert said[-1] == "evaluator: training steps: 95%"
