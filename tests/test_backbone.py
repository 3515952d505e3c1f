"""The pretrained networks: what they make of images, and what is said of weights that are bad."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.models import ResNet18_Weights, resnet18, resnet34

from core.backbone import NAMES, load_backbone, packaged_weights, torchvision_file
from core.task import UserError

PACKAGED = [name for name in NAMES if name.startswith("efficientnet")]
FEATURES = {  # mean and deviation of each channel that is read
    "efficientnet-lite0": [2 * (40 + 80), 2 * (192 + 320)],
    "efficientnet-lite1": [2 * (40 + 80), 2 * (192 + 320)],
    "resnet18": [2 * (128 + 256), 2 * 512],
}


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PyTorch's cache of weights, empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def state_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a ResNet-18 with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mine.pth"
    torch.save(resnet18().state_dict(), path)
    return path


@pytest.mark.parametrize("name", PACKAGED)
@pytest.mark.parametrize("size", [32, 64, 256])
def test_packaged_networks_give_finite_features_of_one_length(name: str, size: int) -> None:
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    features = load_backbone(name).features(torch.cat([images, torch.ones_like(images)]))
    assert [depth.shape for depth in features] == [(4, length) for length in FEATURES[name]]
    for depth in features:
        assert depth.isfinite().all()
        assert (depth[0] - depth[1]).abs().max() > 0.01
        assert torch.allclose(depth[2], depth[3], atol=1e-4), "an image's features are its own"


def test_auto_is_the_same_network_on_every_machine(images: Tensor) -> None:
    state = torch.get_rng_state()
    auto = load_backbone("auto")
    assert torch.equal(torch.get_rng_state(), state), "a trial's own draws are left alone"
    assert auto.name == "efficientnet-lite0"
    assert not auto.training
    assert not any(parameter.requires_grad for parameter in auto.parameters())
    for one, other in zip(
        auto.features(images), load_backbone(auto.name).features(images), strict=True
    ):
        assert torch.equal(one, other)


def test_large_images_are_scaled_down_and_batches_make_no_difference(images: Tensor) -> None:
    backbone = load_backbone("auto")
    many = images.repeat(13, 1, 1, 1)  # more than a batch
    for depth, first in zip(backbone.features(many), backbone.features(images), strict=True):
        assert torch.allclose(depth, first.repeat(13, 1), atol=1e-4)
    seen: list[int] = []
    backbone.stages[0].register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[-1]))
    for size in (32, 128, 160, 256):
        backbone.features(torch.zeros(1, 3, size, size))
    assert seen == [128, 128, 160, 192]


def test_resnet18_is_torchvisions_file_and_the_same_as_a_file_of_ones_own(
    cache: Path, state_file: Path, images: Tensor
) -> None:
    with pytest.raises(UserError, match=r"gantune downloads nothing.*gantune doctor --download"):
        load_backbone("resnet18")
    there = cache / Path(ResNet18_Weights.IMAGENET1K_V1.url).name
    there.write_bytes(state_file.read_bytes())
    assert torchvision_file("ResNet18_Weights") == there
    published, mine = load_backbone("resnet18"), load_backbone(str(state_file))
    assert published.name == "resnet18"
    assert mine.name.startswith("mine.pth:")
    features = published.features(images)
    assert [depth.shape[1] for depth in features] == FEATURES["resnet18"]
    for depth, same in zip(features, mine.features(images), strict=True):
        assert depth.isfinite().all()
        assert torch.equal(depth, same)


@pytest.mark.parametrize("name", PACKAGED)
def test_a_packaged_networks_state_may_be_a_file_too(
    name: str, tmp_path: Path, images: Tensor
) -> None:
    path = tmp_path / "copy.pt"
    path.write_bytes(packaged_weights(name).read_bytes())
    copied, packaged = load_backbone(str(path)), load_backbone(name)
    for depth, same in zip(copied.features(images), packaged.features(images), strict=True):
        assert torch.equal(depth, same)


def test_a_files_name_changes_with_its_content(tmp_path: Path, state_file: Path) -> None:
    state = torch.load(state_file, weights_only=True)
    state["conv1.weight"] += 1
    other = tmp_path / state_file.name
    torch.save(state, other)
    assert load_backbone(str(other)).name != load_backbone(str(state_file)).name


def truncated(path: Path) -> None:
    torch.save(resnet18().state_dict(), path)
    path.write_bytes(path.read_bytes()[:100_000])


@pytest.mark.parametrize("write", [
    lambda path: path.write_text("not weights\n" * 100),
    lambda path: path.write_bytes(b""),
    truncated,
    lambda path: torch.save(torch.zeros(3), path),
    lambda path: torch.save([torch.zeros(3)], path),
    lambda path: torch.save({}, path),
    lambda path: torch.save({"weight": torch.zeros(3)}, path),
    lambda path: torch.save({"_conv_stem.weight": torch.zeros(3)}, path),
    lambda path: torch.save({"conv1.weight": "text"}, path),
    lambda path: torch.save(resnet34().state_dict(), path),
], ids=["text", "empty", "truncated", "tensor", "list", "no key", "other key", "other stem",
        "no tensor", "resnet34"])  # fmt: skip
def test_a_file_of_something_else_is_named(tmp_path: Path, write: Callable[[Path], object]) -> None:
    path = tmp_path / "weights.pth"
    write(path)
    with pytest.raises(UserError) as caught:
        load_backbone(str(path))
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 600


def test_a_file_that_is_not_there_is_named_beside_the_networks(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--evaluator-weights .*nowhere\.pth: no such network"):
        load_backbone(str(tmp_path / "nowhere.pth"))
    with pytest.raises(UserError, match=r"resnet50: .* name one of auto, efficientnet-lite0, .*"):
        load_backbone("resnet50")


class Payload:
    """Pickled code: whoever unpickles it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_code_in_a_file_of_weights_is_not_run(tmp_path: Path) -> None:
    path, ran = tmp_path / "evil.pth", tmp_path / "ran"
    torch.save({"conv1.weight": Payload(ran)}, path)
    with pytest.raises(UserError, match=r"evil\.pth"):
        load_backbone(str(path))
    assert not ran.exists()
