"""What is said of trials that were trained again with common seeds, and of the noise floor."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from core.files import read_json, write_json
from core.record import Study
from core.report.cautions import cautions
from core.report.confirmation import Confirmation, conclusion
from core.report.noise import carried
from core.report.page import write_report
from core.report.summary import summarize
from core.task import OutcomeKind

Again = Callable[..., Confirmation]
CALM = {"baseline": [0.50, 0.51, 0.49], "trial-0001": [0.60, 0.62, 0.59]}


@pytest.fixture
def again(make: Any, made: Any, tmp_path: Path) -> Again:
    """A study `demo`, and its candidates' scores with seeds 1, 2 …; None is a diverged run."""

    def confirmed(
        scores: Mapping[str, Sequence[float | None]],
        direction: str = "maximize",
        guards: Mapping[str, Mapping[str, float]] | None = None,
        outcomes: Mapping[str, OutcomeKind] | None = None,
        **settings: Any,
    ) -> Confirmation:
        name = f"demo{len(list(tmp_path.iterdir()))}"
        trials = [made(0.5), made(0.6, {"weight": 2.0})]
        study: Study = make(trials, direction=direction, name=name)
        seeds = list(range(1, 1 + max(map(len, scores.values()))))
        runs = [
            made(
                0.1 if score is None else score,
                {"seed": seed},
                (outcomes or {}).get(
                    f"{name}-seed-{seed}",
                    OutcomeKind.DIVERGED if score is None else OutcomeKind.COMPLETED,
                ),
                name=f"{name}-seed-{seed}",
                violations=(guards or {}).get(f"{name}-seed-{seed}", (guards or {}).get(name)),
            )
            for name, of in scores.items()
            for seed, score in zip(seeds, of, strict=False)
        ]
        make(runs, engine="standalone", direction=direction, space=None, name=f"{name}-confirm")
        told = {"candidates": list(scores), "seeds": seeds, "epochs": 2, "holdout": True}
        write_json(tmp_path / f"{name}-confirm" / "confirm.json", {**told, **settings})
        found = summarize(study).confirmation
        assert found
        return found

    return confirmed


def test_a_true_gain_is_found_and_its_size_is_told(again: Again) -> None:
    found = again(CALM)
    assert found.winners == ["trial-0001"]
    assert conclusion(found, 0.05) == (
        "Trial 1 wins over 3 common seeds. It beats the baseline by 0.103 "
        "(+0.089 to +0.118, 95 %; 2.1 noise floors)."
    )
    noise = found.paired.noise
    assert noise
    assert f"95 %; {0.31 / 3 / noise:.1f} times one run's noise)." in conclusion(found)


def test_lower_may_be_better(again: Again) -> None:
    found = again(CALM, "minimize")
    assert found.winners == ["baseline"]
    assert found.mean("baseline") == pytest.approx(0.5)
    gain = found.gain("trial-0001")
    assert gain
    assert gain.value == pytest.approx(-0.10333, abs=1e-4)
    assert conclusion(found) == "The published baseline wins over 3 common seeds."


def test_a_confirmation_of_version_0_1_0_is_read(again: Again, tmp_path: Path) -> None:
    again(CALM)
    path = tmp_path / "demo0-confirm" / "confirm.json"
    config = read_json(path)
    write_json(path, {"unseen" if k == "holdout" else k: v for k, v in config.items()})
    found = summarize(Study.open(tmp_path, "demo0")).confirmation
    assert found
    assert found.holdout


def test_what_is_confirmed_is_told_of_a_search_that_ended_before_its_last_epoch(
    again: Again, tmp_path: Path
) -> None:
    again(CALM)
    study = Study.open(tmp_path, "demo0")
    for trial in ("0000", "0001"):
        path = tmp_path / "demo0" / trial / "outcome.json"
        write_json(path, {**read_json(path), "outcome": OutcomeKind.PRUNED.value})
    verdict = summarize(study).verdict
    assert verdict.startswith("No trial has come to its last epoch.")
    assert verdict.endswith(conclusion(summarize(study).confirmation))  # type: ignore[arg-type]


def test_luck_cannot_be_told_apart(again: Again) -> None:
    found = again({"baseline": [0.50, 0.58, 0.45], "trial-0001": [0.57, 0.49, 0.52]})
    assert set(found.winners) == {"baseline", "trial-0001"}
    assert conclusion(found) == (
        "Trial 1 and the published baseline cannot be told apart over 3 common seeds. "
        "No gain over the baseline is shown."
    )


def test_several_winners_share_the_win(again: Again) -> None:
    found = again({**CALM, "trial-0004": [0.61, 0.61, 0.60], "trial-0005": [0.2, 0.3, 0.25]})
    assert set(found.winners) == {"trial-0001", "trial-0004"}
    assert "cannot be told apart over 3 common seeds. " in conclusion(found)
    assert found.dropped == {"trial-0005": "behind with 2 seeds"}
    assert found.status("trial-0005") == "behind with 2 seeds"


def test_a_candidate_that_goes_wrong_with_one_seed_is_no_winner(again: Again) -> None:
    found = again({**CALM, "trial-0004": [0.9, None, 0.9]})
    assert found.winners == ["trial-0001"]
    assert found.counted.failures("trial-0004") == ["seed 2 diverged"]
    assert found.dropped == {"trial-0004": "seed 2 diverged"}
    found = again({**CALM, "trial-0004": [0.9, 0.9, 0.9]}, guards={"trial-0004": {"muddy": 0.1}})
    assert found.winners == ["trial-0001"]
    assert found.counted.failures("trial-0004")[0] == "seed 1 breaks muddy"


def test_where_all_break_a_guard_they_are_compared_all_the_same(again: Again) -> None:
    found = again(CALM, guards={name: {"muddy": 0.1} for name in CALM})
    assert found.winners == ["trial-0001"]


def test_without_the_baseline_or_any_score_it_is_said(again: Again) -> None:
    found = again({**CALM, "baseline": [0.5, None, 0.5]})
    only = "Only trial 1 came through with every seed. The published baseline is out: seed 2 div"
    assert conclusion(found).startswith(only)
    muddy = {"baseline": {"muddy": 0.1}}
    found = again({**CALM, "trial-0004": [0.61, 0.61, 0.60]}, guards=muddy)
    assert conclusion(found) == (
        "Trial 0004 and trial 1 cannot be told apart over 3 common seeds. The published baseline "
        "is out: seed 1 breaks muddy, seed 2 breaks muddy, seed 3 breaks muddy."
    )
    found = again({"baseline": [None], "trial-0001": [None]})
    assert conclusion(found).startswith("No configuration came through with every seed")
    found = again({"baseline": [0.5], "trial-0001": [0.9]})
    assert "says nothing: confirm with more seeds" in conclusion(found)


def test_a_run_cut_short_is_still_to_come(again: Again) -> None:
    """Neither it nor one at work elsewhere has gone wrong, so its candidate does not drop out."""
    cut = {"trial-0001-seed-3": OutcomeKind.INTERRUPTED}
    found = again(CALM, outcomes=cut)
    assert (found.counted.failures("trial-0001"), found.dropped, found.waiting) == ([], {}, 1)
    assert conclusion(found).startswith("Trial 1 wins over 2 common seeds.")
    found = again(CALM, seeds=[1, 2, 3, 4, 5])
    assert found.waiting == 4
    assert "wins over 3 common seeds" in conclusion(found)
    found = again(
        {**CALM, "trial-0001": [0.6]}, outcomes={"baseline-seed-2": OutcomeKind.INTERRUPTED}
    )
    assert found.waiting == 3
    assert "is ahead over 1 common seed, which says nothing" in conclusion(found)
    found = again({"baseline": [0.5]}, outcomes={"baseline-seed-1": OutcomeKind.INTERRUPTED})
    assert conclusion(found).startswith("Nothing is confirmed yet")


def test_a_seed_that_not_all_have_run_with_decides_nothing(again: Again) -> None:
    """Trial 1 breaks a guard with its third seed; the baseline's third run is to come."""
    late = {"trial-0001-seed-3": {"muddy": 0.1}}
    found = again({**CALM, "baseline": [0.50, 0.51]}, guards=late)
    assert conclusion(found).startswith("Trial 1 wins over 2 common seeds.")
    found = again(CALM, guards=late)
    assert found.status("trial-0001") == "seed 3 breaks muddy"


def test_who_dropped_out_does_not_win_by_what_the_others_did_later(again: Again) -> None:
    """Both others break a guard with the third seed, which it never had."""
    scores = {**CALM, "trial-0002": [0.10, 0.11]}
    late = {f"{name}-seed-3": {"muddy": 0.1} for name in CALM}
    found = again(scores, guards=late)
    assert found.dropped == {"trial-0002": "behind with 2 seeds"}
    assert found.winners == ["trial-0001"]


def test_a_configuration_counts_once(again: Again, tmp_path: Path) -> None:
    same = {"trial-0007": "trial-0001", "trial-0008": "baseline"}
    found = again(CALM, same=same)
    assert found.winners == ["trial-0001"]
    told = conclusion(found)
    assert told.startswith("Trial 1 wins over 3 common seeds. It beats the baseline by 0.103")
    assert told.endswith(
        "Trial 0007 cannot be told apart from trial 1: it is the same configuration."
    )
    page = html.unescape(write_report(Study.open(tmp_path, "demo0")).read_text())
    assert "the same configuration as trial 1</td><td>yes</td>" in page
    assert "the same configuration as the published baseline</td><td>no</td>" in page
    told = read_json(tmp_path / "demo0" / "best.json")["winners"]
    assert told == ["trial-0001", "trial-0007"]
    alone = again({"baseline": [0.5, 0.5, 0.5]}, same={"trial-0001": "baseline"})
    assert conclusion(alone) == (
        "The published baseline was trained again over 3 common seeds, and there is no other to "
        "compare. Trial 1 cannot be told apart from the published baseline: it is the same "
        "configuration."
    )


def test_the_report_says_what_is_left_to_confirm(again: Again, tmp_path: Path) -> None:
    again({"baseline": [0.5, 0.51, 0.49], "trial-0000": [0.4, 0.4, 0.4]}, seeds=[1, 2, 3, 4])
    told = " ".join(cautions(summarize(Study.open(tmp_path, "demo0"))))
    assert (
        "The confirmation is not finished: 1 run is left, and `gantune confirm demo0` goes on. "
        "What is said rests on the seeds that every configuration has been run with."
    ) in told
    assert "Trial 1, by now the best of the search, has not been confirmed" in told


def test_the_report_leads_with_it(again: Again, tmp_path: Path) -> None:
    again(CALM)
    study = Study.open(tmp_path, "demo0")
    summary = summarize(study)
    assert summary.verdict.startswith("Trial 1 wins over 3 common seeds.")
    assert not any("the noise has not been measured" in c for c in cautions(summary))
    page = html.unescape(write_report(study).read_text())
    assert page.index("Trained again, with common seeds") < page.index("<h2>Pictures</h2>")
    assert "scored by an evaluator that the search never saw" in page
    assert "+0.103 (+0.089 to +0.118)" in page
    assert "Trial 1 wins over 3 common seeds." in (study.folder / "report.md").read_text()


def test_the_exam_of_the_evaluator_that_confirmed_is_told(again: Again, tmp_path: Path) -> None:
    again(CALM)
    good = {"name": "painted", "good": True, "value": 0.6, "broken": []}
    bad = {"name": "white", "good": False, "value": 0.5, "broken": []}

    def page_with(passed: bool) -> str:
        cases = [{**good, "passed": True}, {**bad, "passed": passed}]
        exam = {"passed": passed, "reference": 0.6, "cases": cases}
        for path in (tmp_path / "demo0-confirm").glob("*/trial.json"):
            write_json(path, {**read_json(path), "evaluator": {"exam": exam}})
        return html.unescape(write_report(Study.open(tmp_path, "demo0")).read_text())

    assert "the search never saw and that passed an exam of its own" in page_with(True)
    assert "The evaluator that scored the confirmation failed its own exam: white 0.5" in page_with(
        False
    )


@pytest.mark.parametrize(
    ("noise", "places"),
    [(0.2, 1), (0.05, 1), (0.049, 2), (0.012, 2), (0.004, 3), (1e-9, 3), (0.0, 3), (3.0, 0)],
)
def test_no_decimal_is_shown_that_the_noise_does_not_carry(noise: float, places: int) -> None:
    assert carried(noise, 3) == places


def noisy(make: Any, made: Any, best: float, *others: float) -> str:
    trials = [made(0.50), *(made(best - 0.01 * i, {"weight": 2.0 + i}) for i in range(3))]
    study: Study = make(trials)
    runs = [made(s, {"seed": i}, name=f"seed-{i}") for i, s in enumerate(others, 1)]
    make(runs, engine="standalone", space=None, name="demo-noise")
    page = write_report(study).read_text()
    assert "<dt>noise floor, 4 seeds</dt><dd>0.021</dd>" in page
    assert "0.51 ± 0.021 over 4 seeds" in (study.folder / "report.md").read_text()
    return summarize(study).verdict


def test_the_best_of_many_must_beat_the_baselines_luck(make: Any, made: Any) -> None:
    told = noisy(make, made, 0.56, 0.53, 0.48, 0.51)
    assert told == (
        "Trial 1 scored 0.56; the published baseline scores 0.51 ± 0.021 over 4 seeds, so the best "
        "of 4 trials may be luck."
    )


def test_a_gain_is_told_in_noise_floors(make: Any, made: Any) -> None:
    told = noisy(make, made, 0.80, 0.53, 0.48, 0.51)
    assert told.endswith("over 4 seeds: better by 0.30, 14.2 noise floors.")
