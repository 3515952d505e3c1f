"""Does the output look painted, and does it still show its own input? An evaluator hard to game.

Two ResNet-18 (one sees half the resolution) learn to tell the data set's domains apart, once and
on the train split alone. `style` is what they see of paintings in the outputs, `content` what is
left of each output's own input, the search value their harmonic mean. What a bare probability of
"painting" would pay for, such as one painting for all inputs, a colour filter, noise or a texture
that deceives a network, costs style. core/judging/painting_score.py has the parts and formulas.

`--evaluator plain` is the bare probability, of one network: what others search with, and what fails
the exam.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from core.data.images import UnpairedImages
from core.data.outputs import ImagePairs
from core.data.tensors import centre_crops, in_batches, to_pixels, to_tensor
from core.device import pick_device
from core.files import atomic_write, read_json, write_json
from core.metrics.classifier import RECIPE, train_classifier
from core.metrics.copying import copied_share, thumbnails
from core.metrics.distance import frechet_distance, kernel_distance
from core.metrics.form import form_gained
from core.metrics.likeness import ssim
from core.metrics.painting_exam import painting_exam
from core.metrics.painting_score import harmonic, style_and_content, violations
from core.metrics.recolouring import best_recolouring
from core.metrics.resnet import EvaluatorWeights, PaintingNet, calibrate, look
from core.metrics.spectrum import radial_spectrum, spectral_misfit
from core.metrics.standard import StandardMeasures
from core.metrics.structure import structure_kept
from core.metrics.style import Look, measure_style
from core.task import Case, Objective, Score

OBJECTIVE = Objective("painting score", "maximize", worst=0.0)
DomainName = Literal["A", "B"]
EvaluatorKind = Literal["guarded", "plain"]
WEAK = 0.7
SEEDS = {"guarded": (0, 1), "plain": (0,)}
SHOWN = 256  # training paintings, at most, that the exam's outputs are made from
HOLDOUT = (2, 3)  # of the networks that no search uses


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
        self.kind = kind
        self.seeds = seeds or SEEDS[kind]
        self.standard = standard
        self.measures: StandardMeasures | None = None
        self.nets: list[PaintingNet] = []
        self.looks: list[Look] = []
        self.spectra = self.thumbnails = torch.zeros(0)

    def prepare(
        self, data: UnpairedImages, folder: Path, say: Callable[[str], None]
    ) -> Mapping[str, Any]:
        """Load the networks of this data set, or train them; parallel workers train them once.

        Each is kept under `folder/painting-<hash>/`: evaluator.pt and evaluator.json. Returns what is known
        of them together.
        """
        made = [self._network(seed, data, folder, say) for seed in self.seeds]
        self.nets = [net for net, _ in made]
        photographs, paintings = (to_tensor(d.validation) for d in self._domains(data))
        self.looks = [
            Look.at(net, blurred, photographs, paintings)
            for net in self.nets
            for blurred in (False, True)
        ]
        if self.standard:
            self.measures = StandardMeasures(paintings, self.device)
        training = centre_crops(self._domains(data)[1].train, data.size)
        self.spectra = torch.cat([radial_spectrum(batch) for batch in in_batches(training)])
        self.thumbnails = torch.cat([thumbnails(batch) for batch in in_batches(training)])
        seconds = round(sum(facts["seconds"] for _, facts in made), 1)
        known = accuracy(self.nets, photographs, paintings)
        facts = {"evaluator": "painting", "kind": self.kind, **self._recipe(data), **known}
        facts |= {"seeds": list(self.seeds), "seconds": seconds}
        say(_introduction(facts))
        return facts

    def _domains(self, data: UnpairedImages) -> tuple[Any, Any]:
        """Photographs and paintings."""
        return data.domain("A" if self.target == "B" else "B"), data.domain(self.target)

    def _recipe(self, data: UnpairedImages) -> dict[str, str]:
        return {"data": data.fingerprint, "target": self.target, "weights": self.weights}

    def _network(
        self, seed: int, data: UnpairedImages, folder: Path, say: Callable[[str], None]
    ) -> tuple[PaintingNet, dict[str, Any]]:
        """One network, trained unless it is kept; those with odd seeds see half the resolution."""
        recipe = {**RECIPE, "seed": seed}
        text = json.dumps([self._recipe(data), recipe], sort_keys=True)
        home = folder / f"painting-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / ".lock"), torch.random.fork_rng():
            torch.manual_seed(seed)
            if there := self._load(home, seed):
                return there
            say("evaluator: training a ResNet-18 to tell the domains apart (once per data set)")
            started = time.monotonic()
            fresh = PaintingNet(self.weights, coarse=bool(seed % 2)).to(self.device)
            photographs, paintings = (domain.train for domain in self._domains(data))
            net = train_classifier(fresh, photographs, paintings, data.size, seed)
            net.eval().requires_grad_(False)
            as_they_are = (centre_crops(d, data.size) for d in (photographs, paintings))
            calibrate(net, *map(in_batches, as_they_are))
            facts = {"evaluator": "painting", **self._recipe(data), "seed": seed}
            held_out = [to_tensor(domain.validation) for domain in self._domains(data)]
            facts |= accuracy([net], *held_out)
            facts |= {"seconds": round(time.monotonic() - started, 1)}
            atomic_write(home / "evaluator.pt", lambda file: torch.save(net.state_dict(), file))
            write_json(home / "evaluator.json", facts)
        return net, facts

    def _load(self, home: Path, seed: int) -> tuple[PaintingNet, dict[str, Any]] | None:
        """The network kept in `home`; None where there is none, or a damaged one."""
        facts = read_json(home / "evaluator.json")
        net = PaintingNet("scratch", coarse=bool(seed % 2)).to(self.device)
        try:
            state = torch.load(home / "evaluator.pt", map_location=self.device, weights_only=True)
            net.load_state_dict(state)
        except (OSError, RuntimeError, EOFError, UnpicklingError):
            return None
        return (net.eval().requires_grad_(False), facts) if "seconds" in facts else None

    def __call__(self, outputs: ImagePairs) -> Score:
        """Score outputs, rounded to 8 bit first, against their sources."""
        output = to_pixels(outputs.output).float() / 127.5 - 1
        if self.kind == "plain":
            chance = float(chances(self.nets, output).mean())
            return Score(chance, {"style": chance, "inputs": float(len(output))})
        parts, features = self._parts(output, outputs.source)
        style, content = style_and_content(parts)
        shown = {"style": style, "content": content, **parts}
        shown["ssim"] = ssim(output, outputs.source)
        paintings = self.looks[0].standard_paintings
        if min(len(features), len(paintings)) > 1:
            shown["fid"] = frechet_distance(features, paintings)
            shown["kid"] = kernel_distance(features, paintings)
        if self.measures:
            shown |= self.measures(output, outputs.source)
        shown["inputs"] = float(len(output))
        return Score(harmonic(style, content), shown, violations(parts))

    def _parts(self, output: Tensor, source: Tensor) -> tuple[dict[str, float], Tensor]:
        """What the value is made from, and the outputs' features, standardised."""
        recoloured = best_recolouring(source, output)
        style = measure_style(self.looks, output, recoloured)
        kept = structure_kept(output, source)
        return {
            "painted": style.painted,
            "near": style.near,
            "beyond": style.beyond,
            "form": form_gained(output, recoloured),
            "diversity": style.diversity,
            "copied": copied_share(output, self.thumbnails),
            "spectrum": spectral_misfit(output, self.spectra),
            "structure": kept.content,
            "recall": kept.recall,
        }, self.looks[0].standard(style.features)

    def exam(self, data: UnpairedImages) -> Iterator[Case]:
        """Ways to cheat, beside validation photographs that were painted over."""
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
