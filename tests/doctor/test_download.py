"""`gantune doctor --download`: the one way in which weights come from the network."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from torchvision.models import ResNet18_Weights, resnet18

from core.backbone import load_backbone, torchvision_file
from core.cli import main
from core.task import UserError
from tests.conftest import free_port


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state in place of torchvision's published one, and a cache of PyTorch that is empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    torch.save(resnet18().state_dict(), tmp_path / "state")
    digest = hashlib.sha256((tmp_path / "state").read_bytes()).hexdigest()
    path = (tmp_path / "state").rename(tmp_path / f"resnet18-{digest[:8]}.pth")
    monkeypatch.setattr(ResNet18_Weights.IMAGENET1K_V1.value, "url", path.as_uri())
    return path


def test_the_weights_lie_where_the_evaluator_looks_for_them(
    published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="run gantune doctor --download"):
        load_backbone("resnet18")
    assert not torchvision_file("ResNet18_Weights").exists(), "nothing is downloaded unasked"
    assert main(["doctor", "--download"]) == 0
    kept = torchvision_file("ResNet18_Weights")
    assert kept.read_bytes() == published.read_bytes()
    assert capsys.readouterr().out.splitlines()[-1] == str(kept)
    assert load_backbone("resnet18").name == "resnet18"
    published.unlink()
    assert main(["doctor", "--download"]) == 0, "a file that is there is not fetched again"


@pytest.mark.parametrize("fault", ["offline", "missing", "damaged"])
def test_a_download_that_fails_is_one_error(
    fault: str,
    published: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if fault == "offline":
        url = f"http://127.0.0.1:{free_port()}/{published.name}"
        monkeypatch.setattr(ResNet18_Weights.IMAGENET1K_V1.value, "url", url)
    elif fault == "missing":
        published.unlink()
    else:
        published.write_bytes(published.read_bytes()[:-1000])
    assert main(["doctor", "--download"]) == 2
    lines = capsys.readouterr().err.splitlines()
    (line,) = (line for line in lines if line.startswith(("error", "Traceback")))
    kept = torchvision_file("ResNet18_Weights")
    assert line.startswith(f"error: cannot download {kept.name}: ")
    assert line.endswith(f"put it into {kept.parent}")
    assert not kept.exists()
