"""A study in words: the verdict in one sentence, and what to know before believing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.report.audit import Audit
from core.report.audit_verdict import caution
from core.report.confirmation import Confirmation, candidate
from core.report.confirmation_verdict import conclusion, unfinished
from core.report.exam import read_exam
from core.report.noise import Noise
from core.report.rows import DAMAGED, RUNNING, Row, mapping, numbers
from core.report.summary import Summary
from core.report.sweep import swept
from core.report.wording import count, fixed, signed

ENOUGH_INPUTS = 100


def verdict(summary: Summary) -> str:
    """The study in one sentence."""
    best = summary.best
    if best is None:
        return "No trial has completed, so there is no best trial to report."
    if confirmed := summary.confirmation:
        alike = not confirmed.holdout and confirmed.epochs == best.planned
        return conclusion(confirmed, summary.noise.floor if summary.noise and alike else None)
    return ("No trial kept every guard. " if best.broken else "") + _beside_baseline(summary, best)


def _beside_baseline(summary: Summary, best: Row) -> str:
    """The best trial beside the baseline."""
    baseline, shown = summary.baseline, summary.shown
    if baseline == best:
        if len(summary.candidates) == 1:
            return (
                f"The published baseline (trial {best.label}) scored {shown(best.score)}; "
                "no other trial completed, so nothing has been compared with it."
            )
        return (
            f"Nothing beat the published baseline: trial {best.label}, the baseline itself, "
            f"scored best, with {shown(best.score)}."
        )
    scored = f"Trial {best.label} scored {shown(best.score)}"
    if baseline is None:
        return f"{scored}; no trial ran the published baseline, so nothing says what that is worth."
    named = f"the published baseline (trial {baseline.label})"
    if summary.compared is None:
        ended = baseline.outcome.replace("_", " ")
        return f"{scored}; {named} did not complete ({ended}), so nothing compares."
    if len(baseline.broken) > len(best.broken):
        worse = f"scored {shown(baseline.score)} but breaks {_listed(baseline.broken)}"
        return f"{scored}; {named} {worse}, so it cannot win."
    if summary.noise:
        return f"{scored}; {_beyond_noise(summary, best, summary.noise)}"
    if not summary.beaten:
        return f"{scored}: no better than {named}, which scored {shown(baseline.score)}."
    lower = "" if summary.maximize else " (lower is better)"
    gain = signed(summary.difference, summary.places)
    return f"{scored}; {named} scored {shown(baseline.score)}: {gain}{lower}."


def _beyond_noise(summary: Summary, best: Row, noise: Noise) -> str:
    """The best score beside what the baseline scores with one seed or another."""
    assert best.score is not None
    seeds, trials = len(noise.scores), len(summary.candidates)
    spread = f"{summary.shown(noise.mean)} ± {fixed(noise.floor, summary.places + 1)}"
    usual = f"the published baseline scores {spread} over {seeds} seeds"
    gain = (best.score - noise.mean) * (1 if summary.maximize else -1)
    if gain <= noise.luck(trials):
        return f"{usual}, so the best of {count(trials, 'trial')} may be luck."
    worth = f", {gain / noise.floor:.1f} noise floors" if noise.floor else ""
    return f"{usual}: better by {fixed(gain, summary.places)}{worth}."


def cautions(summary: Summary, audit: Audit | None = None) -> list[str]:
    """What to know before believing the verdict, the gravest first."""
    best, baseline = summary.best, summary.baseline
    notes = []
    if best and best.broken:
        notes.append(
            f"The best trial breaks {_listed(best.broken)}, and no other breaks fewer guards: its "
            "score does not say that its outputs are any good. Train longer, or search elsewhere."
        )
    if best and baseline and (unlike := summary.unlike(baseline)):
        told = ", ".join(f"{n} {best.params[n]} and {baseline.params[n]}" for n in unlike)
        notes.append(f"Best and baseline were not trained alike, so they compare badly: {told}.")
    if best:
        trials = len(summary.candidates)
        flattered = f" The best of {trials} scores is also the luckiest." if trials > 1 else ""
        seeds = mapping(summary.space.get("seed")).get("_value")
        if swept(summary) and isinstance(seeds, list) and len(seeds) > 1:
            notes.append(
                f"The best trial is one seed of its point.{flattered} Compare the means over "
                f"{len(seeds)} seeds and their ranges, under The grid."
            )
        elif not summary.confirmation:
            known = "" if summary.noise else ", and there is no estimate of the noise yet"
            notes.append(
                f"One run per point is one seed: a difference may be noise{known}.{flattered} "
                f"`gantune confirm {summary.study.name}` trains the best again with common seeds."
            )
        if summary.confirmation:
            notes += _cautions_of_confirming(summary, summary.confirmation, best)
    notes += [caution(audit)] if audit else []
    notes += _cautions_of_judging(summary)
    row = best or next(iter(summary.rows), None)
    told_of_data = row.about.get("notes") if row else None
    notes += map(str, told_of_data) if isinstance(told_of_data, list) else []
    if others := sorted({row.task for row in summary.rows if row.task} - {summary.task}):
        notes.append(
            f"The folder also holds trials of {', '.join(others)}: listed, but not compared."
        )
    if running := summary.outcomes.get(RUNNING):
        notes.append(f"{count(running, 'trial')} still running: this is not the last word.")
    if damaged := summary.outcomes.get(DAMAGED):
        notes.append(f"{count(damaged, 'damaged record')}, left out of the comparison.")
    return notes


def _cautions_of_confirming(summary: Summary, confirmed: Confirmation, best: Row) -> list[str]:
    """What is left to be confirmed."""
    study, tried = summary.study.name, {*confirmed.candidates, *confirmed.same}
    notes = [unfinished(confirmed, study)] if confirmed.waiting else []
    if best != summary.baseline and candidate(best) not in tried:
        notes.append(
            f"Trial {best.label}, by now the best of the search, has not been confirmed: "
            f"`gantune confirm {study}` trains it too."
        )
    return notes


def _listed(guards: Sequence[str]) -> str:
    """`the guard pale`, `the guards ink and pale`."""
    named = " and ".join(filter(None, [", ".join(guards[:-1]), *guards[-1:]]))
    return f"the guard{'s' if len(guards) > 1 else ''} {named}"


def _cautions_of_judging(summary: Summary) -> list[str]:
    exam = read_exam(summary.evaluator)
    notes = [exam.sentence] if exam and not exam.passed else []
    last = summary.confirmation.exam if summary.confirmation else None
    if last and not last.passed and last != exam:
        notes.append(f"The evaluator that confirmed has failed its own exam: {last.tricks}.")
    inputs = summary.best.parts.get("inputs") if summary.best else None
    if inputs is not None and inputs < ENOUGH_INPUTS:
        notes.append(
            f"Judged on all {inputs:.0f} validation inputs there are, fewer than {ENOUGH_INPUTS}: "
            "one odd picture moves the score."
        )
    if summary.evaluator.get("weak"):
        notes.append(
            "The evaluator is weak: on held-out images it is hardly better than guessing. Its scores "
            "mean little."
        )
    same = {"seconds", "exam"}
    evaluators = [
        {k: v for k, v in r.evaluator.items() if k not in same} for r in summary.candidates
    ]
    if any(evaluator != evaluators[0] for evaluator in evaluators):
        notes.append(
            "The trials were scored by different evaluators, so their scores compare badly."
        )
    return notes


def confusion(evaluator: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The evaluator's confusion on held-out data, truth -> answer -> count; may be empty."""
    rows = {str(k): numbers(v) for k, v in mapping(evaluator.get("confusion")).items()}
    return rows if all(rows.values()) else {}


def accuracy(evaluator: dict[str, Any]) -> float | None:
    """How much of held-out data the evaluator gets right, from 0 to 1, where that was measured."""
    return numbers(evaluator).get("accuracy")
