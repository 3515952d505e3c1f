from __future__ import annotations

import errno
import json
import os
import signal
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest
import torch
from pydantic import Field, model_validator
from rich.console import Console
from torch import Tensor

from core.data.outputs import ImagePairs
from core.record import Record
from core.task import Objective, Outcome, OutcomeKind, Params, Score, Task, UserError
from core.training.progress import Progress
from core.training.run import run_trial
from core.training.signals import Interrupted, interruptible
from core.training.standalone import StandaloneTrial


@dataclass(frozen=True)
class NoData:
    fingerprint: str = "none"
    notes: tuple[str, ...] = ("trainA: 1 images skipped",)


class Walk:
    """A random walk that learns nothing: its state is one number, moved by PyTorch's generator."""

    networks: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, misbehave: Callable[[int], float | None]) -> None:
        self.position = torch.zeros(())
        self.steps = 0
        self.misbehave = misbehave

    def batches(self) -> Iterator[Any]:
        yield from ((torch.zeros(n),) for n in (2, 2, 1))

    def step(self, batch: Any) -> Mapping[str, Tensor]:
        self.steps += 1
        wrong = self.misbehave(self.steps)
        self.position = self.position + torch.rand(())
        return {"loss": torch.tensor(wrong) if wrong is not None else self.position}

    def outputs(self) -> ImagePairs:
        images = torch.full((2, 1, 8, 8), float(self.position) / 100)
        return ImagePairs(images, images)

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position, self.steps = state["position"], state["steps"]


class FakeEvaluator:
    objectives = (Objective("height", "maximize", 0.0),)

    def prepare(self, data: Any, folder: Path, say: Callable[[str], None]) -> Mapping[str, Any]:
        return {"evaluator": "height"}

    def __call__(self, outputs: ImagePairs) -> Score:
        return Score(float(outputs.output.mean()), {"part": 1.0})


def task(misbehave: Callable[[int], float | None] = lambda step: None) -> Task:
    return Task(
        name="walk",
        summary="a walk",
        params=Params,
        load=lambda p: NoData(),
        build=lambda p, d, device: Walk(misbehave),
        evaluator=lambda p: FakeEvaluator(),
        objective=FakeEvaluator.objectives[0],
    )


@dataclass
class Heard:
    """A trial that notes what its engine is told."""

    workdir: Path
    params: Params = field(default_factory=lambda: Params(epochs=4, device="cpu"))
    stop_at: int = 99
    study: str = "s"
    number: int = 0
    engine: str = "test"
    searched: Mapping[str, Any] = field(default_factory=dict)
    reported: list[tuple[int, float]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def until(self) -> int:
        return self.params.epochs

    def report(self, epoch: int, score: Score) -> bool:
        assert len(Record(self.workdir).epochs()) == epoch, "the record comes first"
        self.reported.append((epoch, score.value))
        return epoch >= self.stop_at

    def finish(self, outcome: Outcome) -> None:
        assert Record(self.workdir).outcome() == outcome, "the record comes first"
        self.outcomes.append(outcome)


def quiet() -> Progress:
    return Progress(console=Console(file=StringIO()))


def run(trial: Heard, one: Task | None = None, progress: Progress | None = None) -> Outcome:
    return run_trial(one or task(), trial, progress or quiet(), trial.workdir.parent)


def test_a_trial_that_completes(tmp_path: Path) -> None:
    trial = Heard(tmp_path / "t")
    outcome = run(trial)
    record = Record(trial.workdir)
    assert outcome.kind is OutcomeKind.COMPLETED
    assert trial.outcomes == [outcome]
    assert [line.epoch for line in record.epochs()] == [1, 2, 3, 4]
    assert trial.reported == [(line.epoch, line.score.value) for line in record.epochs()]
    assert outcome.score is not None
    assert outcome.score.value == record.epochs()[-1].score.value
    assert sorted(p.name for p in record.pictures.iterdir()) == ["output.png", "source.png"]
    about = record.trial()
    assert about["params"]["epochs"] == 4
    assert about["defaults"]["epochs"] == 200
    assert about["notes"] == ["trainA: 1 images skipped"]


def test_a_trial_that_is_hopeless_is_pruned(tmp_path: Path) -> None:
    trial = Heard(tmp_path / "t", stop_at=2)
    outcome = run(trial)
    assert outcome.kind is OutcomeKind.PRUNED
    assert len(Record(trial.workdir).epochs()) == 2


def test_a_stop_after_the_last_epoch_is_no_pruning(tmp_path: Path) -> None:
    assert run(Heard(tmp_path / "t", stop_at=4)).kind is OutcomeKind.COMPLETED


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_trial_at_that_step(
    tmp_path: Path, wrong: float
) -> None:
    trial = Heard(tmp_path / "t")
    outcome = run(trial, task(lambda step: wrong if step == 5 else None))
    assert outcome.kind is OutcomeKind.DIVERGED
    assert outcome.reason == f"loss is {wrong} at step 2 of epoch 2"
    assert outcome.score is not None
    assert outcome.score.value == trial.reported[0][1]
    text = (trial.workdir / "outcome.json").read_text()
    assert "NaN" not in text.replace("nan at", "")
    json.loads(text)


def test_out_of_memory_and_bugs_are_outcomes_with_reasons(tmp_path: Path) -> None:
    def explode(error: Exception) -> Callable[[int], float | None]:
        def raise_it(step: int) -> float | None:
            raise error

        return raise_it

    outcome = run(Heard(tmp_path / "a"), task(explode(MemoryError())))
    assert (outcome.kind, outcome.reason) == (OutcomeKind.OUT_OF_MEMORY, "out of memory")
    outcome = run(Heard(tmp_path / "b"), task(explode(torch.OutOfMemoryError("CUDA: 3 GiB\nx"))))
    assert (outcome.kind, outcome.reason) == (OutcomeKind.OUT_OF_MEMORY, "CUDA: 3 GiB")
    told = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    outcome = run(Heard(tmp_path / "d"), task(explode(RuntimeError(told))))
    assert outcome.kind is OutcomeKind.OUT_OF_MEMORY
    outcome = run(Heard(tmp_path / "c"), task(explode(KeyError("oops"))))
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "KeyError: 'oops'")


def exploding(how: Callable[[], object]) -> Task:
    """A task whose fifth step, in the second epoch, does this."""
    return task(lambda step: how() and None if step == 5 else None)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        pytest.param(lambda: torch.empty(10**15), "DefaultCPUAllocator: can't", id="torch"),
        pytest.param(lambda: torch.nn.Linear(10**8, 10**8), "4000000000000000", id="a layer"),
        pytest.param(lambda: torch.empty(10**6, 10**6, 10**8), "overflowed", id="past counting"),
        pytest.param(lambda: np.empty(10**15), "Unable to allocate", id="numpy"),
        pytest.param(lambda: bytearray(10**18), "out of memory", id="python"),
    ],
)  # fmt: skip
def test_memory_that_is_not_there_is_an_outcome(
    tmp_path: Path, how: Callable[[], object], said: str
) -> None:
    outcome = run(Heard(tmp_path / "t"), exploding(how))
    assert outcome.kind is OutcomeKind.OUT_OF_MEMORY
    assert said in outcome.reason
    assert "enforce fail" not in outcome.reason
    assert outcome.score is not None, "its last epoch's"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.06 GB)"),
    ],
    ids=str,
)
def test_libraries_say_out_of_memory_in_their_ways(tmp_path: Path, error: Exception) -> None:
    def fail() -> None:
        raise error

    assert run(Heard(tmp_path / "t"), exploding(fail)).kind is OutcomeKind.OUT_OF_MEMORY


def test_another_full_thing_is_not_memory(tmp_path: Path) -> None:
    def fail() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert run(Heard(tmp_path / "t"), exploding(fail)).kind is OutcomeKind.FAILED


def test_what_a_trial_held_is_given_back_and_the_next_trial_runs(tmp_path: Path) -> None:
    models: list[weakref.ref[Walk]] = []

    def build(params: Params, data: Any, device: torch.device) -> Walk:
        def fail(step: int) -> None:
            held = torch.ones(1000)  # what the step that fails holds
            held.me = held  # type: ignore[attr-defined]
            torch.empty(10**15)

        model = Walk(fail if not models else lambda step: None)
        model.cycle = model  # type: ignore[attr-defined]
        models.append(weakref.ref(model))
        return model

    one = replace(task(), build=build)
    assert run(Heard(tmp_path / "a"), one).kind is OutcomeKind.OUT_OF_MEMORY
    assert models[0]() is None
    assert run(Heard(tmp_path / "b"), one).kind is OutcomeKind.COMPLETED
    assert models[1]() is None, "which would be beside the next one"


class Deep(Params):
    depth: int = Field(2, ge=1, le=9, description="")
    folder: str = Field("there", description="")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.depth > 5:
            raise ValueError(f"--depth {self.depth}: 32 pixels halve 5 times at most")
        return self


def deep(where: str = "build") -> Task:
    """A task that takes no depth of 4, and no folder but the one that is there."""

    def check(params: Any, here: str) -> None:
        if here == where and params.depth == 4:
            raise UserError("--depth 4: this network has no fourth step; take another")
        if here == where and params.folder != "there":
            raise UserError(f"--folder {params.folder}: is not there")

    def load(params: Any) -> Any:
        check(params, "load")
        return NoData()

    def build(params: Any, data: Any, device: torch.device) -> Walk:
        check(params, "build")
        return Walk(lambda step: None)

    return replace(task(), params=Deep, load=load, build=build)


def proposed(workdir: Path, **values: Any) -> Heard:
    """A trial that an engine proposed, with a depth the task may refuse."""
    params = Deep(epochs=2, device="cpu").model_copy(update=values)
    return Heard(workdir, params, searched={"depth": params.depth})


@pytest.mark.parametrize("where", ["load", "build"])
def test_a_point_the_task_refuses_is_a_failed_trial_and_no_end_of_the_search(
    tmp_path: Path, where: str
) -> None:
    trial = proposed(tmp_path / "t", depth=4)
    outcome = run(trial, deep(where))
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.reason == "--depth 4: this network has no fourth step; take another"
    assert trial.outcomes == [outcome]
    assert Record(trial.workdir).trial()["params"]["depth"] == 4


def test_a_point_its_params_refuse_is_a_failed_trial_too(tmp_path: Path) -> None:
    outcome = run(proposed(tmp_path / "a", depth=7), deep())
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.reason == "--depth 7: 32 pixels halve 5 times at most"
    outcome = run(proposed(tmp_path / "b", depth="deep"), deep())
    assert "--depth: 'deep' is refused" in outcome.reason


@pytest.mark.parametrize("where", ["load", "build"])
@pytest.mark.parametrize("depth", [2, 3], ids=["the baseline", "another point"])
def test_a_mistake_every_trial_would_meet_stops_the_search(
    tmp_path: Path, where: str, depth: int
) -> None:
    with pytest.raises(UserError, match="--folder nowhere: is not there"):
        run(proposed(tmp_path / "t", depth=depth, folder="nowhere"), deep(where))


def test_nobody_proposed_a_trial_on_its_own_so_its_mistake_is_the_users(tmp_path: Path) -> None:
    trial = proposed(tmp_path / "t", depth=4)
    trial.searched = {}
    with pytest.raises(UserError, match="no fourth step"):
        run(trial, deep())


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_trial_continues_as_if_nothing_had_been(
    tmp_path: Path, signum: signal.Signals
) -> None:
    def interrupt(step: int) -> None:
        if step == 8:
            os.kill(os.getpid(), signum)

    straight = Heard(tmp_path / "straight")
    run(straight)
    cut = Heard(tmp_path / "cut")
    with pytest.raises(Interrupted, match=signum.name), interruptible():
        run(cut, task(interrupt))
    assert cut.outcomes[-1].kind is OutcomeKind.INTERRUPTED
    assert len(Record(cut.workdir).epochs()) == 2
    assert signal.getsignal(signum) is not signal.SIG_DFL or signum is signal.SIGTERM
    again = Heard(tmp_path / "cut")
    assert run(again) == straight.outcomes[0]
    assert cut.reported + again.reported == straight.reported


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_heard_though_it_arrives_while_an_object_is_destroyed(
    signum: signal.Signals,
) -> None:
    class Dying:
        def __del__(self) -> None:
            os.kill(os.getpid(), signum)
            time.sleep(0.01)

    def work() -> None:
        Dying()  # Python ignores what __del__ raises
        time.sleep(10)

    hook = sys.unraisablehook
    with pytest.raises(Interrupted, match=signum.name), interruptible():
        work()
    assert sys.unraisablehook is hook


def test_a_signal_never_cuts_a_checkpoint_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = torch.save

    def interrupted_save(state: Any, file: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        save(state, file)

    straight = Heard(tmp_path / "straight")
    run(straight)
    monkeypatch.setattr(torch, "save", interrupted_save)
    cut = Heard(tmp_path / "cut")
    with pytest.raises(Interrupted), interruptible():
        run(cut)
    monkeypatch.undo()
    assert cut.outcomes[-1].kind is OutcomeKind.INTERRUPTED
    assert len(Record(cut.workdir).epochs()) == 1
    again = Heard(tmp_path / "cut")
    assert run(again) == straight.outcomes[0]
    assert again.reported == straight.reported[1:], "an engine reads the others in the record"


def test_a_signal_never_cuts_an_ending_short(tmp_path: Path) -> None:
    trial = Heard(tmp_path / "t")
    finish = trial.finish

    def interrupted_finish(outcome: Outcome) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        finish(outcome)

    trial.finish = interrupted_finish  # type: ignore[method-assign]
    with pytest.raises(Interrupted), interruptible():
        run(trial)
    assert [e.kind for e in trial.outcomes] == [OutcomeKind.COMPLETED]


def test_an_epoch_the_checkpoint_does_not_cover_is_done_again(tmp_path: Path) -> None:
    straight = Heard(tmp_path / "straight", Params(epochs=3, device="cpu"))
    run(straight)
    killed = Heard(tmp_path / "killed", Params(epochs=3, device="cpu"))
    saved: list[bytes] = []
    finish = killed.report

    def keep(epoch: int, score: Score) -> bool:
        saved.append(Record(killed.workdir).checkpoint.read_bytes())
        return finish(epoch, score)

    killed.report = keep  # type: ignore[method-assign]
    run(killed)
    Record(killed.workdir).checkpoint.write_bytes(saved[1])  # killed before the last one was saved
    again = Heard(tmp_path / "killed", Params(epochs=3, device="cpu"))
    assert run(again) == straight.outcomes[0]
    assert [epoch for epoch, _ in again.reported] == [3]


def test_a_folder_with_another_trial_is_refused(tmp_path: Path) -> None:
    run(Heard(tmp_path / "t"))
    with pytest.raises(UserError, match=r"other parameters \(--seed 0 is now 5\)"):
        run(Heard(tmp_path / "t", Params(epochs=4, seed=5, device="cpu")))
    assert Record(tmp_path / "t").outcome() is not None, "and nothing is lost"


def test_a_standalone_trial_satisfies_the_same_loop(tmp_path: Path) -> None:
    trial = StandaloneTrial(Params(epochs=1, device="cpu"), "standalone", tmp_path / "t")
    assert run_trial(task(), trial, quiet(), tmp_path).kind is OutcomeKind.COMPLETED


def test_plain_lines_tell_all_there_is_to_know(tmp_path: Path) -> None:
    out = StringIO()
    progress = Progress(total=3, console=Console(file=out, width=200))
    with progress:
        run(Heard(tmp_path / "a", number=0), progress=progress)
        run(Heard(tmp_path / "b", number=1, stop_at=1), progress=progress)
    text = out.getvalue()
    assert "trial 0 epoch 4/4: score 0." in text
    assert "items/s" in text
    assert "trial 1 pruned" in text
    assert "2/3 done, 1 pruned, best 0." in text
    assert "(trial 0), about 0:0" in text
    assert text.count("trainA: 1 images skipped") == 1, "said once, not once a trial"


def test_an_epochs_line_has_the_parts_in_the_evaluators_order_and_small_numbers() -> None:
    out = StringIO()
    progress = Progress(console=Console(file=out, width=200))
    progress.started(0, 2)
    parts = {"style": 2.14e-6, "content": 0.77, "painted": 0.00042, "inputs": 120.0}
    progress.scored(1, Score(1.648e-6, parts), 3.0)
    line = "score 1.65e-06 (style 2.14e-06 content 0.77 painted 0.00042 inputs 120) 3 items/s"
    assert out.getvalue() == f"trial 0 epoch 1/2: {line}\n"


def test_a_completed_trial_that_breaks_a_guard_says_so_and_is_not_the_best() -> None:
    out = StringIO()
    progress = Progress(total=2, console=Console(file=out, width=200))
    scores = Score(0.5, {}, {"pale": -0.1}), Score(0.9, {}, {"ink": 0.2, "pale": 0.1, "odd": -1.0})
    for number, score in enumerate(scores):
        progress.started(number, 1)
        progress.finished(Outcome(OutcomeKind.COMPLETED, "", score))
    kept, broken = out.getvalue().splitlines()
    assert kept.startswith("trial 0 completed, score 0.5 | ")
    assert broken.startswith("trial 1 completed, score 0.9, breaks ink, pale | 2/2 done")
    assert broken.endswith("best 0.5 (trial 0)")


def test_the_live_line_names_what_runs(tmp_path: Path) -> None:
    out = StringIO()
    with Progress(total=1, console=Console(file=out, width=200, force_terminal=True)) as progress:
        run(Heard(tmp_path / "a"), progress=progress)
    assert "trial 0 running: epoch" in out.getvalue()
