"""An evaluator's exam: known-bad outputs must lie far below good ones, or a search rewards them.

It is sat once for an evaluator and its data, before the first search, and kept in the folder of
evaluators; every trial's record has its result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from core.files import now, read_json, write_json
from core.metrics.cache import counted
from core.task import Case, Data, Evaluator, Objective, Score

VERSION = 4
MARGIN = 0.5  # of the good outputs' score, where the evaluator has no `margin` of its own
NOISE = 0.1  # of the good outputs' score, that a ladder's step may fall by
ExamPolicy = Literal["pass", "sit", "skip"]  # an evaluator has to pass its exam, to sit it, neither


class ExamFailed(Exception):
    """An evaluator that can be gamed; the message says by what, and what to do."""


def sit(
    evaluator: Evaluator, data: Data, say: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Score every case of the exam; progress is said. Returns JSON.

    A good output is the reference, the best one that breaks the fewest guards. A bad one passes
    where its value is below the evaluator's margin of the reference's (above its inverse, where
    lower is better), or where it breaks a guard that the reference keeps, so that it cannot win.
    Along each ladder the value must rise.
    """
    objective, inputs = evaluator.objectives[0], 0
    margin: float = getattr(evaluator, "margin", MARGIN)
    scored: list[tuple[Case, Score]] = []
    for case in counted(evaluator.exam(data), "exam: cases", say):
        scored.append((replace(case, outputs=None), evaluator(case.outputs)))
        inputs = max(inputs, len(case.outputs.output))
    reference = _reference([score for case, score in scored if case.good], objective)
    cases = [_result(*one, reference, objective, margin) for one in scored]
    ladders = _ladders(scored, reference, objective)
    return {
        "version": VERSION,
        "objective": {"name": objective.name, "direction": objective.direction},
        "margin": margin,
        "reference": reference.value,
        "inputs": inputs,
        "passed": all(result["passed"] for result in [*cases, *ladders]),
        "cases": cases,
        "ladders": ladders,
        "written": now(),
    }


def _reference(good: list[Score], objective: Objective) -> Score:
    fewest = min(len(score.broken) for score in good)
    pick = max if objective.direction == "maximize" else min
    return pick((s for s in good if len(s.broken) == fewest), key=lambda score: score.value)


def _result(
    case: Case, score: Score, reference: Score, objective: Objective, margin: float
) -> dict[str, Any]:
    if objective.direction == "maximize":
        far_below = score.value < margin * reference.value
    else:
        far_below = score.value > reference.value / margin
    guarded = len(score.broken) > len(reference.broken)
    return {
        "name": case.name,
        "good": case.good,
        "value": score.value,
        "parts": dict(score.parts),
        "broken": score.broken,
        "passed": case.good is not False or guarded or far_below,
    }


def _ladders(
    scored: list[tuple[Case, Score]], reference: Score, objective: Objective
) -> list[dict[str, Any]]:
    """Each ladder's cases and values, in their order, and whether no step goes down."""
    found = []
    for name in dict.fromkeys(name for case, _ in scored for name in case.ladders):
        steps = [(case.name, score.value) for case, score in scored if name in case.ladders]
        values = [value for _, value in steps]
        sign = 1 if objective.direction == "maximize" else -1
        least = min((sign * (b - a) for a, b in pairwise(values)), default=0.0)
        passed = least >= -NOISE * abs(reference.value)
        found.append({"name": name, "steps": dict(steps), "passed": passed})
    return found


def kept_exam(runs: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The exam that the evaluator with these facts has sat; {} where it has not."""
    return read_json(_path(runs, facts))


def sit_once(
    evaluator: Evaluator,
    data: Data,
    facts: Mapping[str, Any],
    runs: Path,
    say: Callable[[str], None],
    again: bool = False,
) -> dict[str, Any]:
    """The evaluator's exam, sat unless it is kept (or `again`); parallel workers sit it once."""
    path = _path(runs, facts)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        exam = {} if again else kept_exam(runs, facts)
        if not exam:
            say("exam: the evaluator scores outputs that must not win (once per evaluator)")
            exam = sit(evaluator, data, say)
            exam["evaluator"] = _without_exam(facts)
            write_json(path, exam)
    return exam


def _without_exam(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name != "exam"}


def _path(runs: Path, facts: Mapping[str, Any]) -> Path:
    text = json.dumps([VERSION, _without_exam(facts)], sort_keys=True)
    return runs / "evaluators" / f"exam-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def sentence(exam: Mapping[str, Any]) -> str:
    """The exam in a sentence."""
    bad = [case for case in exam["cases"] if case["good"] is False]
    failed = [case for case in bad if not case["passed"]]
    good = f"good outputs score {exam['reference']:.3g}"
    if failed:
        names = ", ".join(f"{case['name']} {case['value']:.3g}" for case in failed[:4])
        more = f" and {len(failed) - 4} more" if failed[4:] else ""
        return f"exam: FAILED; {good}, and these are not far below: {names}{more}"
    if broken := [ladder for ladder in exam.get("ladders", []) if not ladder["passed"]]:
        steps = ", ".join(f"{name} {value:.3g}" for name, value in broken[0]["steps"].items())
        return f"exam: FAILED; the score must not fall along: {steps}"
    pick = max if exam["objective"]["direction"] == "maximize" else min
    unguarded = [case for case in bad if not case["broken"]] or bad
    nearest = pick(unguarded, key=lambda case: float(case["value"]))
    return (
        f"exam: passed; {good}, and of {len(bad)} ways to cheat none comes near: "
        f"the nearest, {nearest['name']}, has {nearest['value']:.3g}"
    )


def table(exam: Mapping[str, Any]) -> str:
    """The cases in columns: the value, as a share of the good outputs', the result, the guards."""
    rows = [("case", exam["objective"]["name"], "of good", "", "guards broken")]
    for case in exam["cases"]:
        share = case["value"] / exam["reference"] if exam["reference"] else float("inf")
        result = {True: "good", None: "between"}.get(case["good"])
        result = result or ("passed" if case["passed"] else "FAILED")
        figures = (f"{case['value']:.3g}", f"{share:.2g}")
        rows.append((case["name"], *figures, result, ", ".join(case["broken"])))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    form = "  ".join(f"{{:{side}{width}}}" for side, width in zip("<>><<", widths, strict=True))
    return "\n".join(form.format(*row).rstrip() for row in rows)


def failure(exam: Mapping[str, Any]) -> str:
    """What is wrong with an evaluator that has failed, and what to do about it."""
    return (
        "the evaluator can be gamed, so a search would reward what games it: "
        f"{sentence(exam).removeprefix('exam: FAILED; ')}. Give it more or clearer training "
        "images, or search all the same with --ignore-exam"
    )


def brief(exam: Mapping[str, Any]) -> dict[str, Any]:
    """What every record keeps of it."""
    shown = ("name", "good", "value", "broken", "passed")
    cases = [{name: case[name] for name in shown} for case in exam["cases"]]
    facts = ("passed", "reference", "margin", "inputs")
    return {**{name: exam[name] for name in facts}, "cases": cases, "ladders": exam["ladders"]}
