"""Optuna's samplers and pruners by name, and the constraint that broken guards are to samplers.

A sampler's seed is derived from the study's seed and the number of trials so far: one with a fixed
seed would propose its first points again whenever the study is resumed.

Broken guards are one constraint, above 0 where any is broken; one number for all guards, so that
every trial has the same. TPE ranks a trial that breaks a guard, diverges or collapses behind all
others. The Gaussian processes model how far guards are off; that a trial went wrong is no such
distance and would mislead them (measured on synthetic curves): they get its worst score and no
more. The other samplers take no constraints.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from optuna import Study, pruners, samplers
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import BaseTrial, FrozenTrial, TrialState

from core.search.attributes import KEPT, latest
from core.search.config import parse_pruner
from core.search.space import Space
from core.task import Outcome, OutcomeKind

STARTUP = 4
GUARDS, FAR = "guards", 1.0  # the constraint's name, and its value for a trial that went wrong
WRONG = (OutcomeKind.DIVERGED, OutcomeKind.COLLAPSED)


def make_pruner(name: str, epochs: int) -> pruners.BasePruner:
    """Optuna's pruner; by default `median` waits for a quarter of the epochs. Rungs need none."""
    kind, first = parse_pruner(name)
    if kind == "median":
        return pruners.MedianPruner(STARTUP, n_warmup_steps=first or epochs // 4)
    return pruners.NopPruner()


def infeasibility(outcome: Outcome) -> float:
    """The sum of the broken guards' violations; where none is broken, the nearest one's, <= 0."""
    if outcome.kind in WRONG:
        return FAR
    violations = outcome.score.violations.values() if outcome.score else ()
    return sum(v for v in violations if v > 0) or max(violations, default=0.0)


def constrain(trial: BaseTrial, sampler: str, outcome: Outcome) -> None:
    """Set the trial's constraint, where its study's sampler learns from it."""
    guarded = bool(outcome.score and outcome.score.violations) and outcome.kind not in WRONG
    if sampler == "tpe" or (sampler == "gp" and guarded):
        trial.set_constraint(GUARDS, infeasibility(outcome))


def make_sampler(
    name: str, seed: int, taken: int, conditional: bool = False, together: bool = False
) -> samplers.BaseSampler:
    """The sampler for the next trial of a study that has `taken` trials so far.

    `conditional`: the space has parameters that not every trial has. `together`: other trials are
    running, so TPE keeps away from them (constant liar).
    """
    derived = int(np.random.SeedSequence([seed, taken]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return SAMPLERS[name](seed, derived, conditional, together)


def _tpe(seed: int, derived: int, conditional: bool, together: bool) -> samplers.BaseSampler:
    grouped: dict[str, Any] = {"multivariate": True, "group": True} if conditional else {}
    return RungAwareTPE(n_startup_trials=STARTUP, seed=derived, constant_liar=together, **grouped)


class Grid(samplers.GridSampler):
    """Every point of a space of choices, each once, in an order that depends on the seed alone."""

    def __init__(self, space: Space, seed: int) -> None:
        latents: dict[str, list[Any]] = {}
        for dimension in space.dimensions:
            distribution = dimension.distribution
            assert isinstance(distribution, CategoricalDistribution)
            latents[dimension.name] = list(distribution.choices)
        super().__init__(latents, seed)

    def after_trial(self, *_: Any) -> None:
        """Nothing: the search ends by its count, and `Study.stop` works in `optimize` alone."""


class RungAwareTPE(samplers.TPESampler):
    """TPESampler for which the rungs of a trial are one trial: the latest one."""

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As in TPESampler."""
        return super().sample_relative(cast(Study, _Latest(study)), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> Any:
        """As in TPESampler."""
        return super().sample_independent(cast(Study, _Latest(study)), trial, name, distribution)


class PruningAwareGP(samplers.GPSampler):
    """GPSampler for which a pruned trial counts as one that ended with its last score.

    Optuna's sees completed trials alone. A point that is pruned teaches it nothing, so it proposes
    that point again, until the search ends. A trial outside of the space, such as a baseline, has
    no place among its points: it would take the parameter that lies outside from the model.
    """

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """As in GPSampler."""
        view = cast(Study, _PrunedAsCompleted(study))
        return super().infer_relative_search_space(view, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As in GPSampler."""
        view = cast(Study, _PrunedAsCompleted(study))
        return super().sample_relative(view, trial, dict(search_space))


class _Latest:
    """A study as RungAwareTPE sees it."""

    def __init__(self, study: Study) -> None:
        self._study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(
        self, deepcopy: bool, states: tuple[TrialState, ...] | None, use_cache: bool
    ) -> list[FrozenTrial]:
        found = latest(self._study._get_trials(deepcopy, None, use_cache))
        return [trial for trial in found if states is None or trial.state in states]


class InsideCmaEs(samplers.CmaEsSampler):
    """CmaEsSampler that searches every parameter, also one that lies outside in the baseline."""

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """As in CmaEsSampler."""
        return super().infer_relative_search_space(cast(Study, _Inside(study)), trial)


class _Inside(_Latest):
    """A study's trials inside of its search space."""

    def _get_trials(
        self, deepcopy: bool, states: tuple[TrialState, ...] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        found = super()._get_trials(deepcopy, states, use_cache)
        return [trial for trial in found if not trial.user_attrs.get(KEPT)]


class _PrunedAsCompleted(_Inside):
    """A study as PruningAwareGP sees it."""

    def _get_trials(
        self, deepcopy: bool, states: tuple[TrialState, ...] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        wanted = None if states is None else (*states, TrialState.PRUNED)
        trials = super()._get_trials(deepcopy, wanted, use_cache)
        scored = [copy.copy(t) for t in trials if t.state is not TrialState.PRUNED or t.values]
        guarded = any(t.constraints for t in scored)
        for trial in scored:
            if trial.state is TrialState.PRUNED:
                trial.state = TrialState.COMPLETE
            if guarded and not trial.constraints:  # a trial from elsewhere breaks no guard
                trial.system_attrs = dict(trial.system_attrs)
                trial.set_constraint(GUARDS, 0.0)
        return scored


SAMPLERS: dict[str, Callable[[int, int, bool, bool], samplers.BaseSampler]] = {
    "tpe": _tpe,
    "random": lambda seed, derived, *_: samplers.RandomSampler(derived),
    "queue": lambda seed, derived, *_: samplers.RandomSampler(derived),  # is never asked
    "gp": lambda seed, derived, *_: PruningAwareGP(
        seed=derived, n_startup_trials=STARTUP, warn_independent_sampling=False
    ),
    "cmaes": lambda seed, derived, *_: InsideCmaEs(
        seed=derived, n_startup_trials=STARTUP, warn_independent_sampling=False
    ),
    # one scrambled sequence for the whole study: its place in it is kept in the storage
    "qmc": lambda seed, *_: samplers.QMCSampler(
        scramble=True, seed=seed, warn_independent_sampling=False
    ),
}
