"""Learning curves of an imagined GAN, for studies of thousands of trials that diverge and collapse.

A point of SPACE, seen from the published baseline: g and d are decades of lr_g and lr_d above
2e-4, c of lambda_cycle above 10, w of lambda_gan above 1, b = c - w, p is the dropout and i is
lambda_identity; x+ is max(x, 0). Without noise the score after epoch e, clipped to [0, 1], is

    s(e) = 0.1 + (A - 0.1) (1 - exp(-e / tau)) - 0.005 g+ e
    tau  = 12 10^(-0.7 g) (1 + p)                          large steps learn soon,
    A    = 0.9 - 0.08 ((g + 0.6)+)^2                       but end lower, and then go down;
               - 0.06 (d - g - 0.4)^2                      both networks are to keep pace;
               - 0.15 (b + 0.6)^2                          neither loss is to rule;
               - 0.4 (p - 0.2)^2 - 0.05 (i - 0.3)^2        these matter little.

Where u = g + (d - g)+ / 2 + w / 4 exceeds 1 it diverges, the sooner the higher u is; where b is
below -1.5 the adversarial loss rules, and it collapses. A seed of a point shifts its curve by
N(0, 0.02), each epoch by another N(0, 0.01), and u and b by N(0, 0.05): a point at an edge breaks
with some seeds only. The constants give the shapes that searches of GANs show, a baseline that is
good and can be beaten, and best points off the edges. benchmarks/curves/ has those of real GANs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from core.search.space import Space
from core.task import Objective, OutcomeKind, Params, Task

Array = NDArray[np.float64]

EPOCHS = 20
SEED_NOISE, EPOCH_NOISE, EDGE_NOISE = 0.02, 0.01, 0.05
SOURCE: dict[str, Any] = {
    "lambda_gan": {"_type": "loguniform", "_value": [0.1, 10.0]},
    "lambda_cycle": {"_type": "loguniform", "_value": [0.5, 50.0]},
    "lambda_identity": {"_type": "uniform", "_value": [0.0, 1.0]},
    "lr_g": {"_type": "loguniform", "_value": [2e-5, 4e-3]},
    "lr_d": {"_type": "loguniform", "_value": [2e-5, 4e-3]},
    "dropout": {"_type": "uniform", "_value": [0.0, 0.5]},
}


class CurveParams(Params):
    """A point; the defaults are CycleGAN's published ones."""

    epochs: int = Field(EPOCHS, ge=1, le=EPOCHS)
    lambda_gan: float = Field(1.0, gt=0)
    lambda_cycle: float = Field(10.0, gt=0)
    lambda_identity: float = Field(0.5, ge=0, le=1)
    lr_g: float = Field(2e-4, gt=0)
    lr_d: float = Field(2e-4, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)


def _never(*_: Any) -> Any:
    raise AssertionError("curves are drawn, not trained")


TASK = Task(
    "curves", "learning curves without learning", CurveParams, _never, _never, _never,
    Objective("score", "maximize", 0.0),
)  # fmt: skip
SPACE = Space.parse(SOURCE, CurveParams, "benchmarks/curves.py")


@dataclass(frozen=True)
class Curve:
    """The score after every epoch, from 1; one that breaks gives none for its last epoch."""

    scores: tuple[float, ...]
    outcome: OutcomeKind


def clean(points: Mapping[str, Any]) -> Array:
    """The curves of points, n x EPOCHS, without noise, and as if nothing broke."""
    g, d, b, _ = _decades(points)
    p, i = (np.asarray(points[name], float) for name in ("dropout", "lambda_identity"))
    epoch = np.arange(1, EPOCHS + 1)
    ceiling = 0.9 - 0.08 * np.maximum(g + 0.6, 0) ** 2 - 0.06 * (d - g - 0.4) ** 2
    ceiling = ceiling - 0.15 * (b + 0.6) ** 2 - 0.4 * (p - 0.2) ** 2 - 0.05 * (i - 0.3) ** 2
    tau = 12 * 10 ** (-0.7 * g) * (1 + p)
    learnt = 1 - np.exp(-epoch / tau[..., None])
    drift = 0.005 * np.maximum(g, 0)[..., None] * epoch
    scores: Array = 0.1 + (ceiling[..., None] - 0.1) * learnt - drift
    return scores.clip(0, 1)


def breaks(points: Mapping[str, Any], shift: float = 0.0) -> tuple[Array, Array]:
    """The epochs in which points diverge and collapse; infinite where they do not."""
    u, b = _edges(points)
    diverges = np.where(u + shift > 1, np.rint(10 * (2 - u - shift)).clip(1, EPOCHS), np.inf)
    collapses = np.where(b + shift < -1.5, np.rint(28 + 10 * (b + shift)).clip(2, EPOCHS), np.inf)
    return diverges, collapses


def curve(point: Mapping[str, Any], seed: int) -> Curve:
    """One trial: the same for the same point and seed, on every machine."""
    values = {name: float(point[name]) for name in SOURCE}
    digest = hashlib.sha256(json.dumps([seed, values], sort_keys=True).encode()).digest()
    normal = np.random.default_rng(np.frombuffer(digest, np.uint32)).standard_normal(EPOCHS + 2)
    scores = clean(values) + SEED_NOISE * normal[0] + EPOCH_NOISE * normal[2:]
    diverges, collapses = map(float, breaks(values, EDGE_NOISE * normal[1]))
    end = min(diverges, collapses)
    if end > EPOCHS:
        return Curve(tuple(scores.clip(0, 1).tolist()), OutcomeKind.COMPLETED)
    outcome = OutcomeKind.DIVERGED if diverges <= collapses else OutcomeKind.COLLAPSED
    return Curve(tuple(scores.clip(0, 1)[: int(end) - 1].tolist()), outcome)


def _edges(points: Mapping[str, Any]) -> tuple[Array, Array]:
    """u and b of the formula: what breaks above 1, and below -1.5."""
    g, d, b, w = _decades(points)
    return g + np.maximum(d - g, 0) / 2 + 0.25 * w, b


def _decades(points: Mapping[str, Any]) -> tuple[Array, Array, Array, Array]:
    """g, d, b and w of the formula."""
    g, d = (np.log10(np.asarray(points[name], float) / 2e-4) for name in ("lr_g", "lr_d"))
    c, w = (np.log10(np.asarray(points[f"lambda_{name}"], float)) for name in ("cycle", "gan"))
    return g, d, c - 1 - w, w
