"""Generated images against a data set's: the right classes, all of them, drawn well, not copied.

A small classifier, trained once on the data set's training images, sees. The search value is
exp(-2 d): d is the Fréchet distance of what it sees of generated and of held-out images, over what
the best single image would have (FID's formula; its root, so that it is a distance). Held-out
images have 1, a set that lacks one class of ten about 0.55, one image for all noise below 0.1.

Part             what it is                                                       range, best
fid              Fréchet distance in the classifier's features                    [0, ...), 0
kid              kernel distance in them, unbiased (Binkowski et al. 2018)        about 0
inception_score  classes told apart, and all of them (Salimans et al. 2016)       [1, classes]
classes          classes that are covered: with a fifth of an equal share         [0, classes]
balance          entropy of the classes' shares over that of equal ones           [0, 1], 1
diversity        distance within a class over that of held-out images             [0, ...), 1
nearest          distance to the nearest training image over held-out images'     [0, ...), 1
copied           share nearer to a training image than 2 % of held-out ones are   [0, 1], 0.02
right_class      share that is read as the class it was asked for, if any was     [0, 1], 1

Guard            broken when
copied           a quarter of the images is: the generator has learned them by heart

FID compares within one classifier only: figures of other data sets, sizes or programs are others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from core.data.digits import DigitParams, LabelledImages
from core.data.outputs import Generated
from core.device import pick_device
from core.metrics import digits as measure
from core.metrics.cache import load_or_train
from core.metrics.digits import RECIPE, Classifier
from core.metrics.similarity import frechet_distance, kernel_distance
from core.task import Case, Objective, Score

OBJECTIVE = Objective("digit score", "maximize", worst=0.0)
SHARPNESS = 2.0
COPIED = 0.25
EPSILON = 1e-6
EXAMINED = 1000  # images of a case of the exam


class DigitEvaluator:
    """Scores images made from noise; see the module."""

    objectives = (
        OBJECTIVE,
        Objective("fid", "minimize", worst=1e6),
        Objective("diversity", "maximize", worst=0.0),
    )

    def __init__(self, device: str) -> None:
        self.device = pick_device(device)

    def prepare(
        self, data: LabelledImages, folder: Path, say: Callable[[str], None]
    ) -> Mapping[str, Any]:
        """Load the classifier of this data set, or train it; see `load_or_train`."""
        recipe = {"data": data.fingerprint, **RECIPE}

        def build() -> Classifier:
            return Classifier(data.pixels.shape[1], len(data.classes)).to(self.device)

        def train() -> tuple[Classifier, dict[str, Any]]:
            say("evaluator: learning to read the data set's classes (once per data set)")
            return measure.train_classifier(data, self.device, say)

        self.net, facts = load_or_train(folder, "digits", recipe, RECIPE["seed"], build, train)
        real, _ = data.tensors(data.validation)
        self.real = self.net.look(real)
        centred = self.real.features.double() - self.real.features.double().mean(0)
        self.spread = max(float(centred.square().sum(1).mean()), EPSILON)
        self.training = measure.small(data.tensors(data.train)[0])
        held_out = measure.nearest_distances(real, self.training)
        self.usual = max(float(held_out.median()), EPSILON)  # 0 where images are there twice
        self.near = float(held_out.quantile(measure.NEAR))
        low, high = facts["interval"]
        say(
            f"evaluator: reads {facts['accuracy']:.3f} ({low:.3f} to {high:.3f}) of "
            f"{len(real)} held-out images right"
        )
        return {"evaluator": "digits", "data": data.fingerprint, **facts}

    def __call__(self, outputs: Generated) -> Score:
        """Score images, rounded to 8 bit first."""
        seen, real = self.net.look(outputs.output), self.real
        fid = frechet_distance(seen.features, real.features)
        covered, balance = measure.class_balance(seen.classes, real.chances.shape[1])
        distances = measure.nearest_distances(outputs.output, self.training)
        copied = float((distances < self.near).float().mean())
        parts = {
            "fid": fid,
            "kid": kernel_distance(seen.features, real.features),
            "inception_score": measure.inception_score(seen.chances),
            "classes": float(covered),
            "balance": balance,
            "diversity": measure.diversity(seen, real),
            "nearest": float(distances.median()) / self.usual,
            "copied": copied,
            "inputs": float(len(outputs.output)),
        }
        if outputs.labels is not None:
            parts["right_class"] = float((seen.classes == outputs.labels).float().mean())
        value = math.exp(-SHARPNESS * math.sqrt(max(fid, 0.0) / self.spread))
        return Score(value, parts, {"copied": copied - COPIED})

    def exam(self, data: LabelledImages) -> Iterator[Case]:
        """Held-out images, and what a generator may put in their place."""
        random = torch.Generator().manual_seed(0)
        training, labels = data.tensors(data.train)
        held_out = data.tensors(data.validation)[0]
        n = min(EXAMINED, len(held_out))
        real = _some(held_out, n, random)

        def case(name: str, images: Tensor, good: bool = False) -> Case:
            return Case(name, Generated(images), good)

        def of_class(label: int, count: int) -> Tensor:
            return training[labels == label][:count]

        height, width = real.shape[2:]
        board = (torch.arange(height)[:, None] + torch.arange(width)) % 2 * 2.0 - 1
        yield case("held-out images", real, True)
        yield case("noise", torch.rand(real.shape, generator=random) * 2 - 1)
        yield case("blank", torch.full_like(real, -1))
        yield case("the mean image", training.mean(0, keepdim=True).expand_as(real))
        yield case("one image for all", of_class(0, 1).expand_as(real))
        yield case("one class only", of_class(0, n))
        one_each = torch.cat([of_class(k, 1) for k in range(len(data.classes))])
        yield case("one image a class", one_each.repeat(-(-n // len(one_each)), 1, 1, 1)[:n])
        yield case("copies of training images", _some(training, n, random))
        yield case("blurred", F.avg_pool2d(real, 7, 1, 3, count_include_pad=False))
        yield case("turned by 90 degrees", real.rot90(1, (2, 3)))
        yield case("negatives", -real)
        yield case("under a checkerboard", (real + 0.4 * board).clamp(-1, 1))
        noise = torch.randn(real.shape, generator=random)
        yield case("under noise", (real + 0.5 * noise).clamp(-1, 1))
        yield case("two images in one", (real + real.roll(1, 0)) / 2)


def _some(images: Tensor, n: int, random: torch.Generator) -> Tensor:
    """N of the images, drawn without replacement."""
    return images[torch.randperm(len(images), generator=random)[:n]]


def digit_evaluator(params: DigitParams) -> DigitEvaluator:
    """The evaluator of every task that makes images from noise."""
    return DigitEvaluator(params.device)
