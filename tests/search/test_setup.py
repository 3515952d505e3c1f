"""When a study's setup is final, and what of its data belongs to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import Field

from core.search.config import SearchConfig
from core.search.setup import refuse_other_data
from core.search.study import Search, open_search
from core.task import Outcome, OutcomeKind, Score, UserError
from core.training.provenance import scored_by
from tests.search import hill


class DataParams(hill.HillParams):
    data: str = Field("sample")


TASK = replace(
    hill.TASK,
    params=DataParams,
    load=lambda p: SimpleNamespace(fingerprint=Path(p.data).read_text("utf-8"), notes=()),
)
SPACE = {"x": hill.SPACE["x"]}
PARTS = (replace(hill.FakeEvaluator.objectives[0], name="a"),) * 2


def search(runs: Path, **changes: Any) -> Search:
    return open_search(SearchConfig("hill", runs, "s", **{"space": SPACE, **changes}), TASK)


def take(found: Search) -> None:
    """One more trial of the study, from its beginning to its end."""
    trial = next(replace(found, config=replace(found.config, trials=99)).trials())
    trial.finish(Outcome(OutcomeKind.COMPLETED, "", Score(0.5)))


@pytest.mark.parametrize(
    "change",
    [
        {"fixed": {"rate": "0.5"}},
        {"space": {"n": hill.SPACE["n"]}},
        {"objectives": PARTS, "sampler": "random"},
        {"prepared": {"data_fingerprint": "b", "evaluator_weights": "c"}},
    ],
    ids=str,
)
def test_a_study_without_a_trial_may_be_set_up_otherwise(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    search(tmp_path, prepared={"data_fingerprint": "a"}).take_up()  # the baseline waits
    found = search(tmp_path, **change)
    assert len(found.study.directions) == len(change.get("objectives", "1"))
    trial = next(found.trials())
    assert trial.number == 0
    assert set(trial.searched) == set(found.config.space)
    assert all(value == getattr(DataParams(), name) for name, value in trial.searched.items())
    assert found.study.user_attrs["setup"] == found.config.identity(TASK)
    search(tmp_path, **change)
    with pytest.raises(UserError, match="was set up otherwise"):
        search(tmp_path, seed=1)


def test_other_data_and_another_evaluator_are_another_study(tmp_path: Path) -> None:
    known = {"data_fingerprint": "a", "evaluator": "painting", "evaluator_weights": "lite0"}
    take(search(tmp_path, prepared=known))
    search(tmp_path)  # before anything is prepared
    take(search(tmp_path, prepared=known))
    for name in known:
        message = f"study 's' was set up otherwise .{name} was {known[name]}, is now other.; name a"
        with pytest.raises(UserError, match=message):
            search(tmp_path, prepared={**known, name: "other"})


def test_equal_data_may_lie_in_another_folder(tmp_path: Path) -> None:
    one, other = ({"fixed": {"data": folder}} for folder in ("/here/d", "/elsewhere/d"))
    known = {"prepared": {"data_fingerprint": "a"}}
    take(search(tmp_path, **one, **known))
    take(search(tmp_path, **other))  # not prepared yet
    take(search(tmp_path, **other, **known))
    with pytest.raises(UserError, match="data_fingerprint was a"):
        search(tmp_path, **one, prepared={"data_fingerprint": "b"})
    with pytest.raises(UserError, match="fixed was"):
        search(tmp_path, fixed={**other["fixed"], "rate": "0.5"}, **known)


def test_a_study_of_an_earlier_version_goes_on_and_keeps_its_data_from_then_on(
    tmp_path: Path,
) -> None:
    take(search(tmp_path, fixed={"data": "/here"}))
    with pytest.raises(UserError, match="fixed was"):
        search(tmp_path, fixed={"data": "/elsewhere"}, prepared={"data_fingerprint": "a"})
    search(tmp_path, fixed={"data": "/here"}, prepared={"data_fingerprint": "a"})
    with pytest.raises(UserError, match="data_fingerprint was a, is now b"):
        search(tmp_path, fixed={"data": "/here"}, prepared={"data_fingerprint": "b"})


def test_data_that_changes_while_a_search_runs_is_noticed_by_its_workers(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a")
    config = SearchConfig("hill", tmp_path, "s", space=SPACE, fixed={"data": f"{tmp_path}/data"})
    config = replace(config, prepared={"data_fingerprint": "a"})
    refuse_other_data(config, TASK)
    (tmp_path / "data").write_text("b")
    with pytest.raises(UserError, match="data_fingerprint was a, is now b"):
        refuse_other_data(config, TASK)


def test_names_and_hashes_tell_evaluators_apart_and_measurements_do_not() -> None:
    facts = {"evaluator": "painting", "data": "f", "weights": "lite0", "accuracy": 0.9, "exam": {}}
    found = {"evaluator": "painting", "evaluator_weights": "lite0"}
    assert scored_by("f", facts) == {"data_fingerprint": "f", **found}
