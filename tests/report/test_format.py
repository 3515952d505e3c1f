"""Numbers as a report shows them: small ones stay readable beside large ones."""

from __future__ import annotations

import pytest

from core.report.format import decimals, fixed, gap, signed
from core.report.summary import summarize
from tests.report.conftest import Made, Make


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (0.77, 3, "0.770"),
        (0.01, 3, "0.010"),
        (0.0014, 3, "0.0014"),
        (0.00042, 3, "0.00042"),
        (2e-6, 3, "2e−06"),
        (-0.00042, 3, "−0.00042"),
        (0.0, 3, "0.000"),
        (0.04, 2, "0.04"),
        (0.004, 2, "0.004"),
        (0.5, 0, "0.5"),
        (480.0, 0, "480"),
        (None, 3, "–"),
    ],
)
def test_no_number_but_zero_is_shown_as_zero(value: float | None, places: int, text: str) -> None:
    assert fixed(value, places) == text


def test_differences_are_those_of_the_numbers_that_are_shown() -> None:
    assert gap(0.77, 0.00042) == "+0.770"
    assert gap(0.00042, 0.77) == "−0.770"
    assert gap(0.00042, 2e-6) == "+0.00042"
    assert gap(0.0014, 0.0006) == "+0.001"
    assert gap(0.5002, 0.5001) == "same"
    assert (signed(0.13), signed(-0.02), signed(0.0)) == ("+0.130", "−0.020", "+0.000")
    assert signed(-2e-6) == "−2e−06"


def test_a_study_of_half_trained_models_has_its_scores_and_difference(make: Make) -> None:
    """The published baseline (trial 0) has 0.0006, another trial 0.0014, the best painted 0.77."""
    trials = [Made(0.0006), Made(0.0014, {"weight": 2.0})]
    assert summarize(make(trials)).verdict.endswith("scored 0.00060: +0.00080.")
    summary = summarize(make([*trials, Made(0.77, {"weight": 3.0})], name="painted"))
    assert summary.verdict == (
        "Trial 2 scored 0.770; the published baseline (trial 0) scored 0.0006: +0.769."
    )
    assert [summary.shown(row.score) for row in summary.rows] == ["0.0006", "0.0014", "0.770"]
    assert decimals(row.score for row in summary.rows) == 3
