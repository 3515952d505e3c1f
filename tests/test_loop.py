"""Early stopping and what it keeps, and what TensorBoard gets, on a model of known scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from core.engines.local import LocalTrial
from core.progress import Progress
from core.record import Record
from core.run import run_trial
from core.task import Ending, Objective, Outcome, Params, Samples, Score, Task, UserError

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

    def samples(self) -> Samples:
        source = torch.zeros(3, 1, 8, 8)
        return Samples(source, self.translate(source), source + 1)

    def state_dict(self) -> dict[str, Any]:  # type: ignore[override]
        return {"epochs": self.epochs}

    def load_state_dict(self, state: Any) -> None:  # type: ignore[override]
        self.epochs = state["epochs"]


class Judge:
    objectives = (Objective("loss", "minimize", worst=1.0),)

    def prepare(self, data: Any, folder: Path, say: Callable[[str], None]) -> Mapping[str, Any]:
        return {}

    def __call__(self, samples: Samples) -> Score:
        return Score(round(float(samples.output.mean()), 6), {"pixel": 0.5})


def known_task() -> Task:
    def load(params: Params) -> Any:
        return SimpleNamespace(fingerprint="", notes=())

    build: Any = Known
    return Task("known", "", Params, load, build, lambda params: Judge(), Judge.objectives[0])


def run(folder: Path, **values: Any) -> tuple[Ending, Record]:
    params = Params(**{"epochs": len(LOSSES), "device": "cpu", "threads": 1, **values})
    trial = LocalTrial(params, {}, "study", folder)
    return run_trial(known_task(), trial, Progress(), folder.parent), Record(folder)


def test_without_patience_the_last_epoch_counts(tmp_path: Path) -> None:
    ending, record = run(tmp_path / "t")
    assert ending.score
    assert (ending.score.value, len(record.epochs()), ending.reason) == (0.8, 8, "")
    assert not record.best.exists()


def test_patience_ends_a_trial_and_keeps_its_best_epoch(tmp_path: Path) -> None:
    ending, record = run(tmp_path / "t", patience=2)
    assert ending.outcome is Outcome.COMPLETED
    assert ending.score
    assert (ending.score.value, len(record.epochs())) == (0.4, 6)  # 4 is best, 5 and 6 are not
    assert ending.reason == "stopped after epoch 6: none better since 4"
    assert torch.load(record.best, weights_only=True)["model"] == {"epochs": 4}
    assert torch.load(record.checkpoint, weights_only=True)["epoch"] == 6


def test_enough_patience_waits_for_the_better_epoch(tmp_path: Path) -> None:
    ending, record = run(tmp_path / "t", patience=3)
    assert ending.score
    assert (ending.score.value, len(record.epochs())) == (0.3, 8)


def test_a_trial_that_was_about_to_stop_does_so_when_it_continues(tmp_path: Path) -> None:
    _, record = run(tmp_path / "t", patience=2)
    (record.folder / "outcome.json").unlink()  # as if it had been killed before its ending
    ending, record = run(tmp_path / "t", patience=2)
    assert ending.score
    assert (ending.score.value, len(record.epochs())) == (0.4, 6)


def test_the_targets_are_shown_beside_the_outputs(tmp_path: Path) -> None:
    _, record = run(tmp_path / "t", epochs=1)
    names = {path.name for path in record.samples.iterdir()}
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
