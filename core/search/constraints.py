"""What a sampler is told of guards: one constraint of Optuna's, above 0 where any is broken.

TPE ranks whoever breaks a guard, diverges or collapses behind all that do not. The Gaussian
processes model how far guards are off; that a trial went wrong is no such distance, and as one it
misleads them (measured on imagined curves): they hear the worst score of it and no more. The other
samplers take no constraints. One number for all guards, so that every trial has the same.
"""

from __future__ import annotations

from optuna.trial import BaseTrial

from core.task import Outcome, OutcomeKind

KEY = "guards"
WRONG = (OutcomeKind.DIVERGED, OutcomeKind.COLLAPSED)
FAR = 1.0


def infeasibility(outcome: Outcome) -> float:
    """The sum of what guards are broken by; where none is, how near the nearest one is, at most 0.

    A trial that diverged or collapsed is 1 off.
    """
    if outcome.kind in WRONG:
        return FAR
    violations = outcome.score.violations.values() if outcome.score else ()
    return sum(v for v in violations if v > 0) or max(violations, default=0.0)


def constrain(trial: BaseTrial, sampler: str, outcome: Outcome) -> None:
    """Give the trial its constraint, where its study's sampler learns from it."""
    guarded = bool(outcome.score and outcome.score.violations) and outcome.kind not in WRONG
    if sampler == "tpe" or (sampler == "gp" and guarded):
        trial.set_constraint(KEY, infeasibility(outcome))
