"""Which searched parameters moved the score, by Optuna's PED-ANOVA over the completed trials."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.report.rows import Row, mapping
from core.report.summary import Summary
from core.report.wording import count

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from core.search.distributions import Dimension

ENOUGH, FEW = 4, 50
WIDE = 50


@dataclass(frozen=True)
class Importance:
    """Shares that add up to 1, the largest first; where there are none, `missing` says why."""

    shares: dict[str, float] = field(default_factory=dict)
    trials: int = 0
    inferred: tuple[str, ...] = ()
    missing: str = ""

    @property
    def top(self) -> int:
        """How many trials PED-ANOVA sets apart as the best: a tenth, at least two."""
        return max(2, math.ceil(self.trials / 10))

    @property
    def few(self) -> bool:
        """Whether that is too little for more than a hint."""
        return self.trials < FEW


def importance(summary: Summary) -> Importance:
    """Assess the searched parameters."""
    rows = summary.candidates
    scores = {row.score for row in rows}
    if len(rows) < ENOUGH or len(scores) < 2:
        here = f"{count(len(rows), 'trial')} with {count(len(scores), 'score')}"
        return Importance(
            missing=f"It takes {ENOUGH} completed trials with different scores; there are {here}."
        )
    axes, inferred = {}, []
    for name in summary.searched:
        axis = _declared(name, summary.space.get(name))
        if axis is None and (axis := _inferred(name, [row.params.get(name) for row in rows])):
            inferred.append(name)
        if axis:
            axes[name] = axis
    used = [t for row in rows if (t := _trial(row, axes))]
    if not axes or len(used) < ENOUGH or len({trial.value for trial in used}) < 2:
        return Importance(missing="Too few trials lie inside the search space.")
    shares = _assess(used, summary.maximize)
    if not shares:
        return Importance(missing="No parameter stands out in these trials.")
    return Importance(shares, len(used), tuple(inferred))


def _declared(name: str, spec: Any) -> Dimension | None:
    """The dimension a search space declares; None where it declares none that can be used."""
    from core.search.distributions import NAME, Dimension

    try:
        args = (mapping(a).get(NAME, a) for a in spec["_value"])  # a nested choice is its names
        dimension = Dimension(name, spec["_type"], tuple(args))
        return dimension if dimension.distribution else None
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def _inferred(name: str, values: Sequence[Any]) -> Dimension | None:
    """A dimension from the values that were tried; None where they are all the same."""
    from core.search.distributions import Dimension

    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        low, high = float(min(values)), float(max(values))
        kind = "loguniform" if low > 0 and high / low > WIDE else "uniform"
        return Dimension(name, kind, (low, high)) if low < high else None
    seen = {json.dumps(v, sort_keys=True, default=str): v for v in values}
    return Dimension(name, "choice", tuple(seen.values())) if len(seen) > 1 else None


def _trial(row: Row, axes: dict[str, Dimension]) -> FrozenTrial | None:
    """The row as Optuna's trial; None where a value lies outside the space."""
    from optuna.trial import create_trial

    try:
        latents = {name: axis.latent(row.params[name]) for name, axis in axes.items()}
        distributions = {name: axis.distribution for name, axis in axes.items()}
        return create_trial(params=latents, distributions=distributions, value=row.score)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _assess(trials: list[FrozenTrial], maximize: bool) -> dict[str, float]:
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = optuna.create_study(direction="maximize" if maximize else "minimize")
            study.add_trials(trials)
            raw = optuna.importance.PedAnovaImportanceEvaluator().evaluate(study)
    finally:
        optuna.logging.set_verbosity(before)
    total = sum(raw.values())
    if not math.isfinite(total) or total <= 0:
        return {}
    shares = {name: value / total for name, value in raw.items()}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))
