"""A hill whose height is known: a task of the tests' own, copied to the `trials` of a checkout.

Its loss is the objective, lower is better. Run with the word `quick` it is a trial of NNI's that
needs no PyTorch, and fails in one corner of the space; run by `core.main` it takes its time.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydantic import Field

from core.data.outputs import ImagePairs
from core.task import Case, Objective, Params, Score, Task

STEEP = {"_name": "steep", "slope": {"_type": "uniform", "_value": [0, 1]}}
SPACE: dict[str, Any] = {
    "x": {"_type": "uniform", "_value": [0, 1]},
    "rate": {"_type": "loguniform", "_value": [1e-4, 1]},
    "n": {"_type": "quniform", "_value": [1, 8, 1]},
    "spread": {"_type": "normal", "_value": [0, 1]},
    "kind": {"_type": "choice", "_value": [{"_name": "plain"}, STEEP]},
}
WORST = 99.0


class HillParams(Params):
    x: float = Field(0.25, ge=0, le=1)
    rate: float = Field(0.01, gt=0, le=1)
    n: int = Field(3, ge=1, le=8)
    spread: float = 0.0
    kind: str = "plain"
    slope: float = Field(0.5, ge=0, le=1)
    epochs: int = Field(40, ge=1)


def loss(values: Mapping[str, Any]) -> float:
    steep = values["slope"] if values["kind"] == "steep" else 0.1
    far = abs(values["x"] - 0.7) + abs(math.log10(values["rate"]) + 3) + abs(values["n"] - 5)
    return float(far + abs(values["spread"] - 0.5) - steep)


def fails(values: Mapping[str, Any]) -> bool:
    return bool(values["x"] > 0.8)


class Climb:
    networks: Mapping[str, Any] = {}

    def __init__(self, params: Any, data: object, device: object) -> None:
        self.loss, self.steps = loss(dict(params)), 0

    def batches(self) -> Iterator[Any]:
        yield ([0],)

    def step(self, batch: Any) -> Mapping[str, Any]:
        import torch

        time.sleep(0.1)
        self.steps += 1
        return {"steps": torch.tensor(float(self.steps))}

    def outputs(self) -> ImagePairs:
        import torch

        return ImagePairs(torch.rand(1, 3, 8, 8), torch.full((1, 3, 8, 8), self.loss))

    def translate(self, images: Any) -> Any:
        return images

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]


class FakeEvaluator:
    objectives = (Objective("height", "minimize", worst=WORST),)

    def prepare(self, data: Any, folder: Path, say: Any) -> Mapping[str, Any]:
        return {}

    def __call__(self, outputs: ImagePairs) -> Score:
        return Score(float(outputs.output.mean()))

    def exam(self, data: Any) -> Iterator[Case]:
        import torch

        for name, height in (("high", 1.0), ("low", WORST)):
            image = torch.full((1, 3, 8, 8), height)
            yield Case(name, ImagePairs(image, image), name == "high")


def load(params: Any) -> Any:
    return SimpleNamespace(fingerprint="", notes=())


TASK = Task(
    "hill", "", HillParams, load, Climb, lambda params: FakeEvaluator(), FakeEvaluator.objectives[0]
)

if __name__ == "__main__" and "quick" in sys.argv:
    import nni

    from core.search.space import flatten

    point = flatten(nni.get_next_parameter())
    if fails(point):
        sys.exit(1)
    nni.report_final_result({"default": -loss(point)})
elif __name__ == "__main__":
    from core.main import main

    main(TASK)
