"""Broken guards as one constraint of Optuna's, above 0 where any is broken.

TPE ranks a trial that breaks a guard, diverges or collapses behind all others. The Gaussian
processes model how far guards are off; that a trial went wrong is no such distance and would
mislead them (measured on synthetic curves): they get its worst score and no more. The other
samplers take no constraints. One number for all guards, so that every trial has the same.
"""

from __future__ import annotations

from optuna.trial import BaseTrial

from core.task import Outcome, OutcomeKind

KEY = "guards"
WRONG = (OutcomeKind.DIVERGED, OutcomeKind.COLLAPSED)
FAR = 1.0


def infeasibility(outcome: Outcome) -> float:
    """The sum of the broken guards' violations; where none is broken, the nearest one's, <= 0.

    A trial that diverged or collapsed is 1 off.
    """
    if outcome.kind in WRONG:
        return FAR
    violations = outcome.score.violations.values() if outcome.score else ()
    return sum(v for v in violations if v > 0) or max(violations, default=0.0)


def constrain(trial: BaseTrial, sampler: str, outcome: Outcome) -> None:
    """Set the trial's constraint, where its study's sampler learns from it."""
    guarded = bool(outcome.score and outcome.score.violations) and outcome.kind not in WRONG
    if sampler == "tpe" or (sampler == "gp" and guarded):
        trial.set_constraint(KEY, infeasibility(outcome))
