"""The usual measures, with weights drawn at random where the real ones would lie."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torchvision.models import AlexNet_Weights, Inception_V3_Weights, alexnet, inception_v3

from core.metrics.similarity import StandardMeasures
from core.task import UserError

CPU = torch.device("cpu")
WEIGHTS = (Inception_V3_Weights.IMAGENET1K_V1, AlexNet_Weights.IMAGENET1K_V1)


def test_they_need_weights_that_are_there_and_fetch_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"inception_v3.*\.pth is not there, and gantune downloads"):
        StandardMeasures(torch.zeros(2, 3, 32, 32), CPU)


def test_they_tell_likeness_to_paintings_and_to_the_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    for weights, made in zip(WEIGHTS, (inception_v3(init_weights=False), alexnet()), strict=True):
        torch.save(made.state_dict(), folder / Path(weights.url).name)
    smooth = F.interpolate(torch.randn(8, 3, 4, 4), (64, 64), mode="bicubic").clamp(-1, 1)
    measures = StandardMeasures(smooth[:4], CPU)
    same = measures(smooth[4:], smooth[4:])
    noise = measures(torch.rand(4, 3, 64, 64) * 2 - 1, smooth[4:])
    assert same["lpips"] == pytest.approx(0, abs=1e-6)
    assert noise["lpips"] > 0.01
    assert same["ssim"] == pytest.approx(1, abs=1e-6)
    assert noise["ssim"] < 0.5
    assert same["fid"] < noise["fid"]
    assert same.keys() == {"fid", "kid", "lpips", "ssim"}
    assert measures(smooth[4:], smooth[4:]) == same
