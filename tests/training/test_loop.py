"""Early stopping and what it keeps, and what TensorBoard gets, on a model of known scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from core.checkpoint import load_checkpoint
from core.data.outputs import ImagePairs
from core.models.collapse import collapse_reason
from core.record import Record
from core.task import Objective, Outcome, OutcomeKind, Params, Score, Task, UserError
from core.training.loop import train
from core.training.progress import Progress
from core.training.run import run_trial
from core.training.standalone import StandaloneTrial

LOSSES = [0.9, 0.5, 0.7, 0.4, 0.6, 0.5, 0.3, 0.8]


class Known(nn.Module):
    """Its output's mean is the next of LOSSES after each epoch."""

    def __init__(self, params: Params, data: Any, device: torch.device) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 3, padding=1)
        self.epochs = 0

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return {"G": self}

    def forward(self, x: Tensor) -> Tensor:
        return torch.full_like(x, LOSSES[self.epochs - 1]) + 0 * self.layer(x).mean()

    def batches(self) -> Iterator[tuple[Tensor]]:
        yield (torch.zeros(3, 1, 8, 8),)
        self.epochs += 1

    def step(self, batch: Any) -> Mapping[str, Tensor]:
        return {"pixel": torch.tensor(0.25)}

    def translate(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return self(images)  # type: ignore[no-any-return]

    def collapse_reason(self, outputs: ImagePairs) -> str:
        return collapse_reason(outputs)

    def outputs(self) -> ImagePairs:
        source = torch.zeros(3, 1, 8, 8)
        return ImagePairs(source, self.translate(source), source + 1)

    def state_dict(self) -> dict[str, Any]:  # type: ignore[override]
        return {"epochs": self.epochs}

    def load_state_dict(self, state: Any) -> None:  # type: ignore[override]
        self.epochs = state["epochs"]


class FakeEvaluator:
    objectives = (Objective("loss", "minimize", worst=1.0),)

    def prepare(self, data: Any, folder: Path, say: Callable[[str], None]) -> Mapping[str, Any]:
        return {}

    def __call__(self, outputs: ImagePairs) -> Score:
        return Score(round(float(outputs.output.mean()), 6), {"pixel": 0.5})


def known_task(model: Any = Known) -> Task:
    def load(params: Params) -> Any:
        return SimpleNamespace(fingerprint="", notes=())

    return Task(
        "known",
        "",
        Params,
        load,
        model,
        lambda params: FakeEvaluator(),
        FakeEvaluator.objectives[0],
    )


def run(folder: Path, **values: Any) -> tuple[Outcome, Record]:
    params = Params(**{"epochs": len(LOSSES), "device": "cpu", "threads": 1, **values})
    trial = StandaloneTrial(params, "study", folder)
    return run_trial(known_task(), trial, Progress(), folder.parent), Record(folder)


def test_without_patience_the_last_epoch_counts(tmp_path: Path) -> None:
    outcome, record = run(tmp_path / "t")
    assert outcome.score
    assert (outcome.score.value, len(record.epochs()), outcome.reason) == (0.8, 8, "")
    assert load_checkpoint(record.best)["epoch"] == 7, "the best epoch's networks are kept"


def test_a_model_warms_up_once_however_often_its_training_goes_on(tmp_path: Path) -> None:
    warmed: list[int] = []

    class Warming(Known):
        def warm_up(self) -> None:
            warmed.append(self.epochs)

    class Stopping(StandaloneTrial):
        until = 3

    params = Params(epochs=8, device="cpu", threads=1)
    for kind, until in ((Stopping, 3), (StandaloneTrial, 8)):
        trial = kind(params, "study", tmp_path / "t")
        record = Record(trial.workdir)
        model = Warming(trial.params, None, torch.device("cpu"))
        with Progress() as progress:
            progress.started(trial.number, until)
            train(known_task(), model, FakeEvaluator(), trial, record, progress)
    assert warmed == [0]
    assert [line.epoch for line in record.epochs()] == list(range(1, 9))


def test_a_process_killed_between_checkpoint_and_record_trains_no_epoch_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    write = Record.write_epochs

    def killed(record: Record, lines: Any) -> None:
        if len(lines) == 3:
            raise Killed
        write(record, lines)

    with monkeypatch.context() as patch:
        patch.setattr(Record, "write_epochs", killed)
        with pytest.raises(Killed):
            run(tmp_path / "t")
    assert len(Record(tmp_path / "t").epochs()) == 2
    saved = load_checkpoint(tmp_path / "t" / "checkpoint.pt")["lines"]
    outcome, record = run(tmp_path / "t")
    assert [line.epoch for line in record.epochs()] == list(range(1, 9))
    assert asdict(record.epochs()[2]) == saved[2], "its third epoch is the first process's"
    assert outcome.kind is OutcomeKind.COMPLETED


@pytest.mark.parametrize("both", [False, True])
def test_a_damaged_checkpoint_is_named_and_the_trial_goes_on_from_what_is_left(
    tmp_path: Path, both: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome, record = run(tmp_path / "t")
    (record.folder / "outcome.json").unlink()
    damaged = [record.checkpoint, record.best] if both else [record.checkpoint]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:900])
    capsys.readouterr()
    again, record = run(tmp_path / "t")
    said = capsys.readouterr().err
    assert all(str(path) in said for path in damaged)
    assert ("the trial starts again" if both else "goes on from its best epoch, 7") in said
    assert again.score == outcome.score
    assert [line.epoch for line in record.epochs()] == list(range(1, 9))
    assert "weights_only" not in said


def test_patience_ends_a_trial_and_keeps_its_best_epoch(tmp_path: Path) -> None:
    outcome, record = run(tmp_path / "t", patience=2)
    assert outcome.kind is OutcomeKind.COMPLETED
    assert outcome.score
    assert (outcome.score.value, len(record.epochs())) == (0.4, 6)  # 4 is best, 5 and 6 are not
    assert outcome.reason == "stopped after epoch 6: none better since 4"
    assert torch.load(record.best, weights_only=True)["model"] == {"epochs": 4}
    assert torch.load(record.checkpoint, weights_only=True)["epoch"] == 6


def test_enough_patience_waits_for_the_better_epoch(tmp_path: Path) -> None:
    outcome, record = run(tmp_path / "t", patience=3)
    assert outcome.score
    assert (outcome.score.value, len(record.epochs())) == (0.3, 8)


def test_a_trial_that_was_about_to_stop_does_so_when_it_continues(tmp_path: Path) -> None:
    _, record = run(tmp_path / "t", patience=2)
    (record.folder / "outcome.json").unlink()  # as if it had been killed before its outcome
    outcome, record = run(tmp_path / "t", patience=2)
    assert outcome.score
    assert (outcome.score.value, len(record.epochs())) == (0.4, 6)


def test_the_targets_are_shown_beside_the_outputs(tmp_path: Path) -> None:
    _, record = run(tmp_path / "t", epochs=1)
    names = {path.name for path in record.pictures.iterdir()}
    assert names == {"source.png", "output.png", "target.png"}


def test_tensorboard_gets_losses_parts_pictures_layers_and_the_graph(tmp_path: Path) -> None:
    _, record = run(tmp_path / "t", epochs=2, tensorboard=True, tensorboard_layers="layer")
    events = EventAccumulator(str(record.folder / "tensorboard")).Reload()
    tags = events.Tags()
    assert set(tags["scalars"]) == {"train/pixel", "validation/pixel", "validation/score"}
    assert [e.value for e in events.Scalars("validation/score")] == pytest.approx(LOSSES[:2])
    assert {"samples/source", "samples/output", "samples/target"} <= set(tags["images"])
    assert any(tag.startswith("layers/layer") for tag in tags["images"])
    assert tags["graph"]


def test_tensorboard_is_off_unless_asked_for_and_changes_no_result(tmp_path: Path) -> None:
    plain, record = run(tmp_path / "a")
    shown, _ = run(tmp_path / "b", tensorboard=True)
    assert plain == shown
    assert not (record.folder / "tensorboard").exists()


def test_a_layer_that_is_not_there_is_a_clear_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no layer 'lair'; it has layer"):
        run(tmp_path / "t", tensorboard=True, tensorboard_layers="lair")


class Scripted:
    """One answer for all in the epochs of a script that say `one`, a copy of its input elsewhere.

    `break_at` names a step after which a weight is not a number any more.
    """

    def __init__(self, params: Scripts, data: Any, device: torch.device) -> None:
        self.params = params
        self.net = nn.Conv2d(1, 1, 1)
        self.networks = {"G": self.net}
        self.steps = 0
        self.inputs = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1

    @property
    def epochs(self) -> int:
        return self.steps // 2

    def batches(self) -> Iterator[tuple[Tensor]]:
        yield from ((self.inputs,),) * 2

    def step(self, batch: Any) -> Mapping[str, Tensor]:
        self.steps += 1
        if self.steps == self.params.break_at:
            self.net.weight.data.fill_(float("nan"))
        return {"pixel": torch.tensor(0.25)}

    def collapse_reason(self, outputs: ImagePairs) -> str:
        return collapse_reason(outputs)

    def outputs(self) -> ImagePairs:
        return ImagePairs(self.inputs, self.translate(self.inputs))

    def translate(self, images: Tensor) -> Tensor:
        one = self.params.script.split()[self.epochs - 1] == "one"
        return images[:1].expand_as(images) if one else images

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state: Any) -> None:
        self.steps = state["steps"]


class Scripts(Params):
    script: str = "one"
    scores: str = ""
    break_at: int = 0
    part: str = "0.5"


class Script:
    """Gives the scores of a script in turn, each with the same part."""

    objectives = (Objective("loss", "minimize", worst=9.0),)

    def __init__(self, params: Scripts, model: list[Scripted]) -> None:
        self.params, self.model = params, model

    def prepare(self, data: Any, folder: Path, say: Callable[[str], None]) -> Mapping[str, Any]:
        return {}

    def __call__(self, outputs: ImagePairs) -> Score:
        scores = [float(score) for score in self.params.scores.split()]
        return Score(scores[self.model[-1].epochs - 1], {"ssim": float(self.params.part)})


def act(folder: Path, script: str, scores: str, stop_at: int = 0, **values: Any) -> Outcome:
    """Run a script to its end; `stop_at` is an epoch after which the engine sees no hope."""
    models: list[Scripted] = []

    def build(*args: Any) -> Scripted:
        models.append(Scripted(*args))
        return models[-1]

    class Engine(StandaloneTrial):
        def report(self, epoch: int, score: Score) -> bool:
            return epoch == stop_at

    epochs = values.pop("epochs", len(scores.split()))
    params = Scripts(script=script, scores=scores, epochs=epochs, device="cpu", threads=1, **values)
    task = Task(
        "scripted",
        "",
        Scripts,
        lambda p: SimpleNamespace(fingerprint="", notes=()),
        build,
        lambda p: Script(p, models),
        Script.objectives[0],
    )
    return run_trial(task, Engine(params, "s", folder), Progress(), folder.parent)


SAME = "the same output for 12 different inputs"


def test_collapse_that_lasts_ends_a_trial_early(tmp_path: Path) -> None:
    outcome = act(tmp_path, "copy " + "one " * 9, "0.5 0.6 0.7 0.6 0.8 0.7 0.6 0.6 0.6 0.6")
    assert outcome == Outcome(
        OutcomeKind.COLLAPSED,
        f"{SAME}, in epochs 2 to 6 without a better score",
        Score(0.7, {"ssim": 0.5}),
    )
    assert len(Record(tmp_path).epochs()) == 6


def test_a_trial_killed_in_collapse_ends_where_it_would_have(tmp_path: Path) -> None:
    script, scores = "copy " + "one " * 9, "0.5" + " 0.6" * 9
    straight = act(tmp_path / "straight", script, scores)
    folder = tmp_path / "cut"
    state = torch.load(tmp_path / "straight" / "checkpoint.pt", weights_only=True)
    act(folder, script, scores, stop_at=4)  # leaves the checkpoint of the fourth epoch
    (folder / "outcome.json").unlink()
    assert act(folder, script, scores) == straight
    assert (
        torch.load(folder / "checkpoint.pt", weights_only=True)["collapse_reasons"]
        == state["collapse_reasons"]
    )


def test_a_checkpoint_of_a_version_that_knew_no_collapse_is_continued(tmp_path: Path) -> None:
    script, scores = "copy " * 4, "0.5 0.4 0.3 0.2"
    act(tmp_path, script, scores, stop_at=2)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del state["collapse_reasons"]
    torch.save(state, tmp_path / "checkpoint.pt")
    assert act(tmp_path, script, scores).kind is OutcomeKind.COMPLETED


def test_one_answer_for_all_is_no_collapse_while_the_score_gets_better(tmp_path: Path) -> None:
    outcome = act(tmp_path, "one " * 8 + "copy", "0.9 0.8 0.7 0.6 0.5 0.4 0.3 0.2 0.1")
    assert (outcome.kind, outcome.reason) == (OutcomeKind.COMPLETED, "")


def test_collapse_at_the_end_is_told_unless_it_is_one_epoch_old(tmp_path: Path) -> None:
    late = act(tmp_path / "a", "copy copy one one", "0.5 0.4 0.6 0.6")
    assert late.kind is OutcomeKind.COLLAPSED
    assert late.reason == f"{SAME}, in epochs 3 to 4 without a better score"
    new = act(tmp_path / "b", "copy copy copy one", "0.5 0.4 0.6 0.6")
    assert new.kind is OutcomeKind.COMPLETED
    only = act(tmp_path / "c", "one", "0.5")
    assert only.kind is OutcomeKind.COMPLETED


def test_a_generator_that_recovers_has_not_collapsed(tmp_path: Path) -> None:
    outcome = act(tmp_path, "copy one one one one copy copy", "0.5 0.6 0.6 0.6 0.6 0.6 0.6")
    assert outcome.kind is OutcomeKind.COMPLETED


def test_with_patience_the_kept_epoch_says_whether_a_trial_has_collapsed(tmp_path: Path) -> None:
    scores = "0.5 0.4 0.6 0.6 0.6 0.6 0.6 0.6 0.6"
    sound = act(tmp_path / "a", "copy copy " + "one " * 7, scores, patience=20)
    assert sound.kind is OutcomeKind.COMPLETED
    assert sound.score
    assert sound.score.value == 0.4
    assert sound.reason == ("stopped after epoch 7: collapsed from epoch 3 on, none better since 2")
    blank = act(tmp_path / "b", "copy " + "one " * 8, scores, patience=3)
    assert blank.kind is OutcomeKind.COLLAPSED
    assert blank.score
    assert blank.score.value == 0.4


def test_the_collapse_of_a_hopeless_trial_is_what_its_engine_learns(tmp_path: Path) -> None:
    script, scores = "copy " + "one " * 9, "0.5" + " 0.6" * 9
    assert act(tmp_path / "a", script, scores, stop_at=6).kind is OutcomeKind.COLLAPSED
    assert act(tmp_path / "b", script, scores, stop_at=5).kind is OutcomeKind.PRUNED


def test_weights_that_are_no_numbers_end_the_trial_in_that_epoch(tmp_path: Path) -> None:
    outcome = act(tmp_path, "copy " * 4, "0.5 0.4 0.3 0.2", break_at=4)
    assert outcome.kind is OutcomeKind.DIVERGED
    assert outcome.reason == "weight G.weight is not finite after steps 1 to 2 of epoch 2"
    assert outcome.score == Score(0.5, {"ssim": 0.5})


def test_a_score_that_is_no_number_is_divergence(tmp_path: Path) -> None:
    outcome = act(tmp_path / "a", "copy " * 3, "0.5 nan 0.3")
    assert outcome.kind is OutcomeKind.DIVERGED
    assert outcome.reason == "the score is not finite: nan, after epoch 2"
    assert outcome.score == Score(0.5, {"ssim": 0.5})
    outcome = act(tmp_path / "b", "copy " * 3, "0.5 nan 0.3", part="inf")
    assert (outcome.kind, outcome.reason, outcome.score) == (
        OutcomeKind.DIVERGED,
        "the score's part ssim is inf after epoch 1",
        None,
    )
    outcome = act(tmp_path / "c", "copy", "nan", part="-inf")
    assert outcome.reason == "the score is not finite: nan (ssim -inf), after epoch 1"
