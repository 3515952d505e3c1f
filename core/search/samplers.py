"""Optuna's samplers and pruners by name, seeded so that a search in two runs proposes as in one.

The sampler's seed is derived from the study's seed and the number of trials so far: a sampler with
a fixed seed would propose its first points again whenever the study is taken up.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from optuna import pruners, samplers
from optuna.exceptions import ExperimentalWarning

from core.search.gp import PruningAwareGP
from core.search.pruners import parse_pruner

STARTUP = 4


def make_pruner(name: str, epochs: int) -> pruners.BasePruner:
    """The pruner of this name for trials of so many epochs.

    Left to itself the median pruner leaves a quarter of them alone, Hyperband's first rung is 1.
    """
    kind, first = parse_pruner(name)
    if kind == "median":
        return pruners.MedianPruner(STARTUP, n_warmup_steps=first or epochs // 4)
    if kind == "hyperband":
        return pruners.HyperbandPruner(min(first or 1, epochs), epochs)
    return pruners.NopPruner()


def make_sampler(
    name: str, seed: int, taken: int, conditional: bool = False, together: bool = False
) -> samplers.BaseSampler:
    """The sampler for the next trial of a study that has taken `taken` of them so far.

    `conditional`: the space has parameters that not every trial has. `together`: other trials are
    running, so TPE keeps away from them (constant liar).
    """
    derived = int(np.random.SeedSequence([seed, taken]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return SAMPLERS[name](seed, derived, conditional, together)


def _tpe(seed: int, derived: int, conditional: bool, together: bool) -> samplers.BaseSampler:
    grouped: dict[str, Any] = {"multivariate": True, "group": True} if conditional else {}
    return samplers.TPESampler(
        n_startup_trials=STARTUP, seed=derived, constant_liar=together, **grouped
    )


SAMPLERS: dict[str, Callable[[int, int, bool, bool], samplers.BaseSampler]] = {
    "tpe": _tpe,
    "random": lambda seed, derived, *_: samplers.RandomSampler(derived),
    "gp": lambda seed, derived, *_: PruningAwareGP(seed=derived, n_startup_trials=STARTUP),
    "cmaes": lambda seed, derived, *_: samplers.CmaEsSampler(
        seed=derived, n_startup_trials=STARTUP, warn_independent_sampling=False
    ),
    # one scrambled sequence for the whole study: its place in it is kept in the storage
    "qmc": lambda seed, *_: samplers.QMCSampler(
        scramble=True, seed=seed, warn_independent_sampling=False
    ),
}
