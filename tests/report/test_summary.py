"""Which trial is best, which is the baseline, and what the report says of the two."""

from __future__ import annotations

from typing import Any

import pytest

from core.files import write_json
from core.record import Record, Study
from core.report.cautions import cautions
from core.report.parameters import best_parameters
from core.report.summary import Summary, summarize
from core.task import OutcomeKind


def labels(summary: Summary) -> tuple[str | None, str | None]:
    best, baseline = summary.best, summary.baseline
    return best and best.label, baseline and baseline.label


@pytest.mark.parametrize(
    ("direction", "scores", "expected"),
    [
        (
            "maximize",
            (0.48, 0.3, 0.61),
            "Trial 2 scored 0.610; the published baseline (trial 0) scored 0.480: +0.130.",
        ),
        (
            "minimize",
            (0.48, 0.3, 0.61),
            "Trial 1 scored 0.300; the published baseline (trial 0) scored 0.480: "
            "−0.180 (lower is better).",
        ),
        (
            "maximize",
            (0.48, 0.3, 0.2),
            "Nothing beat the published baseline: trial 0, the baseline itself, scored best, "
            "with 0.480.",
        ),
        (
            "minimize",
            (0.2, 0.3, 0.4),
            "Nothing beat the published baseline: trial 0, the baseline itself, scored best, "
            "with 0.200.",
        ),
        (
            "maximize",
            (0.48, 0.4801, 0.2),
            "Trial 1 scored 0.480: no better than the published baseline (trial 0), which scored "
            "0.480.",
        ),
    ],
)
def test_verdict_with_a_baseline(
    make: Any, made: Any, direction: str, scores: tuple[float, ...], expected: str
) -> None:
    weights = (1.0, 2.0, 3.0)
    trials = [made(s, {"weight": w}) for s, w in zip(scores, weights, strict=True)]
    assert summarize(make(trials, direction=direction)).verdict == expected


def test_gain_is_above_zero_where_the_best_is_better(make: Any, made: Any) -> None:
    trials = [made(10.0), made(8.0, {"weight": 2.0})]
    assert summarize(make(trials, direction="minimize")).gain == pytest.approx(2.0)
    assert summarize(make([made(10.0), made(12.0, {"weight": 2.0})], name="up")).gain == 2.0


def test_no_baseline(make: Any, made: Any) -> None:
    summary = summarize(make([made(0.5, {"weight": 2.0}), made(0.4, {"rate": 0.05})]))
    assert labels(summary) == ("0", None)
    assert "no trial recorded here ran the published baseline" in summary.verdict
    assert summary.gain is None


def test_a_baseline_that_did_not_complete_is_not_compared(make: Any, made: Any) -> None:
    trials = [made(0.7, outcome=OutcomeKind.DIVERGED, reason="nan"), made(0.5, {"weight": 2.0})]
    summary = summarize(make(trials))
    assert labels(summary) == ("1", "0")
    assert summary.compared is None
    assert "(trial 0) did not complete (diverged)" in summary.verdict


def test_only_completed_trials_are_compared(make: Any, made: Any) -> None:
    others = [o for o in OutcomeKind if o is not OutcomeKind.COMPLETED]
    trials = [made(0.9, {"weight": 2.0}, outcome=o) for o in [*others, None]]
    stopped = summarize(make(trials))
    assert {row.outcome for row in stopped.candidates} == {"pruned", "interrupted"}
    assert stopped.verdict.startswith("No trial has come to its last epoch.")
    wrong = [t for t in trials if t.outcome not in (OutcomeKind.PRUNED, OutcomeKind.INTERRUPTED)]
    assert summarize(make(wrong, name="wrong")).best is None
    summary = summarize(make([made(0.2, {"weight": 3.0}), *trials], name="two"))
    assert labels(summary) == ("0", None)
    assert summary.outcomes == {"completed": 1, "killed": 1} | {str(o): 1 for o in others}


def test_a_trial_that_breaks_a_guard_is_not_best(make: Any, made: Any) -> None:
    trials = [made(0.4), made(0.9, {"weight": 2.0}, violations={"copying": 0.2})]
    assert labels(summarize(make(trials))) == ("0", "0")


def test_trials_that_completed_and_broke_a_guard_are_not_passed_over(make: Any, made: Any) -> None:
    illegible, pale = {"illegible": 0.4, "pale": -0.1}, {"illegible": 0.1, "pale": 0.2}
    others = [made(0.9, {"weight": w}, violations=illegible) for w in (2.0, 3.0)]
    summary = summarize(make([made(0.4), *others], name="kept"))
    assert [row.label for row in summary.ruled_out] == ["1", "2"]
    assert summary.verdict == (
        "The published baseline (trial 0) scored 0.400; 2 other trials completed but broke the "
        "guard illegible, so nothing has been compared with it."
    )
    worse = [made(0.9, {"weight": 2.0}, violations=pale), made(outcome=OutcomeKind.DIVERGED)]
    summary = summarize(make([made(0.4, violations=illegible), *worse], name="broken"))
    assert summary.verdict == (
        "The published baseline (trial 0) scored 0.400; 1 other trial completed but broke the "
        "guards illegible and pale, more than it, so nothing has been compared with it."
    )
    summary = summarize(make([made(0.4), made(0.3, {"rate": 0.05}), *others], name="second"))
    assert summary.verdict == (
        "Nothing beat the published baseline: trial 0, the baseline itself, scored best, with "
        "0.400; 2 other trials completed but broke the guard illegible."
    )
    alone = [made(0.4), made(0.9, outcome=OutcomeKind.COLLAPSED, violations=illegible)]
    assert "no other trial completed" in summarize(make(alone, name="alone")).verdict


def test_a_baseline_that_breaks_a_guard_is_not_what_the_best_has_to_beat(
    make: Any, made: Any
) -> None:
    trials = [made(0.9, violations={"muddy": 0.1}), made(0.5, {"weight": 2.0})]
    assert summarize(make(trials)).verdict == (
        "Trial 1 scored 0.500; the published baseline (trial 0) scored 0.900 but breaks the guard "
        "muddy, so it cannot win."
    )


def test_where_no_trial_keeps_its_guards_the_fewest_broken_lead_and_it_is_said(
    make: Any, made: Any
) -> None:
    both = {"copying": 0.2, "muddy": 0.1}
    trials = [
        made(0.9, {"weight": 2.0}, violations=both),
        made(0.5, {"weight": 3.0}, violations={**both, "muddy": -0.1}),
        made(0.6, {"weight": 4.0}, violations={**both, "copying": -0.1}),
    ]
    summary = summarize(make(trials))
    assert summary.best
    assert (summary.best.label, summary.best.broken) == ("2", ["muddy"])
    assert summary.verdict.startswith("No trial kept every guard. Trial 2 scored 0.600")
    assert (
        "The best trial breaks the guard muddy, and no other breaks fewer" in cautions(summary)[0]
    )


def test_a_trial_with_a_live_process_runs_and_one_without_was_killed(make: Any, made: Any) -> None:
    study: Study = make([made(0.4), made(0.2, {"weight": 2.0}, outcome=None)])
    assert [row.outcome for row in summarize(study).rows] == ["completed", "killed"]
    with Record(study.folder / "0001").running():
        summary = summarize(study)
    assert [row.outcome for row in summary.rows] == ["completed", "running"]
    assert any("1 trial still running" in c for c in cautions(summary))


def test_a_standalone_trial_with_the_defaults_is_an_nni_studys_baseline(
    make: Any, made: Any
) -> None:
    alone = {"engine": "standalone", "searched": []}
    trials = [
        made(0.5, {"weight": 2.0}, name="AbC"),
        made(0.6, {"weight": 3.0}, name="dEf"),
        made(0.4, name="baseline", number=0, about=alone),
    ]
    summary = summarize(make(trials, engine="nni", space=None))
    assert labels(summary) == ("1", "baseline")
    assert summary.searched == ("rate", "weight")


def test_of_two_baselines_the_one_in_the_bests_conditions_is_taken(make: Any, made: Any) -> None:
    trials = [made(0.5, {"width": 8}), made(0.4), made(0.6, {"weight": 2.0})]
    assert labels(summarize(make(trials))) == ("2", "1")


def test_other_conditions_are_mentioned(make: Any, made: Any) -> None:
    trials = [made(0.5, {"width": 8, "device": "cpu"}), made(0.6, {"weight": 2.0})]
    notes = cautions(summarize(make(trials)))
    assert notes[0].endswith("compare badly: width 64 and 8.")


def test_standalone_trials_differ_in_what_was_searched(make: Any, made: Any) -> None:
    trials = [made(0.6, {"weight": 2.0}, name="a", number=0), made(0.5, name="b", number=0)]
    summary = summarize(make(trials, engine="standalone", space=None))
    assert summary.searched == ("weight",)
    assert labels(summary) == ("a", "b")


@pytest.mark.parametrize(("params", "baseline"), [({}, "a"), ({"weight": 2.0}, None)])
def test_a_lone_standalone_trial_is_the_baseline_only_with_the_defaults(
    make: Any, made: Any, params: dict[str, Any], baseline: str | None
) -> None:
    study = make([made(0.6, {"epochs": 9, **params}, name="a")], engine="standalone", space=None)
    assert labels(summarize(study)) == ("a", baseline)


def test_trials_of_another_task_are_not_compared(make: Any, made: Any) -> None:
    trials = [made(0.5), made(0.9, {"weight": 2.0}, about={"task": "else"})]
    summary = summarize(make(trials))
    assert labels(summary) == ("0", "0")
    assert any("trials of else" in c for c in cautions(summary))


@pytest.mark.parametrize(("inputs", "mentioned"), [(48.0, True), (100.0, False)])
def test_few_inputs_are_mentioned(make: Any, made: Any, inputs: float, mentioned: bool) -> None:
    notes = cautions(summarize(make([made(0.5, inputs=inputs)])))
    few = "all 48 validation inputs there are, fewer than 100"
    assert mentioned == any(few in note for note in notes)


@pytest.mark.parametrize("weak", [True, False])
def test_a_weak_evaluator_is_mentioned(make: Any, made: Any, weak: bool) -> None:
    summary = summarize(make([made(0.5, about={"evaluator": {"accuracy": 0.6, "weak": weak}})]))
    assert ("evaluator is weak" in " ".join(cautions(summary))) is weak


def test_the_seed_the_data_and_different_evaluators_are_mentioned(make: Any, made: Any) -> None:
    about = {"notes": ["2 images were left out."], "evaluator": {"accuracy": 0.5}}
    notes = " ".join(cautions(summarize(make([made(0.5), made(0.6, {"rate": 0.1}, about=about)]))))
    assert "with one seed: a difference may be noise" in notes
    assert "The best of 2 scores is also the luckiest" in notes
    assert "2 images were left out." in notes
    assert "different evaluators" in notes


@pytest.mark.parametrize(
    "about",
    [{"data_fingerprint": "b"}, {"evaluator": {"evaluator": "painting", "weights": "resnet18"}}],
    ids=str,
)
def test_a_baseline_on_other_data_or_of_another_evaluator_is_not_compared_with(
    make: Any, made: Any, about: dict[str, Any]
) -> None:
    first = {"data_fingerprint": "a", "evaluator": {"evaluator": "painting", "weights": "lite0"}}
    trials = [made(0.1, about=first), made(0.4, {"rate": 0.1}, about={**first, **about})]
    summary = summarize(make(trials))
    assert (summary.compared, summary.gain) == (None, None)
    assert "was scored on other data or by another evaluator, so nothing" in summary.verdict
    assert "different evaluators or on different data" in " ".join(cautions(summary))


def test_of_two_baselines_the_one_on_the_bests_data_is_taken(make: Any, made: Any) -> None:
    other = {"data_fingerprint": "b"}
    trials = [made(0.1, about={"data_fingerprint": "a"}), made(0.4, {"rate": 0.1}, about=other)]
    summary = summarize(make([*trials, made(0.2, about=other)]))
    assert labels(summary) == ("1", "2")
    assert summary.gain == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("trial.json", "{"),
        ("trial.json", '{"params": [], "searched": 3, "objective": "up", "evaluator": 1}'),
        ("outcome.json", '{"outcome": "glorious", "reason": "", "score": null}'),
        ("outcome.json", '{"outcome": "completed"}'),
        ("outcome.json", '{"outcome": "completed", "reason": "", "score": {"value": NaN}}'),
        ("epochs.jsonl", '{"epoch": 1'),
        ("epochs.jsonl", '{"epoch": "x", "losses": 1, "value": NaN, "parts": [], "violations": 0, '
         '"seconds": null, "items_per_second": "fast"}'),
    ],
)  # fmt: skip
def test_a_damaged_record_spoils_nothing_else(make: Any, made: Any, file: str, text: str) -> None:
    study: Study = make([made(0.5), made(0.4, {"weight": 2.0}), made(0.1, {"weight": 3.0})])
    (study.folder / "0002" / file).write_text(text)
    summary = summarize(study)
    assert len(summary.rows) == 3
    assert labels(summary) == ("0", "0")
    if file != "epochs.jsonl":
        assert [row.outcome for row in summary.rows].count("completed") == 2


def test_ranges_and_their_ends(make: Any, made: Any) -> None:
    trials = [made(0.5), made(0.6, {"weight": 0.1, "rate": 0.05})]
    weight, rate = best_parameters(summarize(make(trials)))[0]
    assert (weight.name, weight.range, weight.edge) == ("weight", "0.1 to 10, log", "lower")
    assert (rate.range, rate.edge) == ("0 to 0.1", "")
    for value, edge in ((9.9, "upper"), (0.105, "lower"), (0.15, ""), (99.0, ""), (1.0, "")):
        trials = [made(0.5), made(0.6, {"weight": value})]
        weight, _ = best_parameters(summarize(make(trials, name=f"w{value}")))[0]
        assert weight.edge == edge, value


def test_a_space_that_cannot_be_read_leaves_ranges_out(make: Any, made: Any) -> None:
    study: Study = make([made(0.5), made(0.6, {"weight": 2.0})])
    odd = {"weight": {"_type": "uniform", "_value": ["a", None]}, "rate": 3}
    write_json(study.folder / "study.json", {"task": "toy", "space": odd})
    summary = summarize(Study.open(study.folder.parent, study.name))
    found = [(p.name, p.best, p.range, p.edge) for p in best_parameters(summary)[0]]
    assert found == [("weight", 2.0, "", ""), ("rate", 0.001, "", "")]


def test_a_trial_is_called_by_its_number_where_an_engine_counted_it(make: Any, made: Any) -> None:
    study = make([made(0.5), made(0.6, name="trial-0003-seed-1", number=1)])
    assert [row.label for row in summarize(study).rows] == ["0", "trial-0003-seed-1"]
    study = make([made(0.5, name="AbC"), made(0.6, number=0, name="xYz")], "nni", name="nni")
    assert [row.label for row in summarize(study).rows] == ["0 (AbC)", "0 (xYz)"]
