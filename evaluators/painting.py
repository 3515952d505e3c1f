"""Painting-ness: does the output look painted, and does it still show its own input?

`style` is the mean probability of "painting" that a ResNet-18 gives the outputs. The network is
trained once per data set to tell its two domains apart, on the train split alone; what it gets
right is measured on the validation split. `content` compares the structure of each output with
its own input's, above what it shares with other inputs. The search value is their harmonic mean:
an identity mapping has content 1 and no style, an unrelated painting style 1 and no content, and
neither wins.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import torch
import torch.nn.functional as F
from filelock import FileLock
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, resnet18

from core.data.images import UnpairedImages
from core.data.tensors import to_pixels, to_tensor
from core.device import pick_device
from core.judging.classifier import RECIPE, train_classifier
from core.judging.structure import structural_agreement
from core.record import read_json, replace, write_json
from core.task import Objective, Samples, Score, UserError

OBJECTIVE = Objective("painting score", "maximize", worst=0.0)
JudgeWeights = Literal["scratch", "imagenet"]
DomainName = Literal["A", "B"]
WEAK = 0.7
UNSEEN = 2  # the seed of a judge that no search uses


class PaintingEvaluator:
    """Scores translations into the painting domain (`target`, "A" or "B") of a data set.

    Parts: `style` and `content` in [0, 1], and `inputs`, how many were judged. Cost: a ResNet-18
    forward pass an image.
    """

    objectives = (OBJECTIVE,)

    def __init__(
        self,
        target: DomainName,
        weights: JudgeWeights,
        device: str,
        seed: int = int(RECIPE["seed"]),
    ) -> None:
        self.target = target
        self.seed = seed
        self.weights = weights
        self.device = pick_device(device)
        self.net = nn.Module()

    def prepare(
        self, data: UnpairedImages, folder: Path, say: Callable[[str], None]
    ) -> Mapping[str, Any]:
        """Load the judge of this data set, or train it; parallel workers train it once.

        Kept under `folder/painting-<fingerprint>/`: judge.pt and judge.json, which is returned.
        """
        recipe = {"data": data.fingerprint, "target": self.target, "weights": self.weights}
        text = json.dumps([recipe, {**RECIPE, "seed": self.seed}], sort_keys=True)
        home = folder / f"painting-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / ".lock"), torch.random.fork_rng():
            torch.manual_seed(self.seed)
            if not (facts := self._load(home)):
                say("judge: training a ResNet-18 to tell the domains apart (once per data set)")
                self.net, learned = self._train(new_judge(self.weights).to(self.device), data)
                facts = {"evaluator": "painting", **recipe, **learned}
                replace(home / "judge.pt", lambda file: torch.save(self.net.state_dict(), file))
                write_json(home / "judge.json", facts)
        say(_introduction(facts))
        return facts

    def _load(self, home: Path) -> dict[str, Any]:
        """Take the judge kept in `home`; nothing where there is none, or a damaged one."""
        facts = read_json(home / "judge.json")
        self.net = new_judge("scratch").to(self.device).eval()
        try:
            state = torch.load(home / "judge.pt", map_location=self.device, weights_only=True)
            self.net.load_state_dict(state)
        except (OSError, RuntimeError, EOFError, UnpicklingError):
            return {}
        return facts if {"accuracy", "weak", "confusion"} <= facts.keys() else {}

    def _train(self, net: nn.Module, data: UnpairedImages) -> tuple[nn.Module, dict[str, Any]]:
        """The trained network, and how well it does on the validation split."""
        started = time.monotonic()
        photo = "A" if self.target == "B" else "B"
        splits = data.domain(photo).train, data.domain(self.target).train
        net = train_classifier(net, *splits, data.size, self.seed).eval()
        confusion = {}
        for kind, name in (("photographs", photo), ("paintings", self.target)):
            images = to_tensor(data.domain(name).validation)
            painted = int((paintingness(net, images, self.device) > 0.5).sum())
            confusion[kind] = {"photograph": len(images) - painted, "painting": painted}
        right = [confusion["photographs"]["photograph"], confusion["paintings"]["painting"]]
        held_out = [sum(row.values()) for row in confusion.values()]
        accuracy = sum(r / n for r, n in zip(right, held_out, strict=True)) / 2
        seconds = time.monotonic() - started
        measured = {"accuracy": accuracy, "weak": accuracy < WEAK, "confusion": confusion}
        return net, {**measured, "seconds": round(seconds, 1)}

    def __call__(self, samples: Samples) -> Score:
        """Score outputs, rounded to 8 bit first, against their sources."""
        output = to_pixels(samples.output).float() / 127.5 - 1
        style = float(paintingness(self.net, output, self.device).mean())
        content = structural_agreement(output, samples.source)
        value = 2 * style * content / (style + content) if style + content > 0 else 0.0
        parts = {"style": style, "content": content, "inputs": float(len(output))}
        return Score(value, parts)


@torch.inference_mode()
def paintingness(net: nn.Module, images: Tensor, device: torch.device) -> Tensor:
    """P(painting) for N x 3 x H x W images in [-1, 1]: N values in [0, 1]."""
    logits = [net(batch.to(device)).float().cpu() for batch in torch.split(images, 64)]
    return F.softmax(torch.cat(logits), dim=1)[:, 1]


def new_judge(weights: JudgeWeights) -> nn.Module:
    """A ResNet-18 with two logits (photograph, painting); UserError without ImageNet's file."""
    net: nn.Module = resnet18()
    if weights == "imagenet":
        name = Path(ResNet18_Weights.IMAGENET1K_V1.url).name
        path = Path(torch.hub.get_dir()) / "checkpoints" / name
        if not path.is_file():
            raise UserError(
                f"--judge-weights imagenet: {path} is not there, and gantune downloads nothing "
                f"unasked; put torchvision's {name} there or use --judge-weights scratch"
            )
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    net.fc = nn.Linear(512, 2)
    return net


def _introduction(facts: Mapping[str, Any]) -> str:
    held_out = sum(sum(row.values()) for row in facts["confusion"].values())
    line = f"judge: held-out accuracy {facts['accuracy']:.2f} on {held_out} images"
    if facts["weak"]:
        line += " - WEAK: its scores mean little; give it more or clearer training images"
    return line
