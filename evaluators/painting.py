"""Does the output look painted, and does it still show its own input? An evaluator hard to game.

Two ResNet-18 (one sees half the resolution) learn to tell the data set's domains apart, once and
on the train split alone. `style` is what they see of paintings in the outputs, `content` what is
left of each output's own input, the search value their harmonic mean. What a bare probability of
"painting" would pay for, such as one painting for all inputs, a colour filter, noise or a texture
that deceives a network, costs style. core/metrics/painting_score.py has the parts and formulas.

`--evaluator plain` is the bare probability, of one network: what others search with, and what fails
the exam.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from core.data.images import Domain, UnpairedImages
from core.data.outputs import ImagePairs
from core.data.tensors import centre_crops, from_pixels, in_batches, to_pixels, to_tensor
from core.device import pick_device
from core.metrics import resnet, similarity
from core.metrics.cache import load_or_train
from core.metrics.painting_score import PARTS, harmonic, style_and_content, violations
from core.metrics.resnet import EvaluatorWeights, PaintingNet, look
from core.metrics.spectrum import form_gained, radial_spectrum, spectral_misfit
from core.metrics.style import Look, best_recolouring, measure_style
from core.task import Case, Objective, Score

OBJECTIVE = Objective("painting score", "maximize", worst=0.0)
DomainName = Literal["A", "B"]
EvaluatorKind = Literal["guarded", "plain"]
WEAK = 0.7
SEEDS = {"guarded": (0, 1), "plain": (0,)}
SHOWN = 256  # training paintings, at most, that the exam's outputs are made from
HOLDOUT_SEEDS = (2, 3)  # of the networks that no search uses


class PaintingEvaluator:
    """Scores translations into the painting domain (`target`, "A" or "B") of a data set.

    Cost: eight forward passes of a ResNet-18 an image and epoch, half of them at half resolution.
    """

    objectives = (
        OBJECTIVE,
        Objective("style", "maximize", worst=0.0),
        Objective("content", "maximize", worst=0.0),
    )

    def __init__(
        self,
        target: DomainName,
        weights: EvaluatorWeights,
        device: str,
        kind: EvaluatorKind = "guarded",
        seeds: tuple[int, ...] = (),
        standard: bool = False,
    ) -> None:
        self.target = target
        self.weights = weights
        self.device = pick_device(device)
        self.kind, self.seeds = kind, seeds or SEEDS[kind]
        self.standard = standard
        self.measures: similarity.StandardMeasures | None = None
        self.nets: list[PaintingNet] = []
        self.looks: list[Look] = []
        self.spectra = self.thumbnails = torch.zeros(0)

    def prepare(
        self, data: UnpairedImages, folder: Path, say: Callable[[str], None]
    ) -> Mapping[str, Any]:
        """Load the networks of this data set, or train them; see `load_or_train`.

        Returns what is known of the networks together.
        """
        trained = [self._network(seed, data, folder, say) for seed in self.seeds]
        self.nets = [net for net, _ in trained]
        photographs, paintings = (to_tensor(d.validation) for d in self._domains(data))
        pairs = product(self.nets, (False, True))
        self.looks = [Look(net, blurred, photographs, paintings) for net, blurred in pairs]
        if self.standard:
            self.measures = similarity.StandardMeasures(paintings, self.device)
        training = centre_crops(self._domains(data)[1].train, data.size)
        self.spectra = torch.cat([radial_spectrum(batch) for batch in in_batches(training)])
        self.thumbnails = torch.cat(
            [similarity.thumbnails(batch) for batch in in_batches(training)]
        )
        known = accuracy(self.nets, photographs, paintings)
        seconds = round(sum(facts["seconds"] for _, facts in trained), 1)
        facts = {"evaluator": "painting", "kind": self.kind, **self._recipe(data), **known}
        facts |= {"seeds": list(self.seeds), "seconds": seconds}
        say(_introduction(facts))
        return facts

    def _domains(self, data: UnpairedImages) -> tuple[Domain, Domain]:
        """Photographs and paintings."""
        return data.domain("A" if self.target == "B" else "B"), data.domain(self.target)

    def _recipe(self, data: UnpairedImages) -> dict[str, str]:
        return {"data": data.fingerprint, "target": self.target, "weights": self.weights}

    def _network(
        self, seed: int, data: UnpairedImages, folder: Path, say: Callable[[str], None]
    ) -> tuple[PaintingNet, dict[str, Any]]:
        """One network, trained unless it is kept; those with odd seeds see half the resolution."""
        coarse = bool(seed % 2)

        def build() -> PaintingNet:
            return PaintingNet("scratch", coarse).to(self.device)

        def train() -> tuple[PaintingNet, dict[str, Any]]:
            say("evaluator: training a ResNet-18 to tell the domains apart (once per data set)")
            fresh = PaintingNet(self.weights, coarse).to(self.device)
            photographs, paintings = (domain.train for domain in self._domains(data))
            net = resnet.train_classifier(fresh, photographs, paintings, data.size, seed)
            net.eval().requires_grad_(False)
            unchanged = (centre_crops(images, data.size) for images in (photographs, paintings))
            resnet.calibrate(net, *map(in_batches, unchanged))
            held_out = (to_tensor(domain.validation) for domain in self._domains(data))
            facts = {"evaluator": "painting", **self._recipe(data), "seed": seed}
            return net, {**facts, **accuracy([net], *held_out)}

        recipe = {**self._recipe(data), **resnet.RECIPE, "seed": seed}
        return load_or_train(folder, "painting", recipe, seed, build, train)

    def __call__(self, outputs: ImagePairs) -> Score:
        """Score outputs, rounded to 8 bit first, against their sources."""
        output = from_pixels(to_pixels(outputs.output))
        if self.kind == "plain":
            chance = float(chances(self.nets, output).mean())
            return Score(chance, {"style": chance, "inputs": float(len(output))})
        parts, features = self._measure(output, outputs.source)
        style, content = style_and_content(parts)
        ssim = similarity.ssim(output, outputs.source)
        shown = {"style": style, "content": content, **parts, "ssim": ssim}
        paintings = self.looks[0].standard(self.looks[0].paintings)
        if min(len(features), len(paintings)) > 1:
            shown["fid"] = similarity.frechet_distance(features, paintings)
            shown["kid"] = similarity.kernel_distance(features, paintings)
        if self.measures:
            shown |= self.measures(output, outputs.source)
        shown |= {"inputs": float(len(output))}
        return Score(harmonic(style, content), shown, violations(parts))

    def _measure(self, output: Tensor, source: Tensor) -> tuple[dict[str, float], Tensor]:
        """What the value is computed from, and the outputs' features, standardised."""
        recoloured = best_recolouring(source, output)
        style, features = measure_style(self.looks, output, recoloured)
        structure, recall = similarity.structure_kept(output, source)
        parts = style | {
            "form": form_gained(output, recoloured),
            "copied": similarity.copied_share(output, self.thumbnails),
            "spectrum": spectral_misfit(output, self.spectra),
            "structure": structure,
            "recall": recall,
        }
        return {name: parts[name] for name in PARTS}, self.looks[0].standard(features)

    def exam(self, data: UnpairedImages) -> Iterator[Case]:
        """Ways to cheat, beside validation photographs that were painted over."""
        from core.metrics.painting_exam import painting_exam  # torchvision is slow to import

        photographs, paintings = self._domains(data)
        spread = np.linspace(0, len(paintings.train), min(len(paintings.train), SHOWN), False)
        shown = [paintings.train[int(k)] for k in spread]
        training = to_tensor(centre_crops(shown, data.size))
        return painting_exam(photographs.validation, training, self.nets, self.device)


def accuracy(nets: Sequence[PaintingNet], photographs: Tensor, paintings: Tensor) -> dict[str, Any]:
    """How networks together do on held-out N x 3 x H x W images in [-1, 1]."""
    confusion = {}
    for kind, images in (("photographs", photographs), ("paintings", paintings)):
        painted = int((chances(nets, images) > 0.5).sum())
        confusion[kind] = {"photograph": len(images) - painted, "painting": painted}
    right = confusion["photographs"]["photograph"] / len(photographs)
    share = (right + confusion["paintings"]["painting"] / len(paintings)) / 2
    return {"accuracy": share, "weak": share < WEAK, "confusion": confusion}


def chances(nets: Sequence[PaintingNet], images: Tensor) -> Tensor:
    """P(painting) of N x 3 x H x W images in [-1, 1], the networks' mean: N values in [0, 1]."""
    return torch.stack([look(net, images, False)[1] for net in nets]).mean(0)


def _introduction(facts: Mapping[str, Any]) -> str:
    held_out = sum(sum(row.values()) for row in facts["confusion"].values())
    line = f"evaluator: held-out accuracy {facts['accuracy']:.2f} on {held_out} images"
    if facts["weak"]:
        line += " - WEAK: its scores mean little; give it more or clearer training images"
    return line
