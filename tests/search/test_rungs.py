"""Trials that stop at rungs and go on: whom a rung promotes, and that nothing is trained twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from optuna.trial import TrialState

from core.params import load_task
from core.record import EpochLine, Record, Study
from core.search.attributes import NUMBER
from core.search.config import SearchConfig
from core.search.rungs import Contender, Rungs
from core.search.storage import default_storage, open_storage
from core.search.study import OptunaTrial, Search
from core.task import Outcome, OutcomeKind, Score, UserError
from tests.conftest import GANTUNE, ROOT
from tests.postgres import Postgres
from tests.search.test_study import search

LEVELS = (3, 9, 27)


def contenders(*scores: float, level: int = 3, **more: Any) -> list[Contender]:
    return [Contender(i, {level: score}, **more) for i, score in enumerate(scores)]


def promoted(found: list[Contender], full: bool = False, rungs: str = "asha") -> list[int]:
    one = Rungs.of(rungs, 27)
    assert one
    return [c.number for c in one.promotion(found, full, maximize=True)]


def test_rungs_are_shares_of_the_epochs() -> None:
    for pruner, epochs, levels in (
        ("asha", 27, LEVELS),
        ("asha:2", 16, (4, 8, 16)),
        ("asha", 200, (7, 22, 67, 200)),
        ("hyperband", 9, (3, 9)),
    ):
        rungs = Rungs.of(pruner, epochs)
        assert rungs
        assert rungs.levels == levels
    assert Rungs.of("median:3", 27) is None
    with pytest.raises(UserError, match=r"--epochs.*take 9 epochs or more"):
        Rungs.of("asha", 5)


def test_the_best_third_of_a_rung_goes_on() -> None:
    assert promoted(contenders(0.1, 0.3)) == [], "a third of two is none"
    assert promoted(contenders(0.1, 0.3, 0.2)) == [1]
    assert promoted(contenders(0.1, 0.3, 0.2, 0.5, 0.4, 0.0)) == [3, 4]
    two = contenders(0.1, 0.3, 0.2, 0.5, 0.4, 0.0)
    two[3] = Contender(3, {3: 0.5, 9: 0.6})
    assert promoted(two) == [4], "the first has gone on already"


def test_a_trial_that_breaks_a_guard_or_has_no_score_goes_on_last() -> None:
    found = contenders(0.1, 0.3, 0.2)
    found[1] = Contender(1, {3: 0.3}, broken=0.1)
    assert promoted(found) == [2]
    found[2] = Contender(2, {1: 0.9}, over=True)  # diverged after its first epoch
    assert promoted(found) == [0]


def test_at_the_end_the_best_goes_on_even_where_a_third_is_none() -> None:
    two = contenders(0.1, 0.3)
    assert promoted(two, full=True) == [1]
    two[0] = Contender(0, {1: 0.1}, active=True)
    assert promoted(two, full=True) == [], "trial 0 may yet be better"
    top = [Contender(0, {3: 0.1}), Contender(1, {3: 0.3, 9: 0.2})]
    assert promoted(top, full=True) == [1]


def test_the_highest_rung_is_served_first() -> None:
    found = [Contender(i, {3: 0.1 * i}) for i in range(6)]
    found += [Contender(i, {3: 0.1 * i, 9: 0.1 * i}) for i in range(6, 9)]
    assert promoted(found) == [8], "9 arrived at the first rung, and 3 of them went on"
    found += [Contender(9, {3: 0.55}), Contender(10, {3: 0.95}), Contender(11, {3: 0.05})]
    assert promoted(found) == [8, 10]


def test_hyperband_has_brackets_that_begin_higher() -> None:
    rungs = Rungs.of("hyperband", 27)
    assert rungs
    starts = [rungs.stops(number)[0] for number in range(13)]
    assert [starts.count(level) for level in LEVELS] == [9, 3, 1]
    assert rungs.after(12, 0) == 27
    assert rungs.cost(13) == (9 * 3 + 3 * 6 + 18) + (3 * 9 + 18) + 27


def test_a_search_costs_what_its_rungs_say() -> None:
    rungs = Rungs.of("asha", 27)
    assert rungs
    assert rungs.cost(9) == 9 * 3 + 3 * 6 + 1 * 18


def train(trial: OptunaTrial, scores: dict[int, float]) -> None:
    """What a trial does, from its record on: its score is `scores` of its number, from epoch 1."""
    record = Record(trial.workdir)
    record.begin({"number": trial.number})
    lines = record.epochs()
    for epoch in range(len(lines) + 1, trial.until + 1):
        score = Score(scores[trial.number] * epoch)
        lines.append(EpochLine(epoch, {}, score, 1.0, 1.0))
        record.checkpoint.write_bytes(b"networks")
        record.write_epochs(lines)
        trial.report(epoch, score)
    last = trial.until == trial.params.epochs
    kind = OutcomeKind.COMPLETED if last else OutcomeKind.PRUNED
    outcome = Outcome(kind, "", lines[-1].score)
    record.end(outcome, 1.0)
    trial.finish(outcome)


def halving(runs: Path, **changes: Any) -> Search:
    how: dict[str, Any] = {"fixed": {"epochs": "27"}, "pruner": "asha", "trials": 9, **changes}
    return search(runs, **how)


SCORES = dict(enumerate([0.1, 0.5, 0.3, 0.9, 0.2, 0.8, 0.7, 0.4, 0.6]))


def test_survivors_go_on_in_their_folder_under_their_number(tmp_path: Path) -> None:
    one = halving(tmp_path)
    taken = []
    for trial in one.trials():
        taken.append((trial.number, len(Record(trial.workdir).epochs()), trial.until))
        train(trial, SCORES)
    begun = [number for number, start, _ in taken if start == 0]
    assert begun == list(range(9)), "each begins once"
    assert all(start in (0, 3, 9) for _, start, _ in taken)
    lengths = {r.trial()["number"]: len(r.epochs()) for r in Study.open(tmp_path, "s").records()}
    assert lengths[3] == 27, "the best one"
    assert sorted(lengths.values()).count(3) <= 6
    assert [r.outcome().kind for r in Study.open(tmp_path, "s").records()].count(  # type: ignore[union-attr]
        OutcomeKind.COMPLETED
    ) >= 1
    states = [t.state for t in one.own()]
    assert len(states) == 9, "the study has nine trials, whatever Optuna counts"
    assert TrialState.RUNNING not in states


def test_a_study_of_rungs_goes_on_where_it_was_left(tmp_path: Path) -> None:
    for trial in halving(tmp_path, trials=4).trials():
        train(trial, SCORES)
    before = {r.trial()["number"]: len(r.epochs()) for r in Study.open(tmp_path, "s").records()}
    assert max(before.values()) == 27
    for trial in halving(tmp_path).trials():
        train(trial, SCORES)
    after = {r.trial()["number"]: len(r.epochs()) for r in Study.open(tmp_path, "s").records()}
    assert len(after) == 9
    assert all(after[number] >= epochs for number, epochs in before.items())
    assert after[3] == 27


def test_rates_that_decay_before_the_last_rung_are_refused(tmp_path: Path) -> None:
    task = load_task("cyclegan")
    how = {"epochs": "27", "decay_from": "0.2"}
    config = SearchConfig("cyclegan", tmp_path, "s", fixed=how, pruner="asha")
    with pytest.raises(UserError, match=r"--decay-from to 0.33 or more"):
        config.rungs(task)
    assert replace(config, fixed={"epochs": "27"}).rungs(task)


def test_a_search_of_epochs_has_no_rungs(tmp_path: Path) -> None:
    space = {"epochs": {"_type": "randint", "_value": [9, 30]}}
    with pytest.raises(UserError, match="search no epochs"):
        halving(tmp_path, space=space, fixed={})


def test_a_trial_killed_at_its_rung_is_not_promoted_by_that(tmp_path: Path) -> None:
    one = halving(tmp_path)
    trials = one.trials()
    trial = next(trials)
    record = Record(trial.workdir)
    record.begin({"number": 0})
    record.checkpoint.write_bytes(b"networks")
    record.write_epochs([EpochLine(e, {}, Score(0.1), 1.0, 1.0) for e in (1, 2, 3)])
    trials.close()  # its process ends before it could say so  # type: ignore[attr-defined]
    again = next(halving(tmp_path).trials())
    assert (again.number, again.until) == (0, 3)


def test_where_the_checkpoint_is_away_a_survivor_waits_for_its_machine(tmp_path: Path) -> None:
    one = halving(tmp_path, trials=3)
    for trial in one.trials():
        if trial.until > 3:
            break
        train(trial, SCORES)
        Record(trial.workdir).checkpoint.unlink()
    assert (trial.number, trial.until) == (1, 9), "nobody else is there to go on with it"


TRIALS = 18
FIT = ["--epochs", "27", "--pruner", "asha", "--trials", str(TRIALS), "--workers", "2"]
SPACE = {"lr": {"_type": "loguniform", "_value": [1e-3, 1e-2]}}  # none of them diverges


@contextmanager
def tuning(runs: Path, storage: str) -> Iterator[subprocess.Popen[str]]:
    space = runs.with_name("space.json")
    space.write_text(json.dumps(SPACE))
    words = ["tune", "function_fit", *FIT, "--space", str(space), "--retries", "9"]
    words += ["--study", "fit", "--runs", str(runs)]
    with (runs / "said").open("a") as said:
        process = subprocess.Popen(
            [GANTUNE, *words, "--storage", storage], cwd=ROOT, stdout=said, stderr=said, text=True
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_kills_at_random_moments_lose_no_rung_and_train_none_twice(
    runs: Path, database: str, request: pytest.FixtureRequest
) -> None:
    storage = default_storage(runs)
    if database == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        storage = postgres.url
    chance, kills, seen = random.Random(1), 0, dict[str, list[EpochLine]]()
    deadline = time.monotonic() + 240
    while True:
        with tuning(runs, storage) as process:
            while process.poll() is None and (kills < 12 or time.monotonic() < deadline):
                time.sleep(chance.uniform(0.2, 1.0))
                victims = [p for p in psutil.Process(process.pid).children(recursive=True)
                           if process.poll() is None]  # fmt: skip
                working = any((runs / "fit").glob("*/.lock"))
                if kills < 12 and working and victims:
                    parent = kills % 4 == 3
                    victim = process.pid if parent else chance.choice(victims).pid
                    try:
                        os.kill(victim, signal.SIGKILL)
                    except ProcessLookupError:
                        continue
                    kills += 1
                    if parent:
                        break
            if process.poll() == 0:
                break
        assert time.monotonic() < deadline, (runs / "said").read_text()
        for name, lines in seen.items():
            assert Record(runs / "fit" / name).epochs()[: len(lines)] == lines, "trained twice"
        seen = {r.folder.name: r.epochs() for r in Study.open(runs, "fit").records()}
    assert kills >= 10
    lengths = []
    for record in Study.open(runs, "fit").records():
        epochs = [line.epoch for line in record.epochs()]
        assert epochs == list(range(1, len(epochs) + 1)), "without gap or repeat"
        before = seen.get(record.folder.name, [])
        assert record.epochs()[: len(before)] == before, "trained twice"
        lengths.append(len(epochs))
        outcome = record.outcome()
        assert outcome
        assert (outcome.kind is OutcomeKind.COMPLETED) == (len(epochs) == 27), outcome
    assert len(lengths) == TRIALS, "no trial is lost"
    assert set(lengths) == set(LEVELS)
    opened = open_storage(storage)
    trials = optuna.load_study(study_name="fit", storage=opened).get_trials()
    opened.engine.dispose()
    assert not {t.state for t in trials} & {TrialState.RUNNING, TrialState.WAITING}
    best = json.loads((runs / "fit" / "best.json").read_text())["best"]
    complete = {t.user_attrs[NUMBER] for t in trials if t.state is TrialState.COMPLETE}
    assert best["trial"] in complete
