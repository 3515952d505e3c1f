from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState
from pydantic import Field

from core.record import EpochLine, Record
from core.search.config import SearchConfig
from core.search.storage import default_storage
from core.search.study import OptunaTrial, Search, open_search
from core.task import Objective, Outcome, OutcomeKind, Params, Score, Task, UserError


class HillParams(Params):
    x: float = Field(0.25, ge=0, le=1)
    n: int = Field(3, ge=1, le=8)
    kind: str = "plain"
    outside: float = Field(0.0, ge=0, le=1)


OBJECTIVE = Objective("height", "maximize", 0.0)
SOURCE = {
    "x": {"_type": "uniform", "_value": [0.0, 1.0]},
    "n": {"_type": "quniform", "_value": [1, 8, 1]},
    "kind": {"_type": "choice", "_value": ["plain", "steep"]},
    "outside": {"_type": "loguniform", "_value": [0.1, 1.0]},
}


def hill() -> Task:
    def unused(*_: Any) -> Any:
        raise AssertionError("an engine neither loads nor trains")

    return Task("hill", "a hill", HillParams, unused, unused, unused, OBJECTIVE)


def search(runs: Path, **changes: Any) -> Search:
    how: dict[str, Any] = {"fixed": {"epochs": "2"}, "pruner": "median", "space": SOURCE, **changes}
    storage = how.pop("storage", None) or default_storage(runs)
    config = SearchConfig(task="hill", runs=runs, study="s", storage=storage, **how)
    return open_search(config, hill())


def trials(one: Search, total: int) -> Iterator[OptunaTrial]:
    """The trials of a study that is to have so many."""
    return replace(one, config=replace(one.config, trials=total)).trials()


def climb(trial: OptunaTrial, outcome: OutcomeKind = OutcomeKind.COMPLETED) -> float:
    """What a trial would do: a record, two epochs, an end."""
    height = 1 - abs(trial.params.x - 0.7) + 0.1 * (trial.params.kind == "steep")  # type: ignore[attr-defined]
    record = Record(trial.workdir)
    record.begin({"number": trial.number})
    for epoch in (1, 2):
        value = height * epoch / 2
        record.write_epochs([EpochLine(e, {}, Score(value), 1.0, 1.0) for e in range(1, epoch + 1)])
        if trial.report(epoch, Score(value)) and epoch < 2:
            outcome = OutcomeKind.PRUNED
            break
    outcome = Outcome(outcome, "", Score(value))
    record.end(outcome, 1.0)
    trial.finish(outcome)
    return float(value)


def proposals(one: Search, total: int) -> list[dict[str, Any]]:
    seen = []
    for trial in trials(one, total):
        seen.append({"number": trial.number, **trial.searched})
        climb(trial)
    return seen


def test_trial_0_is_the_baseline_even_where_the_space_leaves_it_out(tmp_path: Path) -> None:
    one = search(tmp_path)
    first = next(trials(one, 1))
    assert first.searched == {"x": 0.25, "n": 3.0, "kind": "plain", "outside": 0.0}
    assert first.params.epochs == 2
    assert "outside" not in one.study.trials[0].params, (
        "the sampler never sees a value out of range"
    )


def test_the_same_seed_proposes_the_same_and_another_seed_others(tmp_path: Path) -> None:
    first = proposals(search(tmp_path / "a"), 9)
    assert proposals(search(tmp_path / "b"), 9) == first
    assert proposals(search(tmp_path / "c", seed=1), 9) != first
    assert len({p["x"] for p in first}) == 9


def test_a_search_in_two_runs_proposes_what_one_run_does(tmp_path: Path) -> None:
    whole = proposals(search(tmp_path / "a"), 8)
    assert proposals(search(tmp_path / "b"), 5) + proposals(search(tmp_path / "b"), 8) == whole
    assert proposals(search(tmp_path / "b"), 8) == [], "the total counts what is there"


def test_values_keep_nnis_meaning_and_are_shown_as_they_were(tmp_path: Path) -> None:
    one = search(tmp_path)
    seen = proposals(one, 6)
    assert all(p["n"] in range(1, 9) for p in seen)
    shown = [t.user_attrs["values"]["n"] for t in one.study.trials]
    assert shown == [p["n"] for p in seen]


def test_every_outcome_reaches_the_study_in_the_form_that_teaches_most(tmp_path: Path) -> None:
    one = search(tmp_path, pruner="none")
    told = [OutcomeKind.COMPLETED, OutcomeKind.DIVERGED, OutcomeKind.COLLAPSED, OutcomeKind.FAILED,
            OutcomeKind.OUT_OF_MEMORY, OutcomeKind.PRUNED]  # fmt: skip
    for trial, outcome in zip(trials(one, 6), told, strict=True):
        climb(trial, outcome)
    states = [(t.state, t.value) for t in one.study.trials]
    assert states[0][0] is TrialState.COMPLETE
    assert states[1:3] == [(TrialState.COMPLETE, 0.0)] * 2, "the worst value, never NaN"
    assert [s for s, _ in states[3:]] == [TrialState.FAIL, TrialState.FAIL, TrialState.PRUNED]
    assert [t.user_attrs["outcome"] for t in one.study.trials] == [str(o) for o in told]
    assert next(trials(one, 6), None) is None


def test_a_hopeless_trial_is_pruned(tmp_path: Path) -> None:
    source = {"x": {"_type": "choice", "_value": [0.7, 0.25, 0.0]}}
    one = search(tmp_path, space=source, sampler="random")
    outcomes = [climb(trial) for trial in trials(one, 14)]
    pruned = [t for t in one.study.trials if t.state is TrialState.PRUNED]
    assert pruned
    assert all(t.params["x"] != 0.7 for t in pruned)
    assert len(outcomes) == 14


def test_an_interrupted_trial_comes_back_in_its_own_folder(tmp_path: Path) -> None:
    one = search(tmp_path)
    whole = proposals(search(tmp_path / "whole"), 4)
    four = trials(one, 4)
    climb(next(four))
    cut = next(four)
    record = Record(cut.workdir)
    record.begin({"number": cut.number})
    record.write_epochs([EpochLine(1, {}, Score(0.3), 1.0, 1.0)])
    cut.finish(Outcome(OutcomeKind.INTERRUPTED, "stopped by SIGINT"))
    later = search(tmp_path)
    back = next(trials(later, 4))
    assert (back.number, back.workdir, back.searched) == (cut.number, cut.workdir, cut.searched)
    assert back.params == cut.params
    assert later.study.trials[2].intermediate_values == {1: 0.3}, "the pruner knows its past"
    climb(back)
    rest = proposals(later, 4)
    assert [p["number"] for p in rest] == [2, 3]
    assert [p["x"] for p in rest] == [p["x"] for p in whole[2:]], "as if nothing had been"


HOLD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_study import search
from core.record import Record
trial = next(search(Path(sys.argv[1])).trials())
record = Record(trial.workdir)
with record.running():
    record.begin({"number": trial.number})
    print("training", flush=True)
    time.sleep(60)
"""


def test_a_trial_whose_process_was_killed_is_done_again(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "training\n"
        running = search(tmp_path)
        running.take_up()
        assert [t.state for t in running.study.trials] == [TrialState.RUNNING], (
            "it is still at work"
        )
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    deadline = time.monotonic() + 5
    while Record(tmp_path / "s" / "0000").is_running() and time.monotonic() < deadline:
        time.sleep(0.05)
    numbers = [p["number"] for p in proposals(search(tmp_path), 3)]
    found = search(tmp_path).study.trials
    assert numbers[0] == 0, "the baseline again, in its own folder"
    assert sum(t.state is TrialState.COMPLETE for t in found) == 3
    assert not any(t.state is TrialState.RUNNING for t in found)
    assert found[0].user_attrs["reason"] == "its process was killed"


def test_a_trial_killed_after_its_record_was_complete_keeps_its_score(tmp_path: Path) -> None:
    one = search(tmp_path)
    trial = next(trials(one, 2))
    record = Record(trial.workdir)
    record.begin({"number": 0})
    record.end(Outcome(OutcomeKind.COMPLETED, "", Score(0.8)), 1.0)
    proposals(search(tmp_path), 2)
    assert one.study.trials[0].value == 0.8
    assert len(one.study.trials) == 2


@pytest.mark.parametrize("pruner", ["median", "median:3"])
def test_a_pruner_judges_from_the_epoch_on_that_it_is_told(tmp_path: Path, pruner: str) -> None:
    one = search(tmp_path, pruner=pruner, fixed={"epochs": "8"}, sampler="random")
    judged: list[int] = []
    for trial in trials(one, 40):
        record = Record(trial.workdir)
        record.begin({"number": trial.number})
        for epoch in range(1, 9):
            if trial.report(epoch, Score(-float(trial.number))):
                judged.append(epoch)
                break
        outcome = Outcome(
            OutcomeKind.PRUNED if epoch < 8 else OutcomeKind.COMPLETED, "", Score(0.0)
        )
        record.end(outcome, 1.0)
        trial.finish(outcome)
    usual = {"median": 2}
    assert min(judged) == usual.get(pruner, 3)


def test_a_pruner_that_would_judge_nothing_is_refused(tmp_path: Path) -> None:
    for name in ("median:2", "hyperband"):
        with pytest.raises(UserError, match=rf"--pruner {name}: a trial has 2 epochs \(--epochs"):
            search(tmp_path, pruner=name)
    searched = {**SOURCE, "epochs": {"_type": "randint", "_value": [1, 9]}}
    search(tmp_path, pruner="median:3", space=searched, fixed={})


OTHERWISE = [{"seed": 3}, {"sampler": "random"}, {"fixed": {"epochs": "5"}}, {"pruner": "none"}]


@pytest.mark.parametrize("change", OTHERWISE, ids=str)
def test_a_study_set_up_otherwise_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    climb(next(trials(search(tmp_path), 1)))
    (key,) = change
    with pytest.raises(UserError, match=f"set up otherwise \\({key} was .*--study"):
        search(tmp_path, **change)


def test_the_machine_may_change_between_runs(tmp_path: Path) -> None:
    search(tmp_path)
    search(tmp_path, fixed={"epochs": "02", "threads": "1", "device": "cpu"})


def test_a_file_that_cannot_be_written_names_reason_and_remedy(tmp_path: Path) -> None:
    (tmp_path / "ro.db").touch()
    url = f"sqlite:///file:{tmp_path}/ro.db?mode=ro&uri=true"
    with pytest.raises(UserError, match=r"readonly database\); see .* or name another --storage"):
        search(tmp_path, storage=url)


@pytest.mark.parametrize(
    "storage", ["sqlite:////no/such/folder/x.db", "nonsense", "postgresql+nodriver://h/db"]
)
def test_a_storage_out_of_reach_is_one_clear_error(tmp_path: Path, storage: str) -> None:
    with pytest.raises(UserError, match=r"--storage .*: cannot open it"):
        search(tmp_path, storage=storage)


def test_a_trial_at_work_on_another_machine_is_left_alone(tmp_path: Path) -> None:
    one = search(tmp_path)
    trial = next(trials(one, 2))
    trial.trial.set_user_attr("runs", "elsewhere:/runs/s")
    other = search(tmp_path)
    other.take_up()
    assert [t.state for t in other.study.trials] == [TrialState.RUNNING]


def test_a_trial_that_ends_while_stale_ones_are_looked_for_stays_as_it_ended(
    tmp_path: Path,
) -> None:
    one = search(tmp_path)
    generator = trials(one, 1)
    trial = next(generator)
    running = one.own(TrialState.RUNNING)
    climb(trial)
    assert not list(generator)
    with one.locked():
        one.recovery.fail_stale_trials(running, one.close)
    assert [t.state for t in one.study.trials] == [TrialState.COMPLETE]


def test_a_password_is_not_told(tmp_path: Path) -> None:
    url = "postgresql+nodriver://me:SECRET@h/db"
    with pytest.raises(UserError, match=r"me:\*\*\*@h") as caught:
        search(tmp_path, storage=url)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_the_sampler_keeps_away_from_broken_guards(tmp_path: Path, sampler: str) -> None:
    """The higher x the better the score, and above 0.5 it breaks a guard."""
    source = {"x": {"_type": "uniform", "_value": [0.0, 1.0]}}
    one = search(tmp_path, space=source, sampler=sampler, pruner="none")
    tried = []
    for trial in trials(one, 25):
        x = trial.params.x  # type: ignore[attr-defined]
        outcome = OutcomeKind.DIVERGED if x > 0.95 else OutcomeKind.COMPLETED
        trial.finish(Outcome(outcome, "", Score(x, {}, {"copying": x - 0.5})))
        tried.append(x)
    late = tried[10:]
    assert sum(x <= 0.55 for x in late) > len(late) / 2
    assert any(0.4 < x <= 0.55 for x in late), "as high as the guard lets it"
    constraints = [t.constraints.get("guards") for t in one.study.trials]
    wrong = 1.0 if sampler == "tpe" else None
    assert constraints == [wrong if x > 0.95 else pytest.approx(x - 0.5) for x in tried]


def test_samplers_that_take_no_constraints_get_none(tmp_path: Path) -> None:
    one = search(tmp_path, sampler="cmaes")
    climb(next(trials(one, 1)))
    assert one.study.trials[0].constraints == {}


def test_gp_goes_on_with_a_study_from_before_constraints(tmp_path: Path) -> None:
    one = search(tmp_path, sampler="gp")
    for trial in trials(one, 6):
        trial.finish(
            Outcome(OutcomeKind.COMPLETED, "", Score(trial.params.x, {}, {"copying": -0.1}))
        )  # type: ignore[attr-defined]
    for old in one.study.trials[:3]:
        with one.storage.engine.begin() as database:
            told = "DELETE FROM trial_system_attributes WHERE trial_id = :id AND key LIKE 'constr%'"
            database.execute(sqlalchemy.text(told), {"id": old._trial_id})
    again = search(tmp_path, sampler="gp")
    assert [len(t.constraints) for t in again.study.trials] == [0, 0, 0, 1, 1, 1]
    proposals(again, 8)
    assert len(again.study.trials) == 8


def test_pictures_reach_the_dashboards_artifact_store(tmp_path: Path) -> None:
    one = search(tmp_path)
    trial = next(trials(one, 1))
    pictures = Record(trial.workdir).pictures
    pictures.mkdir(parents=True)
    (pictures / "output.png").write_bytes(b"\x89PNG")
    climb(trial)
    artifacts = optuna.artifacts.get_all_artifact_meta(
        one.study.trials[0], storage=one.study._storage
    )
    assert [a.filename for a in artifacts] == ["output.png"]
    assert (tmp_path / "artifacts" / artifacts[0].artifact_id).read_bytes() == b"\x89PNG"
