"""The evaluators under runs/evaluators: whole, good enough to believe, and those the studies had.

Those that failed their exam are named too: a search may win by what games them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.doctor.finding import Finding, note, warning
from core.files import read_json
from core.metrics.exam import VERSION, sentence

# What each evaluator says of itself, and the least of it a search may rely on.
RELIABLE = {
    "painting": ("accuracy", 0.8, "held-out accuracy"),
    "glyph": ("reads_targets", 0.9, "share of the target font's glyphs it reads right"),
}
SHOWN = 3


def check(runs: Path) -> list[Finding]:
    """Check the evaluators that are kept, and find the studies whose evaluator is gone."""
    kept: list[Mapping[str, Any]] = []
    wrong: list[Finding] = []
    homes = sorted(path for path in (runs / "evaluators").glob("*-*") if path.is_dir())
    for home in homes:
        facts = read_json(home / "evaluator.json")
        if damage := _damage(home, facts):
            remedy = "remove the folder; the next search trains it anew"
            wrong.append(warning(home, damage, remedy))
        elif facts:
            kept.append(facts)
            wrong += _weak(home, facts)
    if not homes:
        wrong.append(note(runs / "evaluators", "no evaluator yet: the first search trains one"))
    exams = sorted((runs / "evaluators").glob("exam-*.json"))
    return wrong + [finding for path in exams for finding in _gamed(path)] + _missing(runs, kept)


def _damage(home: Path, facts: Mapping[str, Any]) -> str:
    """What is wrong with the files; a folder without any is an evaluator still being trained."""
    network = home / "evaluator.pt"
    if not network.exists() and not (home / "evaluator.json").exists():
        return ""
    if not network.exists():
        return "evaluator.pt is gone"
    if not facts:
        return "evaluator.json is gone, or no JSON"
    try:
        with zipfile.ZipFile(network) as archive:
            bad = archive.testzip()
    except (OSError, zipfile.BadZipFile) as problem:
        return f"evaluator.pt is damaged ({problem})"
    return f"evaluator.pt is damaged ({bad})" if bad else ""


def _weak(home: Path, facts: Mapping[str, Any]) -> list[Finding]:
    key, least, meaning = RELIABLE.get(str(facts.get("evaluator")), ("", 0.0, ""))
    figure = facts.get(key)
    if not isinstance(figure, int | float):
        return []
    says = f"{meaning} {figure:.2f}"
    if figure >= least and not facts.get("weak"):
        return [note(home, says)]
    what = f"a weak evaluator: {says}, below {least:g}; a search may win by fooling it"
    return [warning(home, what, "give it more, or clearer, training images")]


def _gamed(path: Path) -> list[Finding]:
    """An exam that an evaluator has failed; one of another version is not read any more."""
    exam = read_json(path)
    if exam.get("version", VERSION) != VERSION:
        return []
    try:
        if exam["passed"]:
            return []
        told = sentence(exam).removeprefix("exam: FAILED; ")
        what = (
            f"an evaluator of the kind {exam['evaluator']['evaluator']} has failed its exam: {told}"
        )
    except (KeyError, TypeError):
        return [warning(path, "the exam is damaged", "remove the file; the next search sits it")]
    remedy = "a search may win by what games it: give it more or clearer images, or remove the file"
    return [warning(path, what, remedy)]


def _missing(runs: Path, kept: list[Mapping[str, Any]]) -> list[Finding]:
    """Studies judged by an evaluator that is not kept: another takes its place, unlike it."""
    there = [set(_identity(facts)) for facts in kept]
    gone: list[str] = []
    for file in sorted(runs.glob("*/*/trial.json")):
        evaluator = read_json(file).get("evaluator")
        if (
            isinstance(evaluator, dict)
            and evaluator
            and not _kept(set(_identity(evaluator)), there)
        ):
            gone += [name] if (name := file.parent.parent.name) not in gone else []
    named = ", ".join(gone[:SHOWN]) + (f" and {len(gone) - SHOWN} more" if gone[SHOWN:] else "")
    what = f"the evaluator of {named} is not here: another is trained, and their scores may differ"
    remedy = "copy it from where the study ran"
    return [warning(runs / "evaluators", what, remedy)] if gone else []


def _kept(wanted: set[tuple[str, str]], there: Sequence[set[tuple[str, str]]]) -> bool:
    """Whether a network of it is there; a study may say more of its evaluator than its networks do."""
    return any(facts <= wanted for facts in there)


def _identity(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What makes it this evaluator: its kind, its data and how it was asked to be made."""
    return ((key, value) for key, value in facts.items() if isinstance(value, str))
