"""One configuration of a search: what may change, and pruners that could never prune."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from core.params import load_task
from core.search import nni_trial
from core.search.config import SearchConfig, check_pruner, differences, refuse_changes
from core.task import UserError

TASK = load_task("cyclegan")
SPACE = {"lr_g": {"_type": "loguniform", "_value": [1e-5, 1e-3]}}


def config(**more: Any) -> SearchConfig:
    return SearchConfig("cyclegan", Path("runs"), "s", "sqlite:///x.db", SPACE, **more)


def test_it_travels_to_workers() -> None:
    sent = pickle.loads(pickle.dumps(config(fixed={"size": "64"})))
    assert sent == config(fixed={"size": "64"})


def test_what_is_proposed_depends_on_its_identity_and_on_no_flag_of_the_machine() -> None:
    small = config(fixed={"size": "64", "threads": "1", "device": "cpu"})
    same = config(fixed={"size": "064", "threads": "2"}, workers=3, trials=50)
    assert small.identity(TASK) == same.identity(TASK)
    assert small.identity(TASK)["fixed"] == {"size": 64}
    assert differences(small.identity(TASK), config(seed=1).identity(TASK)) == [
        "fixed was {'size': 64}, is now {}",
        "seed was 0, is now 1",
    ]


def test_a_study_of_an_earlier_version_may_lack_a_key() -> None:
    assert differences({"seed": 0}, {"seed": 0, "objectives": []}) == []
    refuse_changes("study", {}, {"seed": 3}, "no remedy needed")


def test_a_change_is_refused_with_what_changed_and_the_remedy() -> None:
    with pytest.raises(UserError, match=r"study 's' was set up otherwise \(seed was 0, is now 1\)"):
        refuse_changes("study 's'", {"seed": 0}, {"seed": 1}, "name a new one by --study")


def test_a_pruner_that_would_judge_no_epoch_is_refused_in_nni_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nni

    check_pruner("median:3", 4)
    for name, value in (("get_experiment_id", "e"), ("get_trial_id", "t"), ("get_sequence_id", 0)):
        monkeypatch.setattr(nni, name, lambda value=value: value)
    monkeypatch.setattr(nni, "get_next_parameter", lambda: {"lr_g": 1e-4})
    overrides = {"epochs": "3"}
    with pytest.raises(UserError, match="--pruner median:3: a trial has 3 epochs"):
        nni_trial.next_trial(TASK.params, overrides, tmp_path, TASK.objective, "median:3")
    trial = nni_trial.next_trial(TASK.params, overrides, tmp_path, TASK.objective, "median:2")
    assert (trial.params.epochs, trial.searched) == (3, {"lr_g": 1e-4})
