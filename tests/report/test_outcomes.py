"""What a report says of the ways in which trials ended."""

from __future__ import annotations

import re

from core.record import Study
from core.report.page import write_report
from core.report.render import environment
from core.report.rows import DAMAGED, KILLED, RUNNING
from core.report.summary import summarize
from core.task import OutcomeKind
from tests.report.conftest import Made, Make


def test_every_way_to_end_has_a_meaning() -> None:
    meaning = environment().get_template("meanings.html.j2").module.outcomes  # type: ignore[attr-defined]
    assert meaning.keys() == {*map(str, OutcomeKind), RUNNING, KILLED, DAMAGED}


def test_outcomes_are_counted_and_explained_with_their_reasons(make: Make) -> None:
    trials = [Made(0.5)]
    trials += [Made(0.1, {"weight": 2.0}, OutcomeKind.COLLAPSED, "the same <b>output</b>")] * 2
    trials += [Made(0.1, {"weight": 3.0}, OutcomeKind.COLLAPSED, "no gradient | at all")]
    trials += [Made(None, {"weight": 4.0}, OutcomeKind.OUT_OF_MEMORY, "9 GiB *more*")]
    lost = [f"d is nan at step {i}" for i in range(5)]
    trials += [Made(None, {"weight": 4.0}, OutcomeKind.DIVERGED, reason) for reason in lost]
    study: Study = make(trials)
    page = write_report(study).read_text()
    section = page.split("How the trials ended")[1].split("</section>")[0]
    rows = {
        name: (int(number), re.findall(r'class="quiet">(.*?)</span>', rest))
        for name, number, rest in re.findall(
            r'class="outcome">(.*?)</th><td class="n">(\d+)</td><td>(.*?)</td></tr>', section, re.S
        )
    }
    assert {name: number for name, (number, _) in rows.items()} == {
        "diverged": 5,
        "collapsed": 3,
        "completed": 1,
        "out of memory": 1,
    }
    assert rows["collapsed"][1] == [
        "trial 1 and 1 other: the same &lt;b&gt;output&lt;/b&gt;",
        "trial 3: no gradient | at all",
    ]
    assert rows["diverged"][1][2:] == [
        "trial 7: d is nan at step 2",
        "2 other reasons: see All trials",
    ]
    assert "The search gets the worst score." in section
    assert page.count("the same &lt;b&gt;output&lt;/b&gt;") == 3, "with its outcome, and each trial"
    markdown = (study.folder / "report.md").read_text()
    assert "<b>output" not in page + markdown
    assert "out_of_memory" not in page + markdown


def test_of_the_completed_those_that_broke_a_guard_are_named(make: Make) -> None:
    broken = Made(0.9, {"weight": 2.0}, violations={"illegible": 0.4})
    page = write_report(make([Made(0.5), broken, broken])).read_text()
    section = page.split("How the trials ended")[1].split("</section>")[0]
    assert (
        "2 of them break more guards than the others and cannot win: trial 1 breaks the guard "
        "illegible; trial 2 breaks the guard illegible</span>"
    ) in section
    assert "(1 completed trial with the fewest guards broken)" in page
    assert "no other trial completed" not in page


def test_a_collapsed_trial_is_never_the_best(make: Make) -> None:
    trials = [Made(0.5), Made(0.9, {"weight": 2.0}, OutcomeKind.COLLAPSED, "the same output")]
    summary = summarize(make(trials))
    assert summary.best is not None
    assert summary.best.score == 0.5
