"""Time as a search's budget: what it buys, and that the command ends when it is over."""

from __future__ import annotations

import re
import subprocess
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from core.record import Study
from core.search.budget import Budget, affordable, bought, clock, cost_of, seconds_of
from core.search.config import SearchConfig
from core.search.study import open_search
from core.task import OutcomeKind, UserError
from tests.conftest import GANTUNE, ROOT
from tests.search import hill


def test_times_are_written_as_people_write_them() -> None:
    written = {"45m": 2700, "1h30m": 5400, "90s": 90, "90": 90, "2d": 172800, "1h": 3600}
    for text, seconds in written.items():
        assert seconds_of(text) == seconds
    for text in ("", "0", "m", "1.5h", "-3m", "3 m", "m3", "1s2m"):
        with pytest.raises(ValueError, match=r"^"):
            seconds_of(text)
    assert [clock(s) for s in (0.11, 59.4, 90, 120, 5400)] == [
        "0.11s",
        "59s",
        "1m30s",
        "2m",
        "1h30m",
    ]


def test_a_trial_is_as_long_as_lets_a_tournament_fit() -> None:
    assert cost_of(27, "asha") == 9 * 3 + 3 * 6 + 18
    assert 26 <= affordable(80, 200, "asha")[0] <= 30
    assert affordable(10_000, 200, "asha") == (200, "asha"), "never longer than the published trial"
    assert affordable(400, 200, "none") == (40, "none")
    assert affordable(30, 200, "asha") == (14, "asha")
    assert affordable(30, 200, "asha", workers=2) == (9, "asha"), (
        "a worker alone trains the last rung"
    )
    assert cost_of(9, "asha", workers=2) == 2 * (2 * 3 + 6), "two rounds of two, then the best"
    for epochs, length in ((200.0, 27), (1000.0, 81)):
        trials = bought(epochs, length, "asha")
        assert trials > 9
        assert cost_of(length, "asha") <= epochs
    assert affordable(10, 200, "asha", workers=2) == (4, "none"), "no tournament: both end"
    with pytest.raises(UserError, match=r"--timeout: buys 3\.0 epochs, .* take 4;"):
        affordable(3, 200, "asha")


def test_a_search_ends_when_its_time_is_over(runs: Path) -> None:
    words = [GANTUNE, "tune", "function_fit", "--pruner", "asha", "--runs", str(runs)]
    words += ["--epochs", "9"]
    started = time.monotonic()
    done = subprocess.run(
        [*words, "--timeout", "30s", "--workers", "2"], cwd=ROOT, capture_output=True, text=True
    )
    seconds = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    assert 25 < seconds < 36, done.stderr
    assert "time: " in done.stderr
    assert "trials of 9 epochs with rungs at 3;" in done.stderr
    left = [60 * int(m) + int(s) for m, s in re.findall(r"about (\d+):(\d\d) left", done.stderr)]
    assert left, done.stderr
    assert max(left) <= 30, "never beyond the end"
    assert "report: " in done.stdout
    records = Study.open(runs, "function_fit").records()
    outcomes = [outcome for record in records if (outcome := record.outcome())]
    assert OutcomeKind.COMPLETED in [outcome.kind for outcome in outcomes]
    trained = sum(len(record.epochs()) for record in records)
    again = subprocess.run(
        [*words, "--timeout", "25s", "--workers", "2"], cwd=ROOT, capture_output=True, text=True
    )
    assert again.returncode == 0, again.stderr
    records = Study.open(runs, "function_fit").records()
    assert sum(len(record.epochs()) for record in records) > trained, "it has gone on"


@pytest.mark.parametrize(("pruner", "short", "long"), [("asha", 12, 60), ("none", 5, 12)])
def test_no_trial_is_begun_beside_others_that_would_come_to_no_end(
    tmp_path: Path, pruner: str, short: int, long: int
) -> None:
    budget = Budget(time.time() + 60, epoch=10.0)  # the first rungs are at 4 and 7
    config = SearchConfig("hill", tmp_path, "s", space=hill.SPACE, pruner=pruner, budget=budget)
    for epochs, fits in ((short, True), (long, False)):
        one = replace(config, study=f"s{epochs}", fixed={"epochs": str(epochs)})
        found = open_search(one, hill.TASK)
        with ExitStack() as held:
            assert found._next(held), "alone, it takes the time that is left"
            assert bool(found._next(held)) is fits


def test_a_time_that_cannot_be_read_is_one_clear_error() -> None:
    for words, message in (
        (["--timeout", "0"], "invalid time, as in 45m or 1h30m,"),
        (["--timeout", "soon"], "invalid time, as in 45m or 1h30m,"),
    ):
        done = subprocess.run(
            [GANTUNE, "tune", "cyclegan", *words], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 2
        assert message in done.stderr
