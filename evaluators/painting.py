"""Does the output look painted, and does it still show its own input? An evaluator hard to game.

A pretrained network, frozen, sees; a classifier on top, fitted in seconds on the train split,
tells the data set's paintings from its photographs and from what half-trained GANs make of them.
`style` is what it sees of paintings in the outputs, `content` what is left of each output's own
input, and the search value grows with their product. core/metrics/painting_score.py has the parts
and formulas, core/metrics/painting_net.py what the classifier learns from.

`--evaluator plain` is the bare probability of "painting": what others search with, and what fails
the exam.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from core.backbone import AUTO, load_backbone
from core.data.images import Domain, UnpairedImages
from core.data.outputs import ImagePairs
from core.data.tensors import centre_crops, from_pixels, in_batches, to_pixels, to_tensor
from core.device import pick_device
from core.metrics import painting_net, similarity
from core.metrics.cache import load_or_train
from core.metrics.painting_net import PaintingNet
from core.metrics.painting_score import PARTS, scaled, style_and_content, violations
from core.metrics.scratch import scratch_backbone
from core.metrics.style import Style
from core.task import Case, Objective, Score, UserError

OBJECTIVE = Objective("painting score", "maximize", worst=0.0)
DomainName = Literal["A", "B"]
EvaluatorKind = Literal["guarded", "plain"]
FEWEST, FEW = 20, 60  # images of a domain; training images too few to leave some out
SHOWN = 256  # training paintings, at most, that the exam's outputs are made from
SEEN = 100  # training images of a domain, at most, that the threshold is set by
OTHER = "efficientnet-lite1"  # what the holdout evaluator sees with


class PaintingEvaluator:
    """Scores translations into the painting domain (`target`, "A" or "B") of a data set.

    The `holdout` evaluator has another network and leaves out other training images. Cost: one
    forward pass of the network an image and epoch.
    """

    objectives = (
        OBJECTIVE,
        Objective("style", "maximize", worst=0.0),
        Objective("content", "maximize", worst=0.0),
    )
    margin = 0.25

    def __init__(
        self,
        target: DomainName,
        weights: str,
        device: str,
        kind: EvaluatorKind = "guarded",
        holdout: bool = False,
        standard: bool = False,
    ) -> None:
        self.target, self.kind, self.holdout = target, kind, holdout
        self.searched = weights
        self.weights = weights
        if holdout:
            self.weights = AUTO if weights == OTHER else OTHER
        self.device = pick_device(device)
        self.standard = standard
        self.measures: similarity.StandardMeasures | None = None
        self.folder = Path()

    def prepare(
        self, data: UnpairedImages, folder: Path, say: Callable[[str], None]
    ) -> Mapping[str, Any]:
        """Load the classifier of this data set, or fit it; see `load_or_train`.

        Raises UserError for fewer than 20 images of a domain and for weights that are not there.
        """
        self.folder = folder
        self.net, facts = self._classifier(data, folder, say)
        paintings = to_tensor(self._domains(data)[1].validation)
        self.style = Style(self.net, paintings, folder)
        if self.standard:
            self.measures = similarity.StandardMeasures(paintings, self.device)
        training = centre_crops(self._domains(data)[1].train, data.size)
        seen = [
            (similarity.thumbnails(x), similarity.radial_spectrum(x)) for x in in_batches(training)
        ]
        self.thumbnails, self.spectra = map(torch.cat, zip(*seen, strict=True))
        facts = {**facts, "kind": self.kind}
        say(_introduction(facts))
        return facts

    def _domains(self, data: UnpairedImages) -> tuple[Domain, Domain]:
        """Photographs and paintings."""
        return data.domain("A" if self.target == "B" else "B"), data.domain(self.target)

    def _classifier(
        self, data: UnpairedImages, folder: Path, say: Callable[[str], None]
    ) -> tuple[PaintingNet, dict[str, Any]]:
        """The network with its heads, fitted unless they are kept, and what is known of them."""
        domains = self._domains(data)
        for name, domain in zip(("photographs", "paintings"), domains, strict=True):
            if (count := len(domain.train) + len(domain.validation)) < FEWEST:
                raise UserError(
                    f"--data: {count} {name}; the painting evaluator learns from {FEWEST} images "
                    "of each domain or more: add images"
                )
        few = min(len(domain.train) for domain in domains) < FEW
        left_out = 0 if self.holdout else -1 if few else 2  # of every three training images
        seed = 0 if self.holdout else 2
        photographs, paintings = (
            [image for i, image in enumerate(domain.train) if i % 3 != left_out]
            for domain in domains
        )
        recipe = {"data": data.fingerprint, "target": self.target, "left_out": left_out}
        if self.weights == "scratch":
            backbone = scratch_backbone(photographs, paintings, data.size, recipe, folder, say)
        else:
            backbone = load_backbone(self.weights)
        backbone.to(self.device)
        recipe["weights"] = backbone.name

        def build() -> nn.ModuleList:
            return painting_net.untrained_heads(backbone).to(self.device)

        def train() -> tuple[nn.ModuleList, dict[str, Any]]:
            say("evaluator: learning to tell the domains apart (once per data set)")
            heads = painting_net.train_heads(backbone, photographs, paintings, data.size, seed, say)
            net = PaintingNet(backbone, heads.to(self.device))
            trained = [centre_crops(x[:SEEN], data.size) for x in (photographs, paintings)]
            images = [to_tensor(x) for x in (*trained, *(domain.validation for domain in domains))]
            known = painting_net.accuracy(*(net.look(x)[1] for x in images))
            return heads, {"evaluator": "painting", **recipe, **known}

        kept = {**recipe, **painting_net.RECIPE}
        heads, facts = load_or_train(folder, "painting", kept, seed, build, train)
        return PaintingNet(backbone, heads).eval(), facts

    def __call__(self, outputs: ImagePairs) -> Score:
        """Score outputs, rounded to 8 bit first, against their sources."""
        output = from_pixels(to_pixels(outputs.output))
        inputs = {"inputs": float(len(output))}
        if self.kind == "plain":
            chance = float(torch.sigmoid(self.net.look(output)[1].mean(1)).mean())
            return Score(chance, {"style": chance, **inputs})
        structure, recall = similarity.structure_kept(output, outputs.source)
        breadth, forms = similarity.breadth_and_forms(output, outputs.source)
        parts = self.style(output) | {
            "breadth": breadth,
            "forms": forms,
            "spectrum": similarity.spectral_misfit(output, self.spectra),
            "copied": similarity.copied_share(output, self.thumbnails),
            "structure": structure,
            "light": similarity.light_kept(output, outputs.source),
            "recall": recall,
        }
        style, content = style_and_content(parts)
        shown = {"style": style, "content": content, **{name: parts[name] for name in PARTS}}
        if self.measures:
            shown |= self.measures(output, outputs.source)
        return Score(scaled(style * content), shown | inputs, violations(parts))

    def exam(self, data: UnpairedImages) -> Iterator[Case]:
        """Ways to cheat, beside validation photographs that were painted over.

        Both evaluators meet patterns against their own classifier; the holdout evaluator those
        against the search's, too.
        """
        from core.metrics.painting_exam import painting_exam  # torchvision is slow to import

        photographs, paintings = self._domains(data)
        step = max(1, len(paintings.train) // SHOWN)
        training = to_tensor(centre_crops(paintings.train[::step][:SHOWN], data.size))
        nets = {"this evaluator": self.net}
        if self.holdout:
            searched = PaintingEvaluator(self.target, self.searched, str(self.device))
            nets["the search's evaluator"] = searched._classifier(data, self.folder, _silent)[0]
        return painting_exam(photographs.validation, training, nets)


def _silent(line: str) -> None:
    """Say nothing: the search has said it."""


def _introduction(facts: Mapping[str, Any]) -> str:
    held_out = sum(sum(row.values()) for row in facts["confusion"].values())
    low, high = facts["interval"]
    line = (
        f"evaluator: {facts['weights']}, held-out accuracy {facts['accuracy']:.2f} "
        f"({low:.2f} to {high:.2f}) on {held_out} images"
    )
    if facts["weak"]:
        line += " - WEAK: its scores mean little; give it more or clearer training images"
    return line
