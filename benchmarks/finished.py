"""Studies with thousands of finished trials, made in seconds: in Optuna's database, and on disk.

The trials are those of a random search over benchmarks/curves.py of which the worse half was pruned
half-way; they look as `gantune tune` leaves them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState, create_trial
from PIL import Image
from sqlalchemy import insert, select

from benchmarks.curves import EPOCHS, SPACE, TASK, Curve, CurveParams, curve
from core.record import EpochLine
from core.search.recovery import NUMBER, VALUES, place
from core.search.study import Search
from core.task import OutcomeKind
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
    outcome: OutcomeKind

    @property
    def parts(self) -> dict[str, float]:
        """Of the last score, as an evaluator would give them."""
        return _parts(self.scores[-1]) if self.scores else {}


def finished(count: int) -> list[Finished]:
    """So many trials; trial 0 is the baseline."""
    return [_finish(number) for number in range(count)]


@cache
def _finish(number: int) -> Finished:
    random = np.random.default_rng(number)
    values = CurveParams().model_dump(include=set(DISTRIBUTIONS))
    if number:
        values = SPACE.draw(partial(_uniform, random))
    drawn = curve(values, 0)
    if len(drawn.scores) > HALF and number and drawn.scores[HALF - 1] < 0.4:
        drawn = Curve(drawn.scores[:HALF], OutcomeKind.PRUNED)
    return Finished(number, values, drawn.scores, drawn.outcome)


def _uniform(random: np.random.Generator, _: str, distribution: Any) -> float:
    low, high = distribution.low, distribution.high
    drawn = float(low * (high / low) ** random.random()) if distribution.log else None
    return float(random.uniform(low, high)) if drawn is None else drawn


def _parts(score: float) -> dict[str, float]:
    return {"content": score, "style": 1 - score, "inputs": 256.0}


def frozen(trial: Finished, folder: Path) -> FrozenTrial:
    """The trial as gantune leaves it in Optuna; `folder` is its study's."""
    pruned = trial.outcome is OutcomeKind.PRUNED
    scored = pruned or trial.outcome is OutcomeKind.COMPLETED
    latents, _ = SPACE.latents(trial.values)
    told: dict[str, Any] = {"runs": place(folder), NUMBER: trial.number, VALUES: trial.values}
    told |= {"outcome": str(trial.outcome), "reason": "", "parts": trial.parts}
    return create_trial(
        state=TrialState.PRUNED if pruned else TrialState.COMPLETE,
        value=trial.scores[-1] if scored else TASK.objective.worst,
        params=latents,
        distributions=dict[str, BaseDistribution](DISTRIBUTIONS),
        intermediate_values=dict(enumerate(trial.scores, 1)),
        user_attrs=told,
    )


def store(search: Search, trials: Sequence[Finished]) -> None:
    """What `search.study.add_trials` does of new numbers, but a table at a time."""
    kept = [(trial.number, frozen(trial, search.folder)) for trial in trials]
    study, now = search.study._study_id, datetime.now(UTC).replace(tzinfo=None)
    times = {"datetime_start": now, "datetime_complete": now}
    with search.storage.engine.begin() as connection:

        def fill(model: Any, rows: list[dict[str, Any]]) -> None:
            connection.execute(insert(model.__table__), rows)

        fill(models.TrialModel, [
            {"number": n, "study_id": study, "state": t.state, **times} for n, t in kept
        ])  # fmt: skip
        table = models.TrialModel.__table__.c
        which = select(table.number, table.trial_id).where(table.study_id == study)
        ids = {row.number: row.trial_id for row in connection.execute(which)}
        rows = [({"trial_id": ids[number]}, trial) for number, trial in kept]
        fill(models.TrialParamModel, [
            {**row, "param_name": name, "param_value": t.distributions[name].to_internal_repr(v),
             "distribution_json": distribution_to_json(t.distributions[name])}
            for row, t in rows for name, v in t.params.items()
        ])  # fmt: skip
        fill(models.TrialUserAttributeModel, [
            {**row, "key": key, "value_json": json.dumps(value)}
            for row, t in rows for key, value in t.user_attrs.items()
        ])  # fmt: skip
        finite = models.TrialValueModel.TrialValueType.FINITE
        fill(models.TrialValueModel, [
            {**row, "objective": 0, "value": t.value, "value_type": finite} for row, t in rows
        ])  # fmt: skip
        known = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
        fill(models.TrialIntermediateValueModel, [
            {**row, "step": step, "intermediate_value": v, "intermediate_value_type": known}
            for row, t in rows for step, v in t.intermediate_values.items()
        ])  # fmt: skip


def record(folder: Path, trials: Sequence[Finished]) -> None:
    """The trials' records in their study's folder; every hundredth has pictures."""
    facts = {**provenance(), "evaluator": {"accuracy": 0.98}, "notes": [], "hardware": "none"}
    facts |= {"task": TASK.name, "study": folder.name, "engine": "optuna"}
    facts |= {"objective": {"name": TASK.objective.name, "direction": TASK.objective.direction}}
    facts |= {"searched": sorted(DISTRIBUTIONS), "defaults": CurveParams().model_dump(mode="json")}
    folder.mkdir(parents=True, exist_ok=True)
    about = {"task": TASK.name, "engine": "optuna", "space": SPACE.source, **provenance()}
    (folder / "study.json").write_text(json.dumps(about))
    for trial in trials:
        place = folder / f"{trial.number:04d}"
        place.mkdir()
        params = CurveParams(**trial.values).model_dump(mode="json")
        told = {**facts, "number": trial.number, "params": params}
        (place / "trial.json").write_text(json.dumps(told))
        lines = [json.dumps(vars(_line(e, score))) for e, score in enumerate(trial.scores, 1)]
        (place / "epochs.jsonl").write_text("".join(line + "\n" for line in lines))
        score = {"value": trial.scores[-1], "parts": trial.parts} if trial.scores else None
        outcome = {"outcome": trial.outcome, "reason": "", "score": score}
        ended = {**outcome, "seconds": 30.0, "ended": "2026-01-01T00:00:00+00:00"}
        (place / "outcome.json").write_text(json.dumps(ended))
        if trial.number % 100 == 0:
            _pictures(place / "samples", trial.number)


def _line(epoch: int, score: float) -> EpochLine:
    losses = {name: i + 1 / epoch for i, name in enumerate(LOSSES)}
    return EpochLine(epoch, losses, score, _parts(score), {}, 1.5, 100.0)


def _pictures(folder: Path, seed: int) -> None:
    folder.mkdir()
    for name in ("source", "output"):
        pixels = np.random.default_rng(seed).integers(0, 256, (64, 512, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
