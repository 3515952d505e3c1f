"""The nouns of gantune: what a task, a trial, its samples and its score are. Read this first.

A *task* names a GAN that can be tuned. A *trial* is one point of its search space: it trains the
GAN for a few epochs, and after each epoch an *evaluator* judges *samples* made from held-out
inputs. The *score* goes to the engine that proposed the point, everything else to the record.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class UserError(Exception):
    """A mistake the user can mend: the message names the file, key, value and remedy.

    Commands print the message alone and exit with status 2.
    """


class Params(BaseModel):
    """Everything one trial can be told; each task extends it. Unknown names are refused.

    The defaults are the published baseline. A search space varies some of the fields, flags of
    the command line set others, and the rest keep their defaults.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(200, ge=1, le=100_000, description="passes over the training data")
    patience: int = Field(
        0, ge=0, le=100_000, description="epochs without a better score that end a trial; 0: never"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of everything random in the trial")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="where to train; auto takes cuda, else mps, else cpu"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="bf16 is autocast; auto takes it where the hardware has it"
    )
    threads: int = Field(
        0, ge=0, le=1024, description="CPU threads; 0 is all: share them out between trials"
    )
    tensorboard: bool = Field(
        False, description="write losses, pictures, feature maps and the graph for TensorBoard"
    )
    tensorboard_layers: str = Field(
        "",
        description="layers of the first network whose feature maps it shows, such as down.0,up.1; "
        "empty: some along the way",
    )


# What changes where and how a trial runs, and nothing of what it trains.
SURROUNDINGS = frozenset({"device", "threads", "tensorboard", "tensorboard_layers"})


class Trainable(Protocol):
    """A model in training. It knows its data and its losses, nothing of scores or search."""

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Its networks by name, the one that makes the outputs first."""

    def batches(self) -> Iterator[Any]:
        """Yield the batches of one epoch, tuples whose first tensor holds one item an image.

        When they are exhausted the epoch is over, and schedules step.
        """

    def step(self, batch: Any) -> Mapping[str, Tensor]:
        """Take one optimisation step on a batch; return the named scalar losses, detached."""

    def samples(self) -> Samples:
        """Translate the held-out validation inputs, always the same ones, in eval mode."""

    def translate(self, images: Tensor) -> Tensor:
        """Translate N x C x H x W images in [-1, 1] on the CPU to the same, in eval mode."""

    def state_dict(self) -> dict[str, Any]:
        """All that the next epoch depends on, in types `torch.load(weights_only=True)` takes."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`; on the CPU bit for bit."""


class Data(Protocol):
    """A data set, loaded and split."""

    @property
    def fingerprint(self) -> str:
        """A hash of its content and of how it was prepared."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of it, such as images left out; a sentence each."""


@dataclass(frozen=True)
class Samples:
    """What the judge sees: float32 CPU tensors N x C x H x W in [-1, 1]."""

    source: Tensor
    output: Tensor
    target: Tensor | None = None


class NotFinite(ValueError):
    """A score that is no number; the message names the parts of it that are none either."""


@dataclass(frozen=True)
class Score:
    """A judge's opinion. `value` is finite; a violation above 0 breaks a guard (as in Optuna)."""

    value: float
    parts: Mapping[str, float] = field(default_factory=dict)
    violations: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            broken = [f"{k} {v}" for k, v in self.parts.items() if not math.isfinite(v)]
            parts = f" ({', '.join(broken)})" if broken else ""
            raise NotFinite(f"the score is not finite: {self.value}{parts}")


@dataclass(frozen=True)
class Objective:
    """What a search optimises: its direction, and the value of a trial that went wrong."""

    name: str
    direction: Literal["maximize", "minimize"]
    worst: float

    def better(self, a: float, b: float) -> bool:
        """Whether score `a` beats score `b`."""
        return a > b if self.direction == "maximize" else a < b


@dataclass(frozen=True)
class Case:
    """A question of a judge's exam: outputs that nobody may win with, or `good` ones."""

    name: str
    samples: Samples
    good: bool = False


class Evaluator(Protocol):
    """Judges samples. Prepared once for a data set and kept in a folder, then called often."""

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What may be searched for: `Score.value` first, then parts of the score by their names."""

    def prepare(self, data: Any, folder: Path, say: Callable[[str], None]) -> Mapping[str, Any]:
        """Train or load the judge for `data`; return what the report shows of it (JSON)."""

    def __call__(self, samples: Samples) -> Score:
        """Score samples; deterministic."""

    def exam(self, data: Any) -> Iterator[Case]:
        """Good outputs for `data` and ways to cheat; what comes out may depend on the judge."""


@dataclass(frozen=True)
class Task:
    """A GAN that can be tuned: its parameters, its data, its model in training, its judge.

    `unseen` is a judge that no search uses: it has the last word on what a search has found. A task
    whose value is not learned needs none.
    """

    name: str
    summary: str
    params: type[Params]
    load: Callable[[Any], Data]
    build: Callable[[Any, Any, torch.device], Trainable]
    evaluator: Callable[[Any], Evaluator]
    objective: Objective
    unseen: Callable[[Any], Evaluator] | None = None

    def judged_anew(self) -> Task:
        """The same under the judge that no search uses, where there is one."""
        return replace(self, evaluator=self.unseen) if self.unseen else self

    @property
    def search_space(self) -> Path:
        """The search space that ships with the task."""
        return Path(__file__).parent.parent / "search_spaces" / f"{self.name}.json"


class Outcome(enum.StrEnum):
    """How a trial ended; a closed set."""

    COMPLETED = "completed"
    PRUNED = "pruned"
    DIVERGED = "diverged"
    COLLAPSED = "collapsed"
    OUT_OF_MEMORY = "out_of_memory"
    INTERRUPTED = "interrupted"
    FAILED = "failed"

    @property
    def scored(self) -> bool:
        """Whether the trial's last score may be compared with other trials' final scores."""
        return self is Outcome.COMPLETED


@dataclass(frozen=True)
class Ending:
    """An outcome with the reason for it, in a sentence, and the last score there was."""

    outcome: Outcome
    reason: str = ""
    score: Score | None = None


class Trial(Protocol):
    """One point of the search space, as the engine that proposed it sees it."""

    @property
    def engine(self) -> str:
        """Who proposed it: optuna, nni or standalone."""

    @property
    def study(self) -> str:
        """The study it belongs to."""

    @property
    def number(self) -> int:
        """Its number in the study, from 0."""

    @property
    def params(self) -> Params:
        """Every parameter, validated."""

    @property
    def searched(self) -> Mapping[str, Any]:
        """The values the engine proposed."""

    @property
    def workdir(self) -> Path:
        """The folder of its record."""

    def report(self, epoch: int, score: Score) -> bool:
        """Tell the engine the score after an epoch (from 1); True means: stop, it is hopeless."""

    def finish(self, ending: Ending) -> None:
        """Tell the engine how the trial ended, in the form that teaches it most."""
