"""One study in which trials end in every way there is: each with its outcome, and it goes on."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, Self

import optuna
import pytest
import torch
from optuna.trial import TrialState
from pydantic import Field, model_validator
from torch import Tensor, nn

from core.cli import main
from core.data.outputs import ImagePairs
from core.models.collapse import collapse_reason
from core.record import Record, Study
from core.task import Case, Objective, OutcomeKind, Params, Score, Task, UserError

Fate = Literal[
    "well", "loss", "weight", "score", "blank", "memory", "bug", "refused", "unfit", "hopeless"
]
ENDS: dict[str, tuple[OutcomeKind, str]] = {
    "well": (OutcomeKind.COMPLETED, ""),
    "loss": (OutcomeKind.DIVERGED, "pixel is nan at step 2 of epoch 2"),
    "weight": (OutcomeKind.DIVERGED, "weight G.bias is not finite after steps 1 to 2 of epoch 2"),
    "score": (OutcomeKind.DIVERGED, "the score is not finite: nan (legible nan), after epoch 2"),
    "blank": (OutcomeKind.COLLAPSED, "the same output for 10 different inputs, in epochs 2 to 6"),
    "memory": (OutcomeKind.OUT_OF_MEMORY, "DefaultCPUAllocator: can't allocate memory"),
    "bug": (OutcomeKind.FAILED, "KeyError: 'no <b>such</b> key'"),
    "refused": (OutcomeKind.FAILED, "--fate refused: no network can be built of it"),
    "unfit": (OutcomeKind.FAILED, "--fate unfit: does not go with --epochs 8"),
    "hopeless": (OutcomeKind.COMPLETED, ""),
}
INPUTS = torch.rand(10, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


class FateParams(Params):
    """What is to become of a trial is its parameter."""

    fate: Fate = Field("well", description="what is to become of it")
    folder: str = Field("", description="must be empty")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.fate == "unfit" and self.epochs < 100:
            raise ValueError(f"--fate unfit: does not go with --epochs {self.epochs}")
        return self


class Fated:
    """A model that copies its input until its fate overtakes it in the second epoch."""

    def __init__(self, params: FateParams, data: Any, device: torch.device) -> None:
        if params.fate == "refused":
            raise UserError("--fate refused: no network can be built of it; take another")
        if params.folder:
            raise UserError(f"--folder {params.folder}: is not empty")
        self.fate = params.fate
        self.G = nn.Conv2d(1, 1, 1)
        self.networks = {"G": self.G}
        self.steps = 0

    def batches(self) -> Iterator[tuple[Tensor]]:
        yield from [(INPUTS,)] * 2

    def step(self, batch: Any) -> Mapping[str, Tensor]:
        self.steps += 1
        if self.steps == 4:
            if self.fate == "weight":
                self.G.bias.data.fill_(float("inf"))  # type: ignore[union-attr]
            elif self.fate == "memory":
                torch.empty(10**15)
            elif self.fate == "bug":
                raise KeyError("no <b>such</b> key")
            elif self.fate == "loss":
                return {"pixel": torch.tensor(float("nan"))}
        return {"pixel": torch.tensor(1 / self.steps)}

    def outputs(self) -> ImagePairs:
        return ImagePairs(INPUTS, self.translate(INPUTS))

    def collapse_reason(self, outputs: ImagePairs) -> str:
        return collapse_reason(outputs)

    def translate(self, images: Tensor) -> Tensor:
        if self.steps > 2 and self.fate == "blank":
            return torch.ones_like(images)
        if self.steps > 2 and self.fate == "score":
            return -images
        return images * (0.1 if self.fate == "hopeless" else 1.0)

    def state_dict(self) -> dict[str, Any]:
        return {"G": self.G.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.G.load_state_dict(state["G"])
        self.steps = state["steps"]


class FakeEvaluator:
    """The closer to a copy the better; a negative makes no number."""

    objectives = (Objective("likeness", "maximize", worst=-2.0),)

    def prepare(self, data: Any, folder: Path, say: Callable[[str], None]) -> Mapping[str, Any]:
        return {}

    def __call__(self, outputs: ImagePairs) -> Score:
        if torch.equal(outputs.output, -outputs.source):
            return Score(float("nan"), {"legible": float("nan"), "darkness": 1.0})
        return Score(1 - float((outputs.output - outputs.source).abs().mean()), {"legible": 1.0})

    def exam(self, data: Any) -> Iterator[Case]:
        image = torch.ones(1, 3, 8, 8)
        yield Case("a copy", ImagePairs(image, image), True)
        yield Case("another", ImagePairs(image, torch.zeros_like(image)))


TASK = Task(
    name="fate",
    summary="trials that end in every way",
    params=FateParams,
    load=lambda params: SimpleNamespace(fingerprint="", notes=()),
    build=lambda params, data, device: Fated(params, data, device),
    evaluator=lambda params: FakeEvaluator(),
    objective=FakeEvaluator.objectives[0],
)
TUNE = ["tune", "fate", "--sampler", "random", "--pruner", "none", "--workers", "1"]
TUNE += ["--epochs", "8", "--device", "cpu", "--threads", "1"]


@pytest.fixture
def tune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`gantune tune fate` in this process, under `tmp_path`."""
    monkeypatch.setattr("core.commands.tune.load_task", lambda name: TASK)
    monkeypatch.setattr("core.commands.flags.load_task", lambda name: TASK)
    space = tmp_path / "space.json"
    space.write_text(json.dumps({"fate": {"_type": "choice", "_value": list(ENDS)}}))

    def call(*more: str) -> int:
        return main([*TUNE, "--space", str(space), "--runs", str(tmp_path), *more])

    return call


def test_a_study_goes_on_whatever_becomes_of_its_trials(
    tmp_path: Path, tune: Callable[..., int]
) -> None:
    assert tune("--trials", "16", "--seed", "6") == 0
    records = Study.open(tmp_path, "fate").records()
    assert len(records) == 16
    seen: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        fate = record.trial()["params"]["fate"]
        seen[fate].append(record)
        outcome = record.outcome()
        assert outcome is not None
        kind, reason = ENDS[fate]
        assert (outcome.kind, outcome.reason[: len(reason)]) == (kind, reason)
    assert seen.keys() == ENDS.keys(), "another seed proposes them all"
    assert len(seen["blank"][0].epochs()) == 6

    (study,) = optuna.get_all_study_names(f"sqlite:///{tmp_path}/gantune.db")
    trials = optuna.load_study(
        study_name=study, storage=f"sqlite:///{tmp_path}/gantune.db"
    ).get_trials()
    assert len(trials) == 16
    for trial in trials:
        outcome, _ = ENDS[trial.user_attrs["values"]["fate"]]
        assert trial.user_attrs["outcome"] == outcome
        if outcome in (OutcomeKind.DIVERGED, OutcomeKind.COLLAPSED):
            assert (trial.state, trial.value) == (TrialState.COMPLETE, -2.0)
        else:
            told = outcome is OutcomeKind.COMPLETED
            assert trial.state is (TrialState.COMPLETE if told else TrialState.FAIL)

    best = json.loads((tmp_path / "fate" / "best.json").read_text())
    counts = {o: sum(len(seen[f]) for f in ENDS if ENDS[f][0] is o) for o, _ in ENDS.values()}
    assert best["trials"] == counts
    assert best["best"]["params"]["fate"] == "well"
    page = (tmp_path / "fate" / "report.html").read_text()
    for kind, count in counts.items():
        name = kind.replace("_", " ")
        assert f'class="outcome">{name}</th><td class="n">{count}</td>' in page
    assert page.count("no &lt;b&gt;such&lt;/b&gt; key") == 1 + len(seen["bug"])
    assert "<b>such" not in page
    for reason in ("pixel is nan at step 2", "the same output for 10", "does not go with"):
        assert reason in page


def test_a_mistake_all_trials_would_meet_stops_at_once(
    tmp_path: Path, tune: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune("--trials", "5", "--folder", "full") == 2
    assert "--folder full: is not empty" in capsys.readouterr().err
    assert len(list((tmp_path / "fate").glob("*/trial.json"))) == 1
