from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState

from core.search.samplers import make_pruner, make_sampler

optuna.logging.set_verbosity(optuna.logging.WARNING)


def study(pruner: str) -> optuna.Study:
    """Of a hill on a plane: four completed trials, then ten that are pruned half-way."""
    chosen = make_pruner(pruner, 9)
    made = optuna.create_study(direction="maximize", pruner=chosen, study_name="hill")
    for taken in range(14):
        made.sampler = make_sampler("gp", 0, taken)
        trial = made.ask()
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        height = 1 - (x - 0.4) ** 2 - (y - 0.6) ** 2
        if taken < 4:
            made.tell(trial, height)
        else:
            trial.report(height / 2, 1)
            made.tell(trial, state=TrialState.PRUNED)
    return made


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_gp_does_not_propose_again_what_was_pruned(pruner: str) -> None:
    pruned = study(pruner).get_trials(states=(TrialState.PRUNED,))
    spots = {(round(t.params["x"], 2), round(t.params["y"], 2)) for t in pruned}
    assert len(spots) == len(pruned) == 10


def test_a_trial_pruned_without_a_score_is_left_aside() -> None:
    made = study("median")
    made.tell(made.ask(), state=TrialState.PRUNED)
    made.sampler = make_sampler("gp", 0, 99)
    trial = made.ask()
    assert 0 <= trial.suggest_float("x", 0, 1) <= 1
    assert trial.relative_params, "the process was fitted"


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("sampler", ["gp", "cmaes"])
def test_a_baseline_outside_the_space_takes_no_parameter_from_the_model(
    sampler: str, pruned: bool
) -> None:
    made = optuna.create_study(direction="maximize")
    made.enqueue_trial({"x": 0.5}, {"kept": {"y": 7.0}})
    for taken in range(6):
        made.sampler = make_sampler(sampler, 0, taken)
        trial = made.ask()
        x = trial.suggest_float("x", 0, 1)
        y = trial.suggest_float("y", 0, 1) if taken else 7.0
        trial.report(x + y, 1)
        if pruned and (taken == 0 or sampler == "gp"):
            made.tell(trial, state=TrialState.PRUNED)
        else:
            made.tell(trial, x + y)
    made.sampler = make_sampler(sampler, 0, 6)
    trial = made.ask()
    assert 0 <= trial.suggest_float("x", 0, 1) <= 1
    assert 0 <= trial.suggest_float("y", 0, 1) <= 1
    assert set(trial.relative_params or {}) == {"x", "y"}
