"""The nouns of gantune: what a task, a trial, its outputs and its score are. Read this first.

A *task* names a model that can be tuned. A *trial* is one point of its search space: it trains the
model for a few epochs, and after each epoch an *evaluator* scores the *outputs* that the model
makes from held-out inputs. The *score* goes to the engine that proposed the point, and everything
to the trial's record.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class UserError(Exception):
    """A mistake that the user can mend; the message names file, key, value and remedy."""


class Params(BaseModel):
    """The parameters of one trial; each task extends them. Unknown names are refused.

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
    precision: Literal["auto", "fp32", "tf32", "bf16"] = Field(
        "auto", description="tf32 needs CUDA, bf16 is autocast; auto takes the fastest"
    )
    deterministic: bool = Field(
        False, description="the same bits in every run on CUDA, at a slower pace; a CPU's are"
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


# Fields that change where and how a trial runs, and nothing of what it trains.
RUNTIME_FIELDS = frozenset(
    {"device", "threads", "deterministic", "tensorboard", "tensorboard_layers"}
)


class Outputs(Protocol):
    """What an evaluator scores: a model's outputs for the same held-out inputs in every trial."""

    @property
    def output(self) -> Tensor:
        """What the model made: float32 on the CPU, one row an input, N x any shape."""

    def pictures(self) -> Mapping[str, Tensor]:
        """Named rows of N x C x H x W images in [-1, 1]; empty where there is nothing to see.

        The row `output` is the model's; the others are the same in every trial of a study.
        """


class Trainable(Protocol):
    """A model in training. It knows its data and its losses, nothing of scores or search."""

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Its networks by name, the one that makes the outputs first."""

    @property
    def steps_per_epoch(self) -> int:
        """How many batches an epoch has; the longest one where they differ."""

    def batches(self) -> Iterator[Any]:
        """Yield the batches of one epoch, tuples whose first entry holds one row an item.

        When they are exhausted the epoch is over, and schedules step.
        """

    def step(self, batch: Any) -> Mapping[str, Tensor]:
        """Take one optimisation step on a batch; return the named scalar losses, detached."""

    def outputs(self) -> Outputs:
        """The outputs for the held-out validation inputs, always the same ones, in eval mode."""

    def state_dict(self) -> dict[str, Any]:
        """All that the next epoch depends on, in types `torch.load(weights_only=True)` takes."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`; on the CPU bit for bit."""


@runtime_checkable
class CanWarmUp(Protocol):
    """A model with something to learn before its first epoch."""

    def warm_up(self) -> None:
        """Learn it; called once, unless the training goes on from a checkpoint."""


@runtime_checkable
class CanTranslate(Protocol):
    """A model that turns images into images."""

    def translate(self, images: Tensor) -> Tensor:
        """Translate N x C x H x W images in [-1, 1] on the CPU to the same, in eval mode."""


@runtime_checkable
class CanGenerate(Protocol):
    """A model that makes images from noise."""

    def generate(self, n: int, seed: int) -> Tensor:
        """Make n x C x H x W images in [-1, 1] on the CPU; the same seed makes the same images."""


@runtime_checkable
class CanCollapse(Protocol):
    """A generator that may end with one output for all inputs."""

    def collapse_reason(self, outputs: Any) -> str:
        """What is wrong with the outputs, in words; '' where nothing is or nothing can be said."""


class Data(Protocol):
    """A data set, loaded and split."""

    @property
    def fingerprint(self) -> str:
        """A hash of its content and of how it was prepared."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of it, such as images left out; a sentence each."""


class NotFinite(ValueError):
    """A score that is not finite; the message names the parts that are not finite either."""


@dataclass(frozen=True)
class Score:
    """What an evaluator says of outputs. It travels whole: to record, engine and report.

    `value` is finite. A violation above 0 breaks a guard, as in Optuna's constraints.
    """

    value: float
    parts: Mapping[str, float] = field(default_factory=dict)
    violations: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            broken = [f"{k} {v}" for k, v in self.parts.items() if not math.isfinite(v)]
            parts = f" ({', '.join(broken)})" if broken else ""
            raise NotFinite(f"the score is not finite: {self.value}{parts}")

    @property
    def broken(self) -> list[str]:
        """The names of the guards it breaks."""
        return [name for name, amount in self.violations.items() if amount > 0]


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
    """A case of an evaluator's exam: outputs that must not win, `good` ones, or neither (None).

    Along a ladder the score must rise, in the order in which its cases are made.
    """

    name: str
    outputs: Any
    good: bool | None = False
    ladders: tuple[str, ...] = ()


class Evaluator(Protocol):
    """Scores outputs. Prepared once for a data set and kept in a folder, then called often."""

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What may be searched for: `Score.value` first, then parts of the score by their names."""

    def prepare(self, data: Any, folder: Path, say: Callable[[str], None]) -> Mapping[str, Any]:
        """Train or load the evaluator for `data`; return what the report shows of it (JSON)."""

    def __call__(self, outputs: Any) -> Score:
        """Score outputs; deterministic."""

    def exam(self, data: Any) -> Iterator[Case]:
        """Good outputs for `data` and ways to cheat; they may depend on the evaluator.

        An attribute `margin` says what share of the good ones' score no bad one may reach (0.5).
        """


@dataclass(frozen=True)
class Task:
    """A model that can be tuned: its parameters, its data, its training, its evaluator.

    `holdout` is an evaluator that no search uses: it scores what a search has found once more. A
    task whose evaluator is not learned needs none. `inference` builds, without data, what loads a
    trial's `state_dict()` and translates or generates; a task that uses its own data needs none.
    """

    name: str
    summary: str
    params: type[Params]
    load: Callable[[Any], Data]
    build: Callable[[Any, Any, torch.device], Trainable]
    evaluator: Callable[[Any], Evaluator]
    objective: Objective
    holdout: Callable[[Any], Evaluator] | None = None
    inference: Callable[[Any, torch.device], Any] | None = None

    def with_holdout_evaluator(self) -> Task:
        """The same task scored by its holdout evaluator, where it has one."""
        return replace(self, evaluator=self.holdout) if self.holdout else self

    @property
    def search_space(self) -> Path:
        """The search space that ships with the task."""
        return Path(__file__).parent.parent / "search_spaces" / f"{self.name}.json"


class OutcomeKind(enum.StrEnum):
    """How a trial can end; a closed set."""

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
        return self is OutcomeKind.COMPLETED

    @property
    def reported(self) -> bool:
        """Whether the engine gets a score for it: its own, or the worst there is."""
        return self in (self.COMPLETED, self.PRUNED, self.DIVERGED, self.COLLAPSED)


@dataclass(frozen=True)
class Outcome:
    """How a trial ended, the reason in a sentence, and its last score where it has one."""

    kind: OutcomeKind
    reason: str = ""
    score: Score | None = None


class Trial(Protocol):
    """One point of the search space, as the engine that proposed it sees it."""

    @property
    def engine(self) -> str:
        """The engine that proposed it: optuna, nni or standalone."""

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
        """The values that the engine proposed."""

    @property
    def workdir(self) -> Path:
        """The folder of its record."""

    @property
    def until(self) -> int:
        """The epoch after which it stops for now: its rung, or the last one."""

    def report(self, epoch: int, score: Score) -> bool:
        """Report the score after an epoch (from 1); True where the trial should be pruned."""

    def finish(self, outcome: Outcome) -> None:
        """Report how the trial ended, in the form that the engine learns most from."""
