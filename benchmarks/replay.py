"""A task to search whose trials take no time: learning curves like those that were recorded.

    python -W ignore -m benchmarks.replay     writes benchmarks/replay.md: how early epochs rank

Of the curves of benchmarks/recorded.py, as logarithms, the first `COMPONENTS` principal components
are regressed on the point (Gaussian processes, scikit-learn, their constants by marginal
likelihood). A trial of a point is the regression's curve there and what one recorded curve, drawn
by point and seed, differed from its own: so noise has the size, and the memory from epoch to epoch,
that it had. The published baseline, which lies outside of the space, replays one of its own curves.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from benchmarks.recorded import CURVES, EPOCHS, SPACE
from benchmarks.table import origin, save, table
from core.params import load_task
from core.record import Record
from core.replicates.stats import Rho, spearman
from core.search.study import OptunaTrial
from core.task import Objective, Outcome, OutcomeKind, Score, Task

Array = NDArray[np.float64]
EARLY = (1, 3, 6, 9, 13, 15, 18, EPOCHS)
TOP, FOLDS, COMPONENTS = 5, 10, 3


def _never(*_: Any) -> Any:
    raise AssertionError("curves are replayed, not trained")


TASK = Task(
    "replay", "recorded curves", load_task("cyclegan").params, _never, _never, _never,
    Objective("painted", "maximize", 0.0),
)  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """A recorded trial: its point, the place of that (0 to 1 a dimension), scores from epoch 1."""

    number: int
    place: tuple[float, ...]
    scores: tuple[float, ...]


@cache
def recorded() -> tuple[Curve, ...]:
    """What was recorded, the published baseline's (number 0) first."""
    lines = CURVES.read_text(encoding="utf-8").splitlines()
    return tuple(_curve(json.loads(line)) for line in lines)


def _curve(line: Mapping[str, Any]) -> Curve:
    values = {**TASK.params().model_dump(), **line["point"]}
    return Curve(line["number"], place(values), tuple(line["scores"]))


def place(values: Mapping[str, Any]) -> tuple[float, ...]:
    """Values of the space's ranges as shares of them; outside of 0 to 1 where they lie outside."""
    found = []
    for name, spec in SPACE.source.items():
        low, high = spec["_value"][0], spec["_value"][-1]
        scale: Callable[[float], float] = math.log if spec["_type"] == "loguniform" else float
        if high > low:
            found.append((scale(values[name]) - scale(low)) / (scale(high) - scale(low)))
    return tuple(found)


class Regression:
    """Log curves by place: N x D places to N x `EPOCHS`."""

    def __init__(self, places: Array, logs: Array) -> None:
        self.mean = logs.mean(0)
        self.axes = np.linalg.svd(logs - self.mean, full_matrices=False)[2][:COMPONENTS]
        kernel = ConstantKernel(1.0) * RBF(np.ones(places.shape[1]), (0.1, 30)) + WhiteKernel(0.3)
        with warnings.catch_warnings():  # the longest length: a parameter that does not matter
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.components = [
                GaussianProcessRegressor(kernel, normalize_y=True, random_state=0).fit(places, w)
                for w in ((logs - self.mean) @ self.axes.T).T
            ]

    def __call__(self, places: Array) -> Array:
        """Log curves at these places."""
        weights = np.stack([each.predict(places) for each in self.components], 1)
        found: Array = self.mean + weights @ self.axes
        return found


def _inside() -> tuple[Array, Array, Array]:
    """Places, log curves and points' numbers of what was recorded inside of the space."""
    found = [curve for curve in recorded() if curve.number]
    places, logs = (np.array([getattr(c, name) for c in found]) for name in ("place", "scores"))
    return places, np.log(logs), np.array([curve.number for curve in found])


@cache
def _fitted() -> tuple[Regression, Array]:
    """The regression, and what each recorded curve differs from it."""
    places, logs, _ = _inside()
    regression = Regression(places, logs)
    return regression, logs - regression(places)


def worth(values: Mapping[str, Any]) -> float:
    """A point's last score without noise; the baseline's mean."""
    where = place(values)
    if min(where) < 0 or max(where) > 1:
        return float(np.mean([c.scores[-1] for c in recorded() if not c.number]))
    return float(np.exp(_fitted()[0](np.array([where]))[0, -1]))


def landmarks() -> tuple[float, float]:
    """The median worth of the space's points, and that of the best known."""
    places = np.random.default_rng(0).random((20_000, _inside()[0].shape[1]))
    found = np.exp(_fitted()[0](places)[:, -1])
    return float(np.median(found)), float(found.max())


def scores(values: Mapping[str, Any], seed: int) -> Sequence[float]:
    """One trial, epoch by epoch: the same for the same values and seed."""
    where = place(values)
    digest = hashlib.sha256(json.dumps([seed, *where]).encode()).digest()
    draw = np.random.default_rng(np.frombuffer(digest, np.uint32))
    if min(where) < 0 or max(where) > 1:
        own = [curve.scores for curve in recorded() if not curve.number]
        return own[draw.integers(len(own))]
    regression, noise = _fitted()
    found: list[float] = np.exp(
        regression(np.array([where]))[0] + noise[draw.integers(len(noise))]
    ).tolist()
    return found


def follow(trial: OptunaTrial, epochs: int = EPOCHS) -> tuple[Outcome, int]:
    """Report a trial's curve for so many epochs at most; how it ended, and the epochs it took.

    A trial that was promoted goes on from the rung below.
    """
    drawn = scores(trial.params.model_dump(), trial.params.seed)
    stops = trial.search.rungs.stops(trial.number) if trial.search.rungs else ()
    begun = max((stop for stop in stops if stop < trial.until), default=0)
    last, score = min(begun + epochs, trial.until), None
    Record(trial.workdir).checkpoint.touch()
    for epoch, value in enumerate(drawn[begun:last], begun + 1):
        score = Score(value)
        if trial.report(epoch, score) and epoch < EPOCHS:
            return Outcome(OutcomeKind.PRUNED, f"hopeless after epoch {epoch}", score), epoch
    if last < EPOCHS:
        kind = OutcomeKind.PRUNED if last == trial.until else OutcomeKind.INTERRUPTED
        return Outcome(kind, f"after epoch {last}", score), last - begun
    return Outcome(OutcomeKind.COMPLETED, f"after epoch {last}", score), last - begun


def ranking(epoch: int) -> tuple[str, ...]:
    """How an epoch ranks the points against the last one: rho, its interval, the top ones kept.

    One curve a point, with the first seed; then the deviation of their log scores.
    """
    first = {curve.number: curve.scores for curve in reversed(recorded())}.values()
    early, late = ([one[at - 1] for one in first] for at in (epoch, EPOCHS))
    best = np.argsort(late)[-TOP:]
    third = set(np.argsort(early)[-math.ceil(len(early) / 3) :])
    kept = f"{sum(b in third for b in best)} of {TOP}"
    apart = f"{np.std(np.log(early)):.2f}"
    return str(epoch), *_shown(spearman(early, late)), kept, apart, f"{explained(epoch):.2f}"


def seeds() -> tuple[str, ...]:
    """How far seeds agree on the last epoch: one seed's ranks of the repeated points, another's."""
    found = recorded()
    pairs = [
        (one.scores[-1], other.scores[-1])
        for one, other in pairwise(found)
        if one.number == other.number
    ]
    return f"{EPOCHS}, another seed", *_shown(spearman(*zip(*pairs, strict=True))), "", "", ""


def explained(epoch: int) -> float:
    """Share of the log scores' variance that the regression tells of points it has not fitted."""
    places, logs, numbers = _inside()
    error = 0.0
    for fold in range(FOLDS):
        left_out = numbers % FOLDS == fold
        regression = Regression(places[~left_out], logs[~left_out])
        error += float(np.square(logs - regression(places))[left_out, epoch - 1].sum())
    return 1 - error / float(np.square(logs - logs.mean(0))[:, epoch - 1].sum())


def _shown(rho: Rho | None) -> tuple[str, str]:
    assert rho
    return f"{rho.value:.2f}", f"{rho.low:.2f} to {rho.high:.2f}"


def main() -> None:
    rows = [*(ranking(epoch) for epoch in EARLY), seeds()]
    columns = ["epoch", "rank correlation with the last", "95 % interval"]
    columns += [f"of the {TOP} best, in its first third", "deviation", "explained by the point"]
    save(__file__, f"{origin('torch')}; {len(recorded())} curves", table(columns, rows))


if __name__ == "__main__":
    main()
