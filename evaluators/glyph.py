"""Glyphs against their targets: fixed L1, and what it cannot see.

The search value is the mean over the validation characters of each image's L1 over that of a blank
page: 0 is perfect and a blank page scores exactly 1. It alone can be gamed, by a pale copy above
all, and it is harsh to a legible glyph two pixels off. So parts beside it tell what was drawn, and
guards rule out what is no glyph at all.

Part          what it is                                                               range, best
fixed_l1      the value                                                                [0, ...), 0
l1            mean |output - target|                                                   [0, 2], 0
iou           intersection over union of the ink (darker than mid-grey)                [0, 1], 1
f1            F1 of the ink's pixels, one pixel off still counting                     [0, 1], 1
ssim          structural similarity (Wang et al. 2004)                                 [-1, 1], 1
ink           the output's ink over the target's, median of the images                 [0, ...), 1
darkness      how dark the ink is, over the target's                                   [0, ...), 1
grey          grey mass, mean 4x(1 - x)                                                [0, 1]
recognised    share read as the right character by a network trained on both fonts     [0, 1], 1

Guard         broken when
ink           the ink ratio leaves 0.5 to 2: blank, black or starved pages
pale          the darkness is below 0.75 of the target's: faded copies, averages, fog
illegible     fewer are recognised than half of what the network reads of the target font itself:
              where a stroke's place is in doubt, white paper costs the least L1
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from core.data.glyphs import GlyphParams, Glyphs
from core.data.outputs import ImagePairs
from core.data.tensors import from_pixels, to_pixels
from core.device import pick_device
from core.metrics.cache import load_or_train
from core.metrics.ink import (
    RECIPE,
    Recogniser,
    darkness,
    ink,
    ink_ratio,
    iou,
    read,
    tolerant_f1,
    train_recogniser,
)
from core.metrics.similarity import ssim
from core.models.losses import fixed_l1, grey, l1
from core.task import Case, Objective, Score

OBJECTIVE = Objective("fixed L1", "minimize", worst=100.0)
STARVED, FLOODED = 0.5, 2.0
PALE = 0.75
LEGIBLE = 0.5
WEAK = 0.7


class GlyphEvaluator:
    """Scores translations by their targets. Cost: a small convolutional network an image."""

    objectives = (OBJECTIVE, Objective("recognised", "maximize", worst=0.0))

    def __init__(self, device: str) -> None:
        self.device = pick_device(device)
        self.classes: dict[bytes, int] = {}
        self.net = Recogniser(1)
        self.reads = 1.0

    def prepare(self, data: Glyphs, folder: Path, say: Callable[[str], None]) -> Mapping[str, Any]:
        """Load the network that reads these two fonts, or train it; see `load_or_train`.

        Characters that look the same in the target font, such as Latin and Greek A, are one class.
        """
        self.classes, labels = _classes(data)
        content = hashlib.sha256(data.source.tobytes() + data.target.tobytes()).hexdigest()

        def build() -> Recogniser:
            return Recogniser(len(self.classes)).to(self.device)

        def train() -> tuple[Recogniser, dict[str, Any]]:
            say("evaluator: training a network to read both fonts (once per data set)")
            net, known = _train(data, labels, self.device)
            return net, {"evaluator": "glyph", "glyphs": content, **known}

        recipe = {"glyphs": content, **RECIPE}
        self.net, facts = load_or_train(folder, "glyph", recipe, RECIPE["seed"], build, train)
        self.reads = float(facts["reads_targets"])
        say(_introduction(facts))
        return facts

    def __call__(self, outputs: ImagePairs) -> Score:
        """Score outputs, rounded to 8 bit first, against their targets."""
        assert outputs.target is not None
        output = from_pixels(to_pixels(outputs.output))
        target = from_pixels(to_pixels(outputs.target))
        drawn, wanted = ink(output), ink(target)
        ratio = ink_ratio(drawn, wanted)
        dark = darkness(drawn) / max(darkness(wanted), 1e-6)
        right = read(self.net, drawn, self.device) == self._labels(outputs.target)
        parts = {
            "fixed_l1": float(fixed_l1(output, target).mean()),
            "l1": float(l1(output, target)),
            "iou": float(iou(drawn, wanted).mean()),
            "f1": float(tolerant_f1(drawn, wanted).mean()),
            "ssim": ssim(output, target),
            "ink": ratio,
            "darkness": dark,
            "grey": float(grey(output)),
            "recognised": float(right.float().mean()),
            "inputs": float(len(output)),
        }
        violations = {
            "ink": max(STARVED - ratio, ratio - FLOODED),
            "pale": PALE - dark,
            "illegible": LEGIBLE * self.reads - parts["recognised"],
        }
        return Score(parts["fixed_l1"], parts, violations)

    def exam(self, data: Glyphs) -> Iterator[Case]:
        """Validation characters drawn wrong in many ways, beside targets with soft edges."""
        source, target = data.tensors(data.validation, 1)

        def case(name: str, output: Tensor, good: bool = False) -> Case:
            return Case(name, ImagePairs(source, output, target), good)

        yield case("edges softened", target.lerp(F.avg_pool2d(target, 3, 1, 1), 0.25), True)
        yield case("blank", torch.ones_like(target))
        yield case("black", -torch.ones_like(target))
        yield case("another character", target.roll(1, 0))
        yield case("the mean glyph", target.mean(0, keepdim=True).expand_as(target))
        yield case("faded by half", 1 - (1 - target) / 2)
        yield case("thinned", F.max_pool2d(target, 3, 1, 1))
        yield case("shifted", target.roll((2, 2), (2, 3)))
        yield case("noise", torch.rand(target.shape, generator=torch.Generator().manual_seed(0)))

    def _labels(self, target: Tensor) -> Tensor:
        """The class of each target; -1, which nothing is read as, for one that is not known."""
        pixels = to_pixels(target[:, :1]).numpy()
        return torch.tensor([self.classes.get(p.tobytes(), -1) for p in pixels])


def rank(score: Score) -> tuple[int, float]:
    """The evaluator's order, the better the smaller: fewest guards broken, then fixed L1."""
    return len(score.broken), score.value


def _classes(data: Glyphs) -> tuple[dict[bytes, int], Tensor]:
    """A class for each different target glyph, and the class of each character."""
    classes: dict[bytes, int] = {}
    labels = [classes.setdefault(glyph.tobytes(), len(classes)) for glyph in data.target]
    return classes, torch.tensor(labels)


def _train(data: Glyphs, labels: Tensor, device: torch.device) -> tuple[Recogniser, dict[str, Any]]:
    """A network that reads both fonts, and how well it does."""
    both = torch.cat([ink(t) for t in data.tensors(range(len(data.characters)), 1)])
    net, disturbed = train_recogniser(both, labels.repeat(2), device)
    clean = read(net, both[len(labels) :], device) == labels
    reads = float(clean.float().mean())
    return net, {
        "reads_targets": reads,
        "reads_disturbed": disturbed,
        "weak": reads < WEAK,
        "characters": len(data.characters),
        "classes": int(labels.max()) + 1,
    }


def _introduction(facts: Mapping[str, Any]) -> str:
    line = f"evaluator: reads {facts['reads_targets']:.2f} of the target font's glyphs right"
    line += f", {facts['reads_disturbed']:.2f} of disturbed ones, of {facts['classes']} classes"
    return line + (" - WEAK: what it calls recognised means little" if facts["weak"] else "")


def glyph_evaluator(params: GlyphParams) -> GlyphEvaluator:
    """The evaluator of every glyph task."""
    return GlyphEvaluator(params.device)
