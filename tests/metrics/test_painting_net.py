"""What the classifier of photographs and paintings is shown, and how well it is said to do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.data.images import Pixels
from core.metrics import painting_net
from core.metrics.painting_net import Example, accuracy, training_images

PAINTED = {"paintings", "changed paintings", "painted over"}
NOT_PAINTED = {
    "photographs", "changed photographs", "spoilt", "superposed", "spoilt paintings",
    "spoilt strokes", "junk",
}  # fmt: skip


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> list[list[Example]]:
    """All that it is shown of some noise, with the seeds 0, 0 and 1."""
    monkeypatch.setitem(painting_net.RECIPE, "images", 16)
    monkeypatch.setitem(painting_net.RECIPE, "rounds", 2)
    random = np.random.default_rng(0)
    photographs, paintings = (
        [random.integers(0, 256, (36, 36, 3), np.uint8) for _ in range(count)] for count in (30, 21)
    )

    def shown(photographs: list[Pixels], paintings: list[Pixels], seed: int) -> list[Example]:
        return list(training_images(photographs, paintings, 32, seed, lambda line: None))

    return [shown(photographs, paintings, seed) for seed in (0, 0, 1)]


def test_what_is_shown_is_images_with_their_labels(examples: list[list[Example]]) -> None:
    assert {kind for kind, _, label, _ in examples[0] if label} == PAINTED
    assert {kind for kind, _, label, _ in examples[0] if not label} == NOT_PAINTED
    counts = {kind: len(images) for kind, images, _, _ in examples[0]}
    assert (counts["photographs"], counts["paintings"]) == (30, 21), "each of them as it is, too"
    for _, images, _, weight in examples[0]:
        assert images.shape[1:] == (3, 32, 32)
        assert images.isfinite().all()
        assert images.abs().max() <= 1 + 1e-5
        assert weight > 0


def test_the_seed_alone_decides_what_is_shown(examples: list[list[Example]]) -> None:
    first, again, other = ([images for _, images, _, _ in shown] for shown in examples)
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert not any(torch.equal(*pair) for pair in zip(first, other, strict=True))


def test_a_head_finds_what_tells_the_labels_apart_whatever_their_number() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(300) % 10 // 9  # nine to one
    x = random.normal(size=(300, 5)) + 10
    x[:, 2] += 8 * labels
    head = painting_net._fit(x.astype(np.float32), labels, np.ones(300))
    logits = head(torch.from_numpy(x).float())[:, 0].detach().numpy()
    assert ((logits > 0) == labels).mean() > 0.97
    assert logits[labels == 0].mean() + logits[labels == 1].mean() == pytest.approx(0, abs=0.5)


def test_accuracy_by_hand() -> None:
    """Logits of photographs at -9, paintings at 1: what lies above -4 counts as a painting."""
    photographs, paintings = torch.full((5, 2), -9.0), torch.full((7, 2), 1.0)
    held_photographs = torch.tensor([[-9.0, -9.0], [-6.0, -6.0], [-6.0, -4.0], [2.0, 1.0]])
    held_paintings = torch.tensor([[1.0, 1.0], [-3.0, -3.0], [-4.0, -2.0], [-1.0, 3.0]])
    found = accuracy(photographs, paintings, held_photographs, held_paintings)
    assert found["confusion"] == {
        "photographs": {"photograph": 3, "painting": 1},
        "paintings": {"photograph": 0, "painting": 4},
    }
    assert found["accuracy"] == (3 / 4 + 1) / 2
    assert not found["weak"]
    low, high = found["interval"]
    assert 0.5 < low < 0.7
    assert 0.95 < high <= 1
    assert accuracy(photographs, paintings, held_paintings, held_photographs)["weak"]
