from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.models import resnet18

import evaluators.painting as painting
from core.data.images import UnpairedImages, load_unpaired
from core.data.outputs import ImagePairs
from core.data.tensors import centre_crops, to_tensor
from core.metrics.exam import sit
from core.metrics.painting_score import soft, style_and_content
from core.metrics.resnet import RECIPE, PaintingNet, with_colours_of
from core.task import UserError


@pytest.fixture
def data(domains: Path) -> UnpairedImages:
    return load_unpaired(str(domains), 32, "resize")


@pytest.fixture
def evaluator(data: UnpairedImages, evaluators: Path) -> painting.PaintingEvaluator:
    evaluator = painting.PaintingEvaluator("A", "scratch", "cpu")
    evaluator.prepare(data, evaluators, lambda line: None)
    return evaluator


def photographs(data: UnpairedImages) -> Tensor:
    return to_tensor(data.b.validation)


def test_the_identity_has_content_and_no_style_and_loses(
    evaluator: painting.PaintingEvaluator, data: UnpairedImages
) -> None:
    score = evaluator(ImagePairs(photographs(data), photographs(data)))
    assert score.parts["content"] == pytest.approx(1, abs=1e-3)
    assert score.parts["painted"] == pytest.approx(0, abs=1e-3)
    assert score.parts["beyond"] == pytest.approx(0, abs=1e-2)
    assert score.parts["style"] < 0.05


def test_unrelated_paintings_have_no_content_and_one_for_all_no_style_either(
    evaluator: painting.PaintingEvaluator, data: UnpairedImages
) -> None:
    source = photographs(data)
    held_out = to_tensor(data.a.validation).repeat(2, 1, 1, 1)[: len(source)]
    score = evaluator(ImagePairs(source, held_out))
    assert score.parts["near"] > 0.9
    assert score.parts["content"] < 0.05
    assert score.violations["unrelated"] > 0
    one = evaluator(ImagePairs(source, held_out[:1].expand_as(source)))
    assert one.parts["diversity"] == one.parts["style"] == 0
    assert one.violations["one_for_all"] > 0
    trained = to_tensor(centre_crops(data.a.train[: len(source)], data.size))
    copies = evaluator(ImagePairs(source, trained))
    assert copies.parts["copied"] == 1
    assert copies.violations["copies"] > 0


def test_its_exam_passes_where_the_plain_classifiers_does_not(
    evaluator: painting.PaintingEvaluator, data: UnpairedImages, evaluators: Path
) -> None:
    exam = sit(evaluator, data)
    assert exam["passed"], [case for case in exam["cases"] if not case["passed"]]
    assert sum(not case["good"] for case in exam["cases"]) >= 14
    plain = painting.PaintingEvaluator("A", "scratch", "cpu", "plain")
    plain.prepare(data, evaluators, lambda line: None)
    failed = {case["name"] for case in sit(plain, data)["cases"] if not case["passed"]}
    assert {"other paintings", "good outputs, shuffled", "adversarial to network 1"} <= failed


def test_the_value_is_the_harmonic_mean_and_survives_a_blank_page(
    evaluator: painting.PaintingEvaluator, data: UnpairedImages
) -> None:
    source = photographs(data)
    blank = evaluator(ImagePairs(source, torch.ones_like(source)))
    assert 0 <= blank.value < 0.01
    score = evaluator(ImagePairs(source, source))
    style, content = score.parts["style"], score.parts["content"]
    assert score.value == pytest.approx(2 / (1 / style + 1 / content))
    assert score.parts["inputs"] == len(source)
    one = evaluator(ImagePairs(source[:1], source[:1]))
    assert 0 <= one.value <= 1


def test_scoring_leaves_a_trials_own_draws_alone(
    evaluator: painting.PaintingEvaluator, data: UnpairedImages
) -> None:
    state = torch.get_rng_state()
    evaluator(ImagePairs(photographs(data), photographs(data)))
    assert torch.equal(torch.get_rng_state(), state)


def test_what_it_knows_of_itself_is_measured_on_held_out_images(
    data: UnpairedImages, evaluators: Path
) -> None:
    kept = [json.loads(path.read_text()) for path in evaluators.glob("painting-*/facts.json")]
    found = [facts for facts in kept if facts["data"] == data.fingerprint]
    assert {facts["seed"] for facts in found} >= {0, 1}
    for facts in found:
        assert sum(facts["confusion"]["photographs"].values()) == 8
        assert sum(facts["confusion"]["paintings"].values()) == 6
        assert facts["accuracy"] >= 0.8


PREPARE = """
import sys
from pathlib import Path
from core.data.images import load_unpaired
from core.metrics.resnet import RECIPE
from evaluators.painting import PaintingEvaluator
RECIPE["steps"] = 3
data = load_unpaired(sys.argv[1], 32, "resize")
PaintingEvaluator("A", "scratch", "cpu").prepare(data, Path(sys.argv[2]), print)
"""


def test_parallel_workers_train_it_once(domains: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PREPARE, str(domains), str(tmp_path)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert sum(text.count("training a ResNet") for text in printed) == 2  # networks
    assert all("held-out accuracy" in text for text in printed)
    assert len(list(tmp_path.glob("*/weights.pt"))) == 2


def test_a_damaged_evaluator_is_trained_again(
    data: UnpairedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPE, "steps", 2)
    said: list[str] = []
    for _ in range(2):
        evaluator = painting.PaintingEvaluator("A", "scratch", "cpu")
        evaluator.prepare(data, tmp_path, said.append)
        one, _ = tmp_path.glob("*/weights.pt")
        one.write_bytes(one.read_bytes()[:1000])
    assert sum("training a ResNet" in line for line in said) == 3


def test_the_same_seed_gives_the_same_evaluator_whatever_came_before(
    data: UnpairedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPE, "steps", 3)
    scores = []
    for name in ("one", "two"):
        torch.rand(17)
        state = torch.get_rng_state()
        evaluator = painting.PaintingEvaluator("A", "scratch", "cpu")
        evaluator.prepare(data, tmp_path / name, lambda line: None)
        assert torch.equal(torch.get_rng_state(), state), "a trial's own draws are left alone"
        scores.append(evaluator(ImagePairs(photographs(data), photographs(data))))
    assert scores[0] == scores[1]


def test_imagenet_weights_are_taken_when_there_and_never_fetched(
    data: UnpairedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"resnet18-.*\.pth is not there, and gantune downloads no"):
        PaintingNet("imagenet")
    there = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    there.parent.mkdir(parents=True)
    reference = resnet18()
    torch.save(reference.state_dict(), there)
    net = PaintingNet("imagenet")
    assert torch.equal(net.get_parameter("resnet.conv1.weight"), reference.conv1.weight)
    assert net.get_parameter("fc.weight").shape == (2, 512)


def test_a_weak_evaluator_is_called_weak() -> None:
    facts = {"accuracy": 0.6, "weak": True, "confusion": {"a": {"b": 3}, "c": {"d": 4}}}
    assert "0.60 on 7 images - WEAK" in painting._introduction(facts)


def test_borrowed_colours_have_the_others_moments() -> None:
    torch.manual_seed(0)
    images, others = torch.rand(4, 3, 32, 32), 0.3 * torch.rand(4, 3, 32, 32) + 0.2
    made = with_colours_of(images, others)
    assert torch.allclose(made.mean((2, 3)), others.mean((2, 3)), atol=1e-3)
    assert torch.allclose(made.std((2, 3)), others.std((2, 3)), atol=0.02)


def test_the_parts_make_the_value() -> None:
    perfect = {"painted": 1.0, "near": 1.0, "beyond": 0.8, "form": 1.0, "diversity": 1.0,
               "copied": 0.0, "spectrum": 0.5, "structure": 1.0, "recall": 1.0}  # fmt: skip
    assert style_and_content(perfect) == (1.0, 1.0)
    worse = {"painted": 0.5, "near": 0.2, "beyond": 0.1, "form": 0.2, "diversity": 0.2,
             "copied": 0.4, "spectrum": 5.0, "structure": 0.5, "recall": 0.5}  # fmt: skip
    for name, value in worse.items():
        style, content = style_and_content({**perfect, name: value})
        assert style * content < 0.9, name
    assert 0 < style_and_content({**perfect, "painted": -5.0})[0] < 1e-3
    assert style_and_content({**perfect, "near": -1e9})[0] < 1e-9
    assert [soft(x) for x in (1.0, 3.0)] == [1.0, 1.0]
    assert soft(0.0) == pytest.approx(0.135, abs=0.01)
