"""What a report says of the ways in which trials ended."""

from __future__ import annotations

import re

from core.record import Study
from core.report.outcomes import MEANING, outcomes
from core.report.page import write_report
from core.report.rows import DAMAGED, KILLED, RUNNING
from core.report.summary import summarize
from core.task import OutcomeKind
from tests.report.conftest import Made, Make


def test_every_way_to_end_has_a_meaning() -> None:
    assert MEANING.keys() == {*map(str, OutcomeKind), RUNNING, KILLED, DAMAGED}


def test_outcomes_are_counted_explained_and_told_with_their_reasons(make: Make) -> None:
    trials = [Made(0.5)]
    trials += [Made(0.1, {"weight": 2.0}, OutcomeKind.COLLAPSED, "the same <b>output</b>")] * 2
    trials += [Made(0.1, {"weight": 3.0}, OutcomeKind.COLLAPSED, "no gradient | at all")]
    trials += [Made(None, {"weight": 4.0}, OutcomeKind.OUT_OF_MEMORY, "9 GiB *more*")]
    lost = [f"d is nan at step {i}" for i in range(5)]
    trials += [Made(None, {"weight": 4.0}, OutcomeKind.DIVERGED, reason) for reason in lost]
    study: Study = make(trials)
    told = {ended.name: ended for ended in outcomes(summarize(study))}
    assert {name: ended.trials for name, ended in told.items()} == {
        "diverged": 5,
        "collapsed": 3,
        "completed": 1,
        "out of memory": 1,
    }
    assert told["collapsed"].reasons == (
        "trial 1 and 1 other: the same <b>output</b>",
        "trial 3: no gradient | at all",
    )
    assert told["diverged"].reasons[2:] == (
        "trial 7: d is nan at step 2",
        "2 other reasons: see All trials",
    )

    page = write_report(study).read_text()
    markdown = (study.folder / "report.md").read_text()
    for ended in told.values():
        assert ended.meaning in page
        assert (
            f'<th scope="row" class="outcome">{ended.name}</th><td class="n">{ended.trials}' in page
        )
        assert f"| {ended.name} | {ended.trials} | {ended.meaning}" in markdown
    assert page.count("the same &lt;b&gt;output&lt;/b&gt;") == 3, "with its outcome, and each trial"
    assert "<b>output" not in page + markdown
    assert "out_of_memory" not in page + markdown
    section = markdown.split("## How the trials ended")[1].split("##")[0]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 4 for line in section.split("\n") if line)


def test_a_collapsed_trial_is_never_the_best(make: Make) -> None:
    trials = [Made(0.5), Made(0.9, {"weight": 2.0}, OutcomeKind.COLLAPSED, "the same output")]
    summary = summarize(make(trials))
    assert summary.best is not None
    assert summary.best.score == 0.5
