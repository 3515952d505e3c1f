"""Pareto's front and the evaluator's exam in the report."""

from __future__ import annotations

import html
import json
from itertools import count
from pathlib import Path
from typing import Any

from core.files import read_json, write_json
from core.record import Study
from core.report import write_report
from core.report.evaluator import read_exam
from core.report.summary import summarize
from core.task import OutcomeKind
from tests.report.conftest import Made, Make

POINTS = [(0.1, 0.9), (0.5, 0.5), (0.4, 0.4), (0.9, 0.1), (0.5, 0.2)]
NUMBERS = count()
EXAM: dict[str, Any] = {
    "passed": True,
    "reference": 0.6,
    "margin": 0.5,
    "inputs": 48,
    "cases": [
        {"name": "painted <b>", "good": True, "value": 0.6, "broken": [], "passed": True},
        {"name": "white", "good": False, "value": 0.1, "broken": ["texture"], "passed": True},
    ],
}


def two(make: Make, directions: dict[str, str]) -> Study:
    """A study with these parts; the last trial broke off."""
    trials = [Made(sum(p) / 2) for p in POINTS] + [Made(0.9, outcome=OutcomeKind.PRUNED)]
    study = make(trials, name="-".join(["demo", *directions.values()]))
    for record, point in zip(study.records(), POINTS, strict=False):
        outcome = read_json(record.folder / "outcome.json")
        outcome["score"]["parts"] |= dict(zip(directions, point, strict=True))
        write_json(record.folder / "outcome.json", outcome)
    write_json(study.folder / "study.json", {**study.about, "objectives": directions})
    return Study.open(study.folder.parent, study.name)


def test_the_front_has_whoever_nobody_beats_in_everything(make: Make) -> None:
    front = summarize(two(make, {"a": "maximize", "b": "maximize"})).front
    assert [row.number for row in front] == [3, 1, 0]
    lower = summarize(two(make, {"a": "maximize", "b": "minimize"})).front
    assert [row.number for row in lower] == [3]


def test_the_page_shows_it_and_best_json_lists_it(make: Make) -> None:
    study = two(make, {"a": "maximize", "b": "maximize"})
    page = write_report(study).read_text()
    assert "Pareto&#39;s front: a and b" in page or "Pareto's front: a and b" in page
    assert "3 trials that no other beats in every objective, of the 5" in page
    written = json.loads((study.folder / "best.json").read_text())
    assert [row["trial"] for row in written["front"]] == [3, 1, 0]


def test_a_search_for_one_objective_has_no_front(make: Make) -> None:
    study = make([Made()])
    assert summarize(study).front == []
    assert "Pareto" not in write_report(study).read_text()


def test_the_exam_is_shown_escaped_and_a_failed_one_leads_the_cautions(make: Make) -> None:
    names = iter("abcdefgh")

    def examined(exam: Any) -> Study:
        return make([Made(about={"evaluator": {"accuracy": 0.9, "exam": exam}})], name=next(names))

    page = write_report(examined(EXAM)).read_text()
    assert "painted &lt;b&gt;" in page
    assert "1 way to cheat" in page
    assert "evaluator&#39;s exam, 1 way" in page
    failed = {**EXAM, "passed": False}
    failed["cases"] = [EXAM["cases"][0], {**EXAM["cases"][1], "passed": False, "broken": []}]
    study = examined(failed)
    page = write_report(study).read_text()
    assert "The evaluator failed its exam, so a high score may be a trick" in page
    assert json.loads((study.folder / "best.json").read_text())["exam_passed"] is False
    for damaged in ("no", {"cases": 3}, {**EXAM, "cases": [None, {"name": "x"}]}):
        write_report(examined(damaged))
    assert read_exam(summarize(examined("no")).evaluator) is None


def examined(make: Make, exam: dict[str, Any], **facts: Any) -> str:
    """The page of a study whose evaluator has sat this exam."""
    about = {"evaluator": {"accuracy": 0.9, "exam": exam, **facts}}
    study = make([Made(about=about)], name=f"study-{next(NUMBERS)}")
    return html.unescape(write_report(study).read_text())


def test_a_ladder_is_a_sentence_and_its_rungs_are_neither_good_nor_bad(make: Make) -> None:
    between = {"name": "half <i>", "good": None, "value": 0.00042, "broken": [], "passed": True}
    steps = {"white": 2.1e-6, "half <i>": 0.00042, "painted <b>": 0.6}
    ladder = {"name": "more paint", "steps": steps, "passed": True}
    exam = {**EXAM, "margin": 0.25, "cases": [*EXAM["cases"], between], "ladders": [ladder]}
    page = examined(make, exam)
    words = "white 2.1e−06, half <i> 0.00042, painted <b> 0.600"
    assert f"<p>The score improves along “more paint”: {words}.</p>" in page
    assert "1 way to cheat" in page
    row = page[page.index("half <i></th>") :]
    assert row[: row.index("</tr>")].endswith("<td>between</td>")
    assert "at most 25 % as good" in page

    steps = {"white": 0.1, "half <i>": 0.00042}
    exam |= {"passed": False, "ladders": [ladder | {"steps": steps, "passed": False}]}
    page = examined(make, exam)
    assert (
        "good outputs score 0.600; the score does not improve along “more paint”: white 0.1" in page
    )
    assert "The score improves" not in page
    for damaged in ("no", [3], [{"name": "x"}], [ladder | {"steps": None}]):
        examined(make, {**exam, "ladders": damaged})


def test_the_backbone_and_the_interval_of_the_accuracy(make: Make) -> None:
    page = examined(make, EXAM, weights="efficientnet-lite0", interval=[0.84, 0.95])
    assert (
        "backbone is efficientnet-lite0. On data it never trained on, it is right 90 % of" in page
    )
    assert "90 % of the time (84 % to 95 % with 95 % confidence)" in page
    for before in ({}, {"interval": None}, {"interval": ["a", 0.5]}):
        page = examined(make, EXAM, **before)
        assert "On data it never trained on, the evaluator is right 90 % of the time" in page
        assert "backbone" not in page


def test_records_of_before_have_no_exam(make: Make, tmp_path: Path) -> None:
    page = write_report(make([Made()])).read_text()
    assert "exam" not in page
