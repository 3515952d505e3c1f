"""Gaussian processes that learn from pruned trials too.

Optuna's GPSampler sees completed trials alone. A point that is pruned teaches it nothing, so it
proposes that point again, until the search ends.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import GPSampler
from optuna.trial import FrozenTrial, TrialState

from core.search.constraints import KEY


class PruningAwareGP(GPSampler):
    """GPSampler to which a pruned trial is one that came to the last score it reported."""

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As in GPSampler."""
        seen = cast(Study, _PrunedAsCompleted(study))
        return super().sample_relative(seen, trial, dict(search_space))


class _PrunedAsCompleted:
    """A study, as this sampler is to see it."""

    def __init__(self, study: Study) -> None:
        self._study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(
        self, deepcopy: bool, states: tuple[TrialState, ...], use_cache: bool
    ) -> list[FrozenTrial]:
        wanted = (*states, TrialState.PRUNED)
        trials = self._study._get_trials(deepcopy, wanted, use_cache)
        seen = [_completed(t) for t in trials if t.state in states or t.values]
        return [_constrained(t) for t in seen] if any(t.constraints for t in seen) else seen


def _constrained(trial: FrozenTrial) -> FrozenTrial:
    """With the constraint that all others have; one that came from elsewhere has broken none."""
    if trial.constraints:
        return trial
    constrained = copy.copy(trial)
    constrained.system_attrs = dict(trial.system_attrs)
    constrained.set_constraint(KEY, 0.0)
    return constrained


def _completed(trial: FrozenTrial) -> FrozenTrial:
    if trial.state is not TrialState.PRUNED:
        return trial
    completed = copy.copy(trial)
    completed.state = TrialState.COMPLETE
    return completed
