"""The tuner, driven as NNI's dispatcher drives it; `test_nni_optuna.py` has the real one."""

from __future__ import annotations

import json
import math
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nni
import pytest
from optuna.trial import FrozenTrial, TrialState

import trials
from core.record import EpochLine, Record
from core.search import nni_tuner, samplers
from core.search.nni_trial import PRUNED_AFTER, TRIAL, NniTrial, next_trial, tag_of
from core.search.nni_tuner import OptunaTuner
from core.search.space import flatten
from core.task import Outcome, OutcomeKind, Score, UserError
from tests.search import hill
from tests.search.conftest import proposed_by_optuna


@pytest.fixture(autouse=True)
def dispatcher(tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What NNI tells its dispatcher of an experiment called exp; `trials.hill` is there."""
    folder = tmp_path / "exp" / "checkpoint"
    folder.mkdir(parents=True)
    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", str(folder))
    monkeypatch.delenv("NNI_TUNER_COMMAND_CHANNEL", raising=False)
    monkeypatch.setitem(sys.modules, "trials.hill", hill)
    trials.__path__.append(str(checkout / "trials"))
    yield
    trials.__path__.remove(str(checkout / "trials"))


def tuner(space: Any = hill.SPACE, **arguments: Any) -> OptunaTuner:
    made = OptunaTuner(**{"task": "hill", "seed": 3, **arguments})
    made.update_search_space(space)
    return made


def states(of: OptunaTuner) -> list[tuple[TrialState, float | None]]:
    return [(t.state, t.value) for t in told(of)]


def told(of: OptunaTuner) -> list[FrozenTrial]:
    return of.study.search.own()


def point(parameters: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in flatten(parameters).items() if k != TRIAL}


def run(of: OptunaTuner, parameter_id: int) -> dict[str, Any]:
    """One trial from its proposal to its end, as the quick one of `tests.search.hill`."""
    parameters = of.generate_parameters(parameter_id)
    values = point(parameters)
    if hill.fails(values):
        of.trial_end(parameter_id, False)
    else:
        of.receive_trial_result(parameter_id, parameters, {"default": -hill.loss(values)})
        of.trial_end(parameter_id, True)
    return values


@pytest.mark.parametrize("sampler", nni_tuner.SAMPLERS)
def test_it_proposes_what_optuna_alone_does(tmp_path: Path, sampler: str) -> None:
    wanted = proposed_by_optuna(tmp_path, sampler, 3, 9)
    assert wanted[0] == {"x": 0.25, "rate": 0.01, "n": 3.0, "spread": 0.0, "kind": "plain"}
    one = tuner(sampler=sampler)
    assert [run(one, i) for i in range(9)] == wanted


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"task": "hills"}, "no task 'hills'; there are: .*hill"),
        ({"sampler": "tpee"}, "no sampler 'tpee'; there are: tpe, "),
        ({"seed": -1}, "-1 is refused"),
        ({"seed": True}, "True is refused"),
    ],
)
def test_bad_arguments_are_refused_at_once(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        OptunaTuner(**{"task": "hill", **arguments})


def test_a_resumed_experiment_goes_on(tmp_path: Path) -> None:
    """Ids begin anew, and NNI replays what has finished."""
    wanted = proposed_by_optuna(tmp_path, "tpe", 3, 12)
    first = tuner()
    seen = [run(first, i) for i in range(7)]
    replay = [
        {"parameter": dict(values), "value": json.dumps({"default": -hill.loss(values)})}
        for values in json.loads(json.dumps(seen))
        if not hill.fails(values)
    ]
    again = tuner()
    again.import_data([{**e, "value": nni.load(e["value"])} for e in replay])
    assert len(told(again)) == 7
    assert seen + [run(again, i) for i in range(1, 6)] == wanted
    assert [t.user_attrs["number"] for t in told(again)] == list(range(12))


def test_several_trials_at_once_end_in_any_order() -> None:
    one = tuner()
    asked = [one.generate_parameters(i) for i in range(5)]
    assert len({json.dumps(point(p)) for p in asked}) == 5
    for i in (3, 0, 4, 1, 2):
        one.receive_trial_result(i, asked[i], -float(i))
    assert [value for _, value in states(one)] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_metrics_that_nobody_can_use_kill_nothing() -> None:
    one = tuner()
    first = one.generate_parameters(0)
    one.receive_trial_result(0, first, {"default": -2.0, "extra": math.inf})
    for odd in (-7.0, {"default": -7.0}, "text", None, {"other": 1}, math.nan):
        one.receive_trial_result(0, first, odd)  # a second time
        one.receive_trial_result(99, {"x": 0.5}, odd)  # of a trial nobody asked for
        one.receive_trial_result(99, None, odd)
        one.import_data([{"parameter": {"x": 0.5}, "value": odd}, odd])
    one.import_data("no JSON")
    one.trial_end(99, False)
    one.trial_end(None, True)  # type: ignore[arg-type]  # a trial that a person added
    assert states(one) == [(TrialState.COMPLETE, 2.0)]
    run(one, 1)
    assert len(told(one)) == 2


@pytest.mark.parametrize(
    ("metric", "state", "value"),
    [
        (math.nan, TrialState.COMPLETE, hill.WORST),
        ({"default": -math.inf}, TrialState.COMPLETE, hill.WORST),
        ({"default": -3, "ssim": 0.5}, TrialState.COMPLETE, 3.0),
        ({"default": "3"}, TrialState.FAIL, None),
        ({"default": True}, TrialState.FAIL, None),
        ([1.0], TrialState.FAIL, None),
        ({"default": -3.0, PRUNED_AFTER: 4.0}, TrialState.PRUNED, 3.0),
    ],
)
def test_what_a_final_metric_teaches(metric: Any, state: TrialState, value: float | None) -> None:
    one = tuner()
    parameters = one.generate_parameters(0)
    one.receive_trial_result(0, parameters, metric)
    assert states(one) == [(state, value)]
    (trial,) = told(one)
    assert trial.intermediate_values == ({4: 3.0} if state is TrialState.PRUNED else {})


def test_a_metric_tells_of_broken_guards_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a trial gives NNI teaches the tuner what `gantune tune` would have learnt."""
    said: list[Any] = []
    monkeypatch.setattr("nni.report_final_result", said.append)
    outcomes = [
        Outcome(OutcomeKind.COMPLETED, "", Score(3.0, {"ssim": 0.5}, {"ink": -0.2, "pale": 0.25})),
        Outcome(OutcomeKind.COMPLETED, "", Score(3.0, {}, {"ink": -0.2, "pale": -0.25})),
        Outcome(OutcomeKind.COMPLETED, "", Score(3.0)),
        Outcome(OutcomeKind.DIVERGED, "a loss is NaN"),
    ]
    one = tuner()
    for number, outcome in enumerate(outcomes):
        asked = one.generate_parameters(number)
        params = hill.TASK.params(epochs=1)
        trial = NniTrial(params, {}, "s", Path("nowhere"), number, hill.TASK.objective)
        trial.finish(outcome)
        one.receive_trial_result(number, asked, said[-1])
    assert [t.constraints["guards"] for t in told(one)] == [0.25, -0.2, 0.0, 1.0]
    assert [t.value for t in told(one)] == [3.0, 3.0, 3.0, hill.WORST]


def test_a_trial_without_a_metric_has_failed_and_one_that_was_only_late_has_not() -> None:
    one = tuner()
    parameters = one.generate_parameters(0)
    one.trial_end(0, False)
    assert states(one) == [(TrialState.RUNNING, None)], "its metric may be on its way"
    one.generate_parameters(1)
    assert [s for s, _ in states(one)] == [TrialState.FAIL, TrialState.RUNNING]
    one.receive_trial_result(0, parameters, -1.0)
    assert states(one)[2] == (TrialState.COMPLETE, 1.0)
    assert told(one)[2].user_attrs["values"] == point(parameters)


def test_a_metric_knows_whose_it_is_whatever_nni_believes() -> None:
    one = tuner()
    first, second = (one.generate_parameters(i) for i in range(2))
    again = tuner()
    swapped = [(first, 1, -2.0), (second, 0, -1.0)]
    again.import_data(
        [{"parameter": p, "value": {"default": v, TRIAL: tag_of("exp", n)}} for p, n, v in swapped]
    )
    assert states(again) == [(TrialState.COMPLETE, 1.0), (TrialState.COMPLETE, 2.0)]


def test_a_users_import_teaches_where_it_is_of_this_space() -> None:
    one = tuner()
    whole = {"x": 0.5, "rate": 0.1, "n": 4, "spread": 0.25, "kind": {"_name": "plain"}}
    one.import_data(json.dumps([
        {"parameter": whole, "value": {"default": -4.0, TRIAL: tag_of("other", 0)}},
        {"parameter": {**whole, "x": 2.0}, "value": -5.0},
        {"parameter": {k: v for k, v in whole.items() if k != "n"}, "value": -5.0},
        {"parameter": {**whole, "width": 4}, "value": -5.0},
    ]))  # fmt: skip
    known = [t for t in told(one) if t.state is TrialState.COMPLETE]
    assert [(t.value, t.params["x"], t.params["n"]) for t in known] == [(4.0, 0.5, 4.0)]
    assert run(one, 0)["x"] == 0.25, "the baseline is still the first that is tried"


def test_the_search_space_may_change_under_way() -> None:
    one = tuner()
    done = [run(one, i) for i in range(3)]
    late = point(one.generate_parameters(3))
    high = 0.9 * late["x"]
    one.update_search_space({**hill.SPACE, "x": {"_type": "uniform", "_value": [0.0, high]}})
    inside = [v for v in done if v["x"] <= high and not hill.fails(v)]
    assert [t.user_attrs["values"] for t in told(one) if t.state.is_finished()] == inside
    assert inside
    one.update_search_space({"width": {"_type": "uniform", "_value": [0, 1]}})  # refused, and said
    fresh = one.generate_parameters(4)
    assert 0 <= fresh["x"] <= high
    assert fresh[TRIAL] > 3
    wide = {**hill.SPACE, "x": {"_type": "uniform", "_value": [0.0, 0.99]}}
    one.update_search_space(wide)
    one.receive_trial_result(3, late, {"default": -1.0, TRIAL: tag_of("exp", 3)})
    assert [*inside, late] == [t.user_attrs["values"] for t in told(one)]
    assert [t.params for t in told(tuner(wide))] == [t.params for t in told(one)]


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """NNI's REST interface: what it answers, by path."""
    answers: dict[str, Any] = {"trial-jobs": []}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.removeprefix("/api/v1/nni/")
            found = answers.get(path, [] if path.startswith("metric-data/") else None)
            self.send_response(404 if found is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        address = f"ws://127.0.0.1:{server.server_port}/tuner"
        monkeypatch.setenv("NNI_TUNER_COMMAND_CHANNEL", address)
        yield answers
        server.shutdown()


def job(name: str, parameters: dict[str, Any], status: str, final: Any = None) -> dict[str, Any]:
    packed = json.dumps({"parameter_id": 0, "parameters": parameters})
    metrics = [] if final is None else [{"data": json.dumps(json.dumps(final))}]
    answer = {"trialJobId": name, "status": status, "hyperParameters": [packed]}
    return {**answer, "finalMetricData": metrics} if metrics else answer


def epochs(number: int, *values: float) -> list[dict[str, Any]]:
    told = ({"default": -v, TRIAL: tag_of("exp", number)} for v in values)
    return [{"sequence": i, "data": json.dumps(json.dumps(m))} for i, m in enumerate(told)]


def test_what_nni_does_not_tell_is_asked(manager: dict[str, Any]) -> None:
    one = tuner()
    a, b, c, d, e = (one.generate_parameters(i) for i in range(5))
    manager["trial-jobs"] = [
        job("a", a, "FAILED"),
        job("b", b, "EARLY_STOPPED"),
        job("c", c, "USER_CANCELED"),
        job("d", d, "SUCCEEDED", {"default": -4.0}),
        job("e", e, "RUNNING"),
    ]
    manager["metric-data/b?type=PERIODICAL"] = epochs(1, 3.0, 2.5)
    one.generate_parameters(5)
    done, running = TrialState.COMPLETE, TrialState.RUNNING
    fail, pruned = TrialState.FAIL, TrialState.PRUNED
    assert states(one) == [
        (fail, None), (pruned, 2.5), (fail, None), (done, 4.0), (running, None), (running, None),
    ]  # fmt: skip
    assert told(one)[1].intermediate_values == {1: 3.0, 2: 2.5}
    assert "EARLY_STOPPED" in told(one)[1].user_attrs["reason"]


def test_trials_that_nni_mistakes_for_one_another_are_told_apart(manager: dict[str, Any]) -> None:
    one = tuner()
    a, b = (one.generate_parameters(i) for i in range(2))
    manager["trial-jobs"] = [job("a", a, "RUNNING"), job("b", b, "FAILED")]
    manager["metric-data/b?type=PERIODICAL"] = epochs(0, 3.0)  # b has a's parameters
    one.generate_parameters(2)
    assert [s for s, _ in states(one)] == [TrialState.FAIL, TrialState.RUNNING, TrialState.RUNNING]


def test_what_nni_never_began_is_proposed_again(manager: dict[str, Any]) -> None:
    one = tuner()
    a, b = (one.generate_parameters(i) for i in range(2))
    manager["trial-jobs"] = [job("a", a, "SUCCEEDED", {"default": -1.0})]
    again = tuner()
    assert again.generate_parameters(1) == b
    assert [t.state for t in told(again)] == [TrialState.COMPLETE, TrialState.RUNNING]


def test_a_trial_goes_on_with_what_it_was_given_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [{"x": 0.5, "kind": {"_name": "plain"}, TRIAL: 4}, {"x": 0.75, TRIAL: 3}]
    monkeypatch.setattr(nni, "get_next_parameter", lambda: given.pop(0))
    first, second = (
        next_trial(hill.TASK.params, {"n": "2"}, tmp_path, hill.TASK.objective) for _ in range(2)
    )
    assert first.searched == {"x": 0.5, "kind": "plain"}
    assert (first.number, first.params.model_dump()["n"]) == (4, 2)
    assert second == first


def test_a_trial_prunes_itself_by_the_records_of_those_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finals: list[Any] = []
    monkeypatch.setattr(nni, "report_intermediate_result", lambda metric: None)
    monkeypatch.setattr(nni, "report_final_result", finals.append)
    objective = hill.TASK.objective

    def lines(*values: float) -> list[EpochLine]:
        return [EpochLine(e, {}, Score(v), 1.0, 1.0) for e, v in enumerate(values, 1)]

    for number in range(samplers.STARTUP):
        record = Record(tmp_path / str(number))
        record.write_epochs(lines(3.0, 2.0, 1.0, 1.0))
        record.end(Outcome(OutcomeKind.COMPLETED, "", Score(1.0)), 1.0)
    params = hill.HillParams(epochs=4)
    for name, values, hopeless in (("good", (3.5, 1.9), False), ("bad", (2.5, 2.4), True)):
        trial = NniTrial(params, {}, "", tmp_path / name, 9, objective, tag_of("exp", 0), "median")
        Record(trial.workdir).write_epochs(lines(*values))
        assert trial.report(2, Score(values[-1])) is hopeless
        assert replace(trial, pruner="none").report(2, Score(values[-1])) is False
        assert replace(trial, pruner="median:3").report(2, Score(values[-1])) is False
    trial.finish(Outcome(OutcomeKind.PRUNED, "", Score(2.4)))
    assert finals == [{"default": -2.4, TRIAL: tag_of("exp", 0), PRUNED_AFTER: 2}]

    one = tuner()
    one.receive_trial_result(0, one.generate_parameters(0), finals[0])
    assert states(one) == [(TrialState.PRUNED, 2.4)]
    assert told(one)[0].intermediate_values == {2: 2.4}
