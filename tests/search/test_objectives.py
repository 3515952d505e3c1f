"""A search for several parts of the score at once, in a real Optuna study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from optuna.study import StudyDirection

from core.record import Record
from core.search.config import choose_objectives
from core.search.study import OptunaTrial
from core.task import Objective, Outcome, OutcomeKind, Score, UserError
from tests.search.test_study import OBJECTIVE, search, trials

HEIGHT = Objective("up", "maximize", 0.0)
COST = Objective("cost", "minimize", 9.0)


@dataclass
class FakeEvaluator:
    """What `choose_objectives` looks at of an evaluator."""

    objectives: tuple[Objective, ...] = (OBJECTIVE, HEIGHT, COST)


def climb(trial: OptunaTrial, outcome: OutcomeKind = OutcomeKind.COMPLETED) -> None:
    x = trial.params.x  # type: ignore[attr-defined]
    score = Score(x * (1 - x), {"up": x, "cost": x * x})
    Record(trial.workdir).begin({"number": trial.number})
    assert not trial.report(1, score), "nothing is pruned"
    Record(trial.workdir).end(Outcome(outcome, "", score), 1.0)
    trial.finish(Outcome(outcome, "", score))


def both(runs: Path, **more: Any) -> Any:
    return search(runs, pruner="none", objectives=(HEIGHT, COST), **more)


def test_a_study_hears_of_both_and_of_the_worst_of_a_trial_that_went_wrong(tmp_path: Path) -> None:
    found = both(tmp_path)
    for trial in trials(found, 6):
        climb(trial, OutcomeKind.COLLAPSED if trial.number == 2 else OutcomeKind.COMPLETED)
    study = found.study
    assert study.directions == [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
    values = [trial.values for trial in study.get_trials()]
    assert values[2] == [HEIGHT.worst, COST.worst]
    for i, (up, cost) in enumerate(values):
        if i != 2:
            assert cost == pytest.approx(up * up)
    assert values[0] == [0.25, 0.0625], "the baseline comes first"
    assert len(study.best_trials) == 5, "each is a compromise of its own"


def test_a_study_goes_on_with_its_objectives_and_no_others(tmp_path: Path) -> None:
    for trial in trials(both(tmp_path), 2):
        climb(trial)
    again = both(tmp_path)
    for trial in trials(again, 3):
        assert trial.number == 2
        climb(trial)
    with pytest.raises(UserError, match=r"set up otherwise.*objectives was"):
        search(tmp_path, pruner="none")


def test_one_objective_is_what_a_study_had_before(tmp_path: Path) -> None:
    found = search(tmp_path)
    setup = dict(found.study.user_attrs["setup"])
    del setup["objectives"]  # as earlier versions wrote it
    found.study.set_user_attr("setup", setup)
    assert search(tmp_path).config.objectives == ()


@pytest.mark.parametrize(
    ("names", "sampler", "pruner", "says"),
    [
        (["up", "hue"], "tpe", "none", "has no 'hue' to search for; it has up, cost"),
        (["up", "height"], "tpe", "none", "has no 'height'"),
        (["up", "cost"], "gp", "none", "--sampler gp: knows one objective only"),
        (["up", "cost"], "tpe", "median", "--pruner median: knows one objective only"),
    ],
)
def test_a_mistake_is_one_clear_error(
    names: list[str], sampler: str, pruner: str, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        choose_objectives(FakeEvaluator(), names, sampler, pruner)  # type: ignore[arg-type]


def test_they_are_found_by_name() -> None:
    evaluator = FakeEvaluator()
    assert choose_objectives(evaluator, ["cost", "up"], "tpe", "none") == (COST, HEIGHT)  # type: ignore[arg-type]
    assert choose_objectives(evaluator, [], "gp", "median") == ()  # type: ignore[arg-type]
