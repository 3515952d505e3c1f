"""Thousands of trials: asking stays near bare Optuna's cost, the report takes seconds."""

from __future__ import annotations

import time
from pathlib import Path

import optuna
import pytest
from sqlalchemy import event

from benchmarks.scale import Sides, bare, gantune, median_search
from core.files import read_json
from core.record import Study
from core.report import write_report
from core.search.storage import default_storage
from tests.finished import finished, frozen, record, store

MANY = 2000
LIMIT = 3.0
REPORT = 30.0 * MANY / 10_000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Sides:
    """Both sides at a study of many finished trials, which they have read."""
    runs = tmp_path_factory.mktemp("runs")
    sides = Sides.open(runs, default_storage(runs), MANY)
    sides.turns("random", 1)
    return sides


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_asking_takes_less_than_three_times_what_bare_optuna_takes(
    many: Sides, sampler: str
) -> None:
    pairs = many.turns(sampler, 7)  # the best turn of each: noise only ever adds
    assert min(g.ask for g, _ in pairs) < LIMIT * min(b.ask for _, b in pairs)


def test_asking_takes_no_more_statements_with_more_trials(many: Sides, tmp_path: Path) -> None:
    few = Sides.open(tmp_path, default_storage(tmp_path), 20)
    few.turns("random", 1)
    ours, theirs = statements(many)
    assert (ours, theirs) == statements(few)
    assert ours < LIMIT * theirs


def statements(sides: Sides) -> tuple[int, int]:
    """How many the database is sent for a trial of gantune's, and for one of Optuna's."""
    counts = []
    for engine, call in (
        (sides.search.storage.engine, lambda: gantune(sides.search)),
        (sides.study._storage._backend.engine, lambda: bare(sides.study)),  # type: ignore[attr-defined]
    ):
        sent: list[str] = []

        def note(*arguments: object, sent: list[str] = sent) -> None:
            sent.append(str(arguments[2]))

        event.listen(engine, "before_cursor_execute", note)
        call()
        event.remove(engine, "before_cursor_execute", note)
        counts.append(len(sent))
    return counts[0], counts[1]


def test_a_report_of_thousands_of_trials_is_written_in_seconds(tmp_path: Path) -> None:
    record(tmp_path / "many", finished(MANY))
    record(tmp_path / "few", finished(10))
    write_report(Study.open(tmp_path, "few"))  # pays for the imports
    started = time.process_time()
    page = write_report(Study.open(tmp_path, "many"))
    assert time.process_time() - started < REPORT
    assert page.read_text().count('<th scope="row" class="n" data-v=') == MANY, (
        "every trial is in its table"
    )
    best = read_json(page.with_name("best.json"))
    scores = {t.number: t.scores[-1] for t in finished(MANY) if t.kind == "completed"}
    assert best["best"]["trial"] == max(scores, key=lambda number: scores[number])
    assert sum(best["trials"].values()) == MANY


def test_trials_stored_at_once_are_those_that_optuna_would_store(tmp_path: Path) -> None:
    url = default_storage(tmp_path)
    one, other = (median_search(tmp_path, name, url) for name in ("one", "other"))
    trials = finished(30)
    store(one, trials)
    other.study.add_trials([frozen(trial, one.config.folder) for trial in trials])

    def stored(study: optuna.Study) -> list[object]:
        return [
            (t.number, t.state, t.values, t.params, t.distributions, t.user_attrs,
             t.system_attrs, t.intermediate_values)
            for t in study.get_trials()
        ]  # fmt: skip

    assert stored(one.study) == stored(other.study)
    assert {t.state.name for t in one.study.get_trials()} == {"COMPLETE", "PRUNED"}
