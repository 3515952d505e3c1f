"""The painting evaluator on small artificial domains: what it knows, keeps, refuses and says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import evaluators.painting as painting
from core.data.images import Domain, UnpairedImages, load_unpaired
from core.data.outputs import ImagePairs
from core.data.tensors import centre_crops, to_tensor
from core.metrics import cache, painting_net, scratch
from core.metrics.exam import sit
from core.metrics.painting_exam import adversarial, brushed
from core.metrics.painting_score import scaled
from core.task import UserError
from evaluators.painting import PaintingEvaluator

FITTED = "evaluator: learning to tell the domains apart (once per data set)"


@pytest.fixture(scope="module")
def data(domains: Path) -> UnpairedImages:
    return load_unpaired(str(domains), 32, "resize")


@pytest.fixture(scope="module")
def source(data: UnpairedImages) -> Tensor:
    """Validation photographs."""
    return to_tensor(data.b.validation)


@pytest.fixture(scope="module")
def strokes(data: UnpairedImages) -> Tensor:
    """The same, painted."""
    return brushed(data.b.validation, 0)


@pytest.fixture(scope="module")
def evaluator(data: UnpairedImages, evaluators: Path) -> PaintingEvaluator:
    return prepared(data, evaluators)


@pytest.fixture(scope="module")
def holdout(data: UnpairedImages, evaluators: Path) -> PaintingEvaluator:
    return prepared(data, evaluators, holdout=True)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit on few images, in seconds."""
    monkeypatch.setitem(painting_net.RECIPE, "images", 16)
    monkeypatch.setitem(painting_net.RECIPE, "rounds", 1)


def prepared(
    data: UnpairedImages,
    folder: Path,
    say: Callable[[str], None] = lambda line: None,
    weights: str = "auto",
    **more: Any,
) -> PaintingEvaluator:
    evaluator = PaintingEvaluator("A", weights, "cpu", **more)
    evaluator.prepare(data, folder, say)
    return evaluator


def test_strokes_win_and_the_identity_has_all_the_content_and_no_style(
    evaluator: PaintingEvaluator, source: Tensor, strokes: Tensor
) -> None:
    painted, same = (evaluator(ImagePairs(source, output)) for output in (strokes, source))
    assert painted.parts["style"] > 0.4
    assert not painted.broken
    assert same.parts["content"] == pytest.approx(1, abs=1e-3)
    assert same.parts["style"] < 1e-3
    assert painted.value > 0.1
    assert 0 < same.value < evaluator.margin * painted.value


def test_unrelated_paintings_copies_and_one_for_all_break_their_guards(
    evaluator: PaintingEvaluator, data: UnpairedImages, source: Tensor
) -> None:
    held_out = to_tensor(data.a.validation).repeat(2, 1, 1, 1)[: len(source)]
    unrelated = evaluator(ImagePairs(source, held_out))
    assert unrelated.parts["painted"] > 0.9
    assert unrelated.parts["content"] < 0.05
    assert unrelated.broken == ["unrelated"]
    one = evaluator(ImagePairs(source, held_out[:1].expand_as(source)))
    assert one.parts["diversity"] == one.parts["style"] == 0
    assert one.violations["one_for_all"] > 0
    trained = to_tensor(centre_crops(data.a.train[: len(source)], data.size))
    copies = evaluator(ImagePairs(source, trained))
    assert copies.parts["copied"] == 1
    assert copies.violations["copies"] > 0


def test_a_painting_of_the_negative_keeps_every_edge_and_loses(
    evaluator: PaintingEvaluator, source: Tensor, strokes: Tensor
) -> None:
    painted = evaluator(ImagePairs(source, strokes))
    negative = evaluator(ImagePairs(source, -strokes))
    assert negative.parts["structure"] == pytest.approx(painted.parts["structure"], abs=0.01)
    assert negative.parts["recall"] == painted.parts["recall"]
    assert painted.parts["light"] > 0.9
    assert negative.parts["light"] == pytest.approx(-painted.parts["light"], abs=0.01)
    assert negative.broken == ["negative"]
    assert negative.parts["content"] < 0.02


def test_a_score_is_style_times_content_also_of_a_blank_page_or_one_image(
    evaluator: PaintingEvaluator, source: Tensor, strokes: Tensor
) -> None:
    score = evaluator(ImagePairs(source, strokes))
    assert score.value == scaled(score.parts["style"] * score.parts["content"])
    assert score.parts["inputs"] == len(source)
    blank = evaluator(ImagePairs(source, torch.ones_like(source)))
    assert blank.value == 0
    assert blank.broken == ["unrelated", "one_for_all"]
    assert 0 <= evaluator(ImagePairs(source[:1], strokes[:1])).value <= 1


def test_scoring_leaves_a_trials_own_draws_alone(
    evaluator: PaintingEvaluator, source: Tensor
) -> None:
    state = torch.get_rng_state()
    evaluator(ImagePairs(source, source))
    assert torch.equal(torch.get_rng_state(), state)


def test_what_deceives_the_searchs_evaluator_does_not_deceive_the_holdout_evaluator(
    evaluator: PaintingEvaluator, holdout: PaintingEvaluator, source: Tensor, strokes: Tensor
) -> None:
    attack = adversarial(source, evaluator.net)
    deceived, seen_through = (e(ImagePairs(source, attack)) for e in (evaluator, holdout))
    assert deceived.parts["painted"] > 0.9
    assert seen_through.parts["painted"] < deceived.parts["painted"]
    assert seen_through.value < holdout.margin * holdout(ImagePairs(source, strokes)).value


def test_the_holdout_evaluators_exam_attacks_both_and_passes(
    holdout: PaintingEvaluator, data: UnpairedImages
) -> None:
    exam = sit(holdout, data)
    bad = [case for case in exam["cases"] if case["good"] is False]
    assert exam["passed"], [one for one in (*bad, *exam["ladders"]) if not one["passed"]]
    assert {"adversarial to this evaluator", "adversarial to the search's evaluator"} < {
        case["name"] for case in bad
    }
    assert len(bad) >= 40
    assert len(exam["ladders"]) == 2


def test_a_plain_classifier_can_be_gamed(data: UnpairedImages, evaluators: Path) -> None:
    exam = sit(prepared(data, evaluators, kind="plain"), data)
    failed = {case["name"] for case in exam["cases"] if not case["passed"]}
    assert not exam["passed"]
    assert {
        "one painting for all",
        "other paintings",
        "good outputs, shuffled",
        "adversarial to this evaluator",
    } <= failed


def test_what_it_knows_of_itself_is_measured_on_held_out_images(
    evaluator: PaintingEvaluator, holdout: PaintingEvaluator, data: UnpairedImages, evaluators: Path
) -> None:
    kept = [json.loads(path.read_text()) for path in evaluators.glob("painting-*/facts.json")]
    found = [facts for facts in kept if facts["data"] == data.fingerprint]
    networks = {(facts["weights"], facts["left_out"]) for facts in found}
    assert networks >= {("efficientnet-lite0", -1), ("efficientnet-lite1", 0)}  # few images
    for facts in found:
        assert facts["evaluator"] == "painting"
        assert sum(facts["confusion"]["photographs"].values()) == len(data.b.validation)
        assert sum(facts["confusion"]["paintings"].values()) == len(data.a.validation)
        assert facts["interval"][0] < facts["accuracy"] <= facts["interval"][1]
        assert facts["accuracy"] >= 0.8


@pytest.mark.parametrize("few", [False, True])
def test_the_holdout_evaluator_is_fitted_on_other_images(
    data: UnpairedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: bool
) -> None:
    """Of few images the search's evaluator leaves out none."""
    monkeypatch.setattr(painting, "FEW", 10_000 if few else 0)
    fitted: list[list[set[bytes]]] = []

    def record(backbone: Any, photographs: Any, paintings: Any, *more: Any) -> Any:
        fitted.append([{x.tobytes() for x in images} for images in (photographs, paintings)])
        return painting_net.untrained_heads(backbone)

    monkeypatch.setattr(painting_net, "train_heads", record)
    for holdout in (False, True):
        prepared(data, tmp_path, holdout=holdout)
    held_out = {x.tobytes() for domain in (data.a, data.b) for x in domain.validation}
    for mine, others, domain in zip(*fitted, (data.b, data.a), strict=True):
        assert mine | others == {x.tobytes() for x in domain.train}
        assert len(mine - others) == pytest.approx(len(domain.train) / 3, abs=1)
        left_out = 0 if few else len(domain.train) / 3
        assert len(others - mine) == pytest.approx(left_out, abs=0 if few else 1)
        assert not (mine | others) & held_out


@pytest.mark.parametrize(
    ("weights", "other"),
    [
        ("auto", "efficientnet-lite1"),
        ("efficientnet-lite0", "efficientnet-lite1"),
        ("efficientnet-lite1", "efficientnet-lite0"),
        ("resnet18", "efficientnet-lite1"),
        ("scratch", "efficientnet-lite1"),
    ],
)
def test_the_holdout_evaluator_sees_with_another_network(weights: str, other: str) -> None:
    holdout = PaintingEvaluator("A", weights, "cpu", holdout=True)
    assert (holdout.weights, holdout.searched) == (other, weights)


@pytest.mark.parametrize(
    ("few", "message"),
    [("A", "--data: 19 paintings; .* 20 images of each domain or more: add images"),
     ("B", "--data: 19 photographs; .* 20 images of each domain or more: add images")],
)  # fmt: skip
def test_too_few_images_are_counted_and_refused(
    data: UnpairedImages, tmp_path: Path, few: str, message: str
) -> None:
    def of(name: str, count: int) -> Domain:
        domain = data.domain(name)
        return replace(domain, train=domain.train[: count - len(domain.validation)])

    counts = {"A": 20, "B": 20, few: 19}
    with pytest.raises(UserError, match=message):
        prepared(replace(data, a=of("A", counts["A"]), b=of("B", counts["B"])), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("quick")
def test_twenty_images_are_enough(data: UnpairedImages, tmp_path: Path, source: Tensor) -> None:
    a, b = (replace(domain, train=domain.train[:14]) for domain in (data.a, data.b))
    smallest = replace(data, a=a, b=replace(b, validation=b.validation[:6]))
    score = prepared(smallest, tmp_path)(ImagePairs(source, source))
    assert 0 < score.value < 0.1


PREPARE = """
import sys
from pathlib import Path
from core.data.images import load_unpaired
from core.metrics.painting_net import RECIPE
from evaluators.painting import PaintingEvaluator
RECIPE.update(images=16, rounds=1)
data = load_unpaired(sys.argv[1], 32, "resize")
PaintingEvaluator("A", "auto", "cpu").prepare(data, Path(sys.argv[2]), print)
"""


def test_parallel_workers_fit_it_once(domains: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PREPARE, str(domains), str(tmp_path)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = [worker.communicate(timeout=240)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert sum(text.count(FITTED) for text in printed) == 1
    assert all("held-out accuracy" in text for text in printed)
    assert len(list(tmp_path.glob("*/weights.pt"))) == 1


@pytest.mark.usefixtures("quick")
def test_damaged_heads_are_fitted_again(data: UnpairedImages, tmp_path: Path) -> None:
    said: list[str] = []
    for fits in (1, 2, 2):
        prepared(data, tmp_path, said.append)
        assert said.count(FITTED) == fits
        (weights,) = tmp_path.glob("*/weights.pt")
        if fits == 1:
            weights.write_bytes(weights.read_bytes()[:1000])


@pytest.mark.usefixtures("quick")
def test_the_same_seed_gives_the_same_heads_whatever_came_before(
    data: UnpairedImages, tmp_path: Path
) -> None:
    states = []
    for name in ("one", "two"):
        torch.rand(17)
        state = torch.get_rng_state()
        states.append(prepared(data, tmp_path / name).net.heads.state_dict())
        assert torch.equal(torch.get_rng_state(), state), "a trial's own draws are left alone"
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.usefixtures("quick")
def test_a_fit_says_what_it_does_and_how_far_it_is(
    data: UnpairedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "PAUSE", 0)
    said: list[str] = []
    prepared(data, tmp_path, said.append)
    first, painted, *looked, last = said
    assert first == FITTED
    assert painted == "evaluator: painting photographs over with brush strokes"
    assert looked[0] == "evaluator: efficientnet-lite0 looks at images: 0%"
    shares = [int(line.removesuffix("%").split()[-1]) for line in looked]
    assert shares == sorted(shares)
    assert shares[-1] > 80
    assert last.startswith("evaluator: efficientnet-lite0, held-out accuracy 1.00 (0.79 to 1.00)")


@pytest.mark.usefixtures("quick")
def test_without_pretraining_a_network_of_its_own_is_trained_once(
    data: UnpairedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Tensor
) -> None:
    monkeypatch.setitem(scratch.RECIPE, "steps", 2)
    said: list[str] = []
    scores = [
        prepared(data, tmp_path, said.append, "scratch")(ImagePairs(source, source))
        for _ in range(2)
    ]
    assert scores[0] == scores[1]
    assert sum("training a ResNet-18" in line for line in said) == said.count(FITTED) == 1
    assert {path.parent.name.split("-")[0] for path in tmp_path.glob("*/weights.pt")} == {
        "backbone",
        "painting",
    }
    assert said[-1].startswith("evaluator: scratch:3, held-out accuracy")


def test_a_weak_evaluator_is_called_weak() -> None:
    facts = {"weights": "mine.pth:12ab", "accuracy": 0.6, "interval": [0.4, 0.8], "weak": True}
    facts["confusion"] = {"a": {"b": 3}, "c": {"d": 4}}
    said = painting._introduction(facts)
    assert "mine.pth:12ab, held-out accuracy 0.60 (0.40 to 0.80) on 7 images - WEAK" in said
