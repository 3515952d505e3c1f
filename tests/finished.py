"""Studies with thousands of finished trials, made in seconds: in Optuna's database, and on disk.

The trials are those of a random search over benchmarks/curves.py of which the worse half was pruned
half-way; they look as `gantune tune` leaves them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState, create_trial
from PIL import Image
from sqlalchemy.orm import Session

from benchmarks.curves import EPOCHS, SPACE, TASK, Curve, CurveParams, curve
from core.files import write_json
from core.record import EpochLine, Record
from core.search.attributes import NUMBER, VALUES
from core.search.recovery import location
from core.search.study import Search
from core.task import Outcome, OutcomeKind, Score
from core.training.provenance import provenance

HALF = EPOCHS // 2
DISTRIBUTIONS = {
    d.key: d.distribution for d in SPACE.dimensions if isinstance(d.distribution, FloatDistribution)
}
LOSSES = ("generator", "discriminator", "cycle", "identity")


@dataclass(frozen=True)
class Finished:
    """A trial that has ended: its number in the study, its values, its curve."""

    number: int
    values: dict[str, Any]
    scores: tuple[float, ...]
    kind: OutcomeKind

    @property
    def outcome(self) -> Outcome:
        """How it ended, with its last score."""
        return Outcome(self.kind, "", score_of(self.scores[-1]) if self.scores else None)


def score_of(value: float) -> Score:
    """A score with parts, as an evaluator would give it."""
    return Score(value, {"content": value, "style": 1 - value, "inputs": 256.0})


@cache
def finished(count: int) -> list[Finished]:
    """So many trials; trial 0 is the baseline."""
    trials = []
    for number in range(count):
        random = np.random.default_rng(number)
        values = CurveParams().model_dump(include=set(DISTRIBUTIONS))
        if number:
            values = SPACE.draw(partial(_uniform, random))
        drawn = curve(values, 0)
        if len(drawn.scores) > HALF and number and drawn.scores[HALF - 1] < 0.4:
            drawn = Curve(drawn.scores[:HALF], OutcomeKind.PRUNED)
        trials.append(Finished(number, values, drawn.scores, drawn.outcome))
    return trials


def _uniform(random: np.random.Generator, _: str, distribution: Any) -> float:
    low, high = distribution.low, distribution.high
    share = random.random()
    return float(low * (high / low) ** share if distribution.log else low + (high - low) * share)


def frozen(trial: Finished, folder: Path) -> FrozenTrial:
    """The trial as gantune's search leaves it in Optuna; `folder` is its study's."""
    outcome = trial.outcome
    scored = outcome.score if outcome.kind in (OutcomeKind.PRUNED, OutcomeKind.COMPLETED) else None
    attributes: dict[str, Any] = {
        "runs": location(folder),
        NUMBER: trial.number,
        VALUES: trial.values,
    }
    attributes |= {"outcome": str(outcome.kind), "reason": ""}
    attributes["parts"] = dict(outcome.score.parts) if outcome.score else {}
    return create_trial(
        state=TrialState.PRUNED if outcome.kind is OutcomeKind.PRUNED else TrialState.COMPLETE,
        value=scored.value if scored else TASK.objective.worst,
        params=SPACE.latents(trial.values)[0],
        distributions=dict[str, BaseDistribution](DISTRIBUTIONS),
        intermediate_values=dict(enumerate(trial.scores, 1)),
        user_attrs=attributes,
    )


def store(search: Search, trials: Sequence[Finished]) -> None:
    """What `search.study.add_trials` does of new numbers, but all in one transaction."""
    study, now = search.study._study_id, datetime.now(UTC).replace(tzinfo=None)
    rows = [_row(trial.number, frozen(trial, search.config.folder)) for trial in trials]
    with Session(search.storage.engine) as session, session.begin():
        for row in rows:
            row.study_id, row.datetime_start, row.datetime_complete = study, now, now
        session.add_all(rows)


def _row(number: int, trial: FrozenTrial) -> Any:
    """A trial as Optuna's tables hold it."""
    finite = models.TrialValueModel.TrialValueType.FINITE
    known = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
    return models.TrialModel(
        number=number,
        state=trial.state,
        params=[
            models.TrialParamModel(
                param_name=name,
                param_value=trial.distributions[name].to_internal_repr(value),
                distribution_json=distribution_to_json(trial.distributions[name]),
            )
            for name, value in trial.params.items()
        ],
        user_attributes=[
            models.TrialUserAttributeModel(key=key, value_json=json.dumps(value))
            for key, value in trial.user_attrs.items()
        ],
        values=[models.TrialValueModel(objective=0, value=trial.value, value_type=finite)],
        intermediate_values=[
            models.TrialIntermediateValueModel(
                step=step, intermediate_value=value, intermediate_value_type=known
            )
            for step, value in trial.intermediate_values.items()
        ],
    )


@mock.patch("os.fsync", new=mock.Mock())  # thousands of small files
def record(folder: Path, trials: Sequence[Finished]) -> None:
    """Write the trials' records into their study's folder; every hundredth has pictures."""
    origin = provenance()
    facts = {**origin, "evaluator": {"accuracy": 0.98}, "notes": [], "hardware": "none"}
    facts |= {"task": TASK.name, "study": folder.name, "engine": "optuna"}
    facts |= {"objective": {k: v for k, v in asdict(TASK.objective).items() if k != "worst"}}
    facts |= {"searched": sorted(DISTRIBUTIONS), "defaults": CurveParams().model_dump(mode="json")}
    about = {"task": TASK.name, "engine": "optuna", "space": SPACE.source}
    write_json(folder / "study.json", {**about, **origin})
    for trial in trials:
        record = Record(folder / f"{trial.number:04d}")
        params = CurveParams(**trial.values).model_dump(mode="json")
        record.begin({**facts, "number": trial.number, "params": params})
        lines = []
        for epoch, value in enumerate(trial.scores, 1):
            losses = {name: i + 1 / epoch for i, name in enumerate(LOSSES)}
            lines.append(EpochLine(epoch, losses, score_of(value), 1.5, 100.0))
        record.write_epochs(lines)
        record.end(trial.outcome, 30.0)
        if trial.number % 100 == 0:
            record.pictures.mkdir()
            for name in ("source", "output"):
                pixels = np.random.default_rng(trial.number).integers(
                    0, 256, (64, 512, 3), np.uint8
                )
                Image.fromarray(pixels).save(record.pictures / f"{name}.png")
