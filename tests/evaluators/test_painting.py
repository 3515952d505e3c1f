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
from core.data.tensors import to_tensor
from core.judging.classifier import RECIPE, junk
from core.task import Samples, UserError


@pytest.fixture
def data(domains: Path) -> UnpairedImages:
    return load_unpaired(str(domains), 32, "resize")


@pytest.fixture
def judge(data: UnpairedImages, judges: Path) -> painting.PaintingEvaluator:
    evaluator = painting.PaintingEvaluator("A", "scratch", "cpu")
    evaluator.prepare(data, judges, lambda line: None)
    return evaluator


def photographs(data: UnpairedImages) -> Tensor:
    return to_tensor(data.b.validation)


def test_the_identity_has_content_and_no_style_and_loses(
    judge: painting.PaintingEvaluator, data: UnpairedImages
) -> None:
    score = judge(Samples(photographs(data), photographs(data)))
    assert score.parts["content"] == pytest.approx(1, abs=1e-3)
    assert score.parts["style"] < 0.3
    assert score.value < 0.5


def test_an_unrelated_painting_has_style_and_no_content_and_loses(
    judge: painting.PaintingEvaluator, data: UnpairedImages
) -> None:
    source = photographs(data)
    paintings = to_tensor(data.a.validation).repeat(2, 1, 1, 1)[: len(source)]
    for output in (paintings, paintings[:1].expand_as(source)):
        score = judge(Samples(source, output))
        assert score.parts["style"] > 0.7
        assert score.parts["content"] < 0.25
        assert score.value < 0.4


def test_a_painted_version_of_the_input_beats_both(
    judge: painting.PaintingEvaluator, data: UnpairedImages
) -> None:
    source = photographs(data)
    x = torch.linspace(0, 50, 32)
    warm = torch.tensor([0.9, 0.6, 0.3]).reshape(3, 1, 1)
    light = (source + 1).mean(1, keepdim=True) / 2
    output = ((light + 0.2 * torch.sin(x)) * warm).clamp(0, 1) * 2 - 1
    value = judge(Samples(source, output)).value
    assert value > 1.2 * judge(Samples(source, source)).value
    assert value > 1.2 * judge(Samples(source, output.roll(1, 0))).value


def test_flat_and_noise_images_are_no_paintings(judge: painting.PaintingEvaluator) -> None:
    torch.manual_seed(1)
    assert float(painting.paintingness(judge.net, junk(64, 32) * 2 - 1, judge.device).mean()) < 0.3


def test_the_value_is_the_harmonic_mean_and_survives_a_blank_page(
    judge: painting.PaintingEvaluator, data: UnpairedImages
) -> None:
    source = photographs(data)
    blank = judge(Samples(source, torch.ones_like(source)))
    assert 0 <= blank.value < 0.2
    score = judge(Samples(source, source))
    style, content = score.parts["style"], score.parts["content"]
    assert score.value == pytest.approx(2 / (1 / style + 1 / content))
    assert score.parts["inputs"] == len(source)


def test_what_it_knows_of_itself_is_measured_on_held_out_images(judges: Path) -> None:
    (path,) = judges.glob("painting-*/judge.json")
    facts = json.loads(path.read_text())
    assert sum(facts["confusion"]["photographs"].values()) == 8
    assert sum(facts["confusion"]["paintings"].values()) == 6
    assert facts["accuracy"] >= 0.8


PREPARE = """
import sys
from pathlib import Path
from core.data.images import load_unpaired
from core.judging.classifier import RECIPE
from evaluators.painting import PaintingEvaluator
RECIPE["steps"] = 3
data = load_unpaired(sys.argv[1], 32, "resize")
PaintingEvaluator("A", "scratch", "cpu").prepare(data, Path(sys.argv[2]), print)
"""


def test_parallel_workers_train_it_once(domains: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PREPARE, str(domains), str(tmp_path)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert sum("training a ResNet" in text for text in told) == 1
    assert all("held-out accuracy" in text for text in told)
    assert len(list(tmp_path.glob("*/judge.pt"))) == 1


def test_a_damaged_judge_is_trained_again(
    data: UnpairedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPE, "steps", 2)
    said: list[str] = []
    for _ in range(2):
        judge = painting.PaintingEvaluator("A", "scratch", "cpu")
        judge.prepare(data, tmp_path, said.append)
        (weights,) = tmp_path.glob("*/judge.pt")
        weights.write_bytes(weights.read_bytes()[:1000])
    assert sum("training a ResNet" in line for line in said) == 2


def test_the_same_seed_gives_the_same_judge_whatever_came_before(
    data: UnpairedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPE, "steps", 3)
    scores = []
    for name in ("one", "two"):
        torch.rand(17)
        state = torch.get_rng_state()
        judge = painting.PaintingEvaluator("A", "scratch", "cpu")
        judge.prepare(data, tmp_path / name, lambda line: None)
        assert torch.equal(torch.get_rng_state(), state), "a trial's own draws are left alone"
        scores.append(judge(Samples(photographs(data), photographs(data))))
    assert scores[0] == scores[1]


def test_imagenet_weights_are_taken_when_there_and_never_fetched(
    data: UnpairedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"resnet18-.*\.pth is not there, and gantune downloads no"):
        painting.new_judge("imagenet")
    there = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    there.parent.mkdir(parents=True)
    reference = resnet18()
    torch.save(reference.state_dict(), there)
    net = painting.new_judge("imagenet")
    assert torch.equal(net.get_parameter("conv1.weight"), reference.conv1.weight)
    assert net.get_parameter("fc.weight").shape == (2, 512)


def test_a_weak_judge_is_called_weak() -> None:
    facts = {"accuracy": 0.6, "weak": True, "confusion": {"a": {"b": 3}, "c": {"d": 4}}}
    assert "0.60 on 7 images - WEAK" in painting._introduction(facts)
