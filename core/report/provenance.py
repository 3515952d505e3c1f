"""What a study cost, where its numbers come from, and the commands that make them again."""

from __future__ import annotations

import json
import shlex
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.params import flag
from core.report.rows import Row, mapping, numbers
from core.report.summary import CONDITIONS, Summary

COMMANDS = 10


def cost(summary: Summary) -> dict[str, float | None]:
    """Seconds, epochs and items a second (median, slowest, fastest) over all trials."""
    lines = [line for row in summary.rows for line in row.epochs]
    rates = [line.items_per_second for line in lines if line.items_per_second > 0]
    return {
        "seconds": sum(line.seconds for line in lines),
        "epochs": len(lines),
        "rate": statistics.median(rates) if rates else None,
        "slowest": min(rates, default=None),
        "fastest": max(rates, default=None),
        "evaluator_seconds": numbers(summary.evaluator).get("seconds"),
    }


def origin(rows: Sequence[Row], study: Mapping[str, Any]) -> dict[str, Any]:
    """Where these trials come from; what differs between them is listed, not hidden.

    `study` is what study.json says. The first commands come first.
    """
    records = [study, *(row.about for row in rows)]
    versions = [mapping(record.get("versions")) for record in records]
    return {
        "commands": _distinct(record.get("command") for record in records)[:COMMANDS],
        "seeds": _distinct(row.params.get("seed") for row in rows),
        "commits": _distinct(record.get("git") for record in records),
        "machines": _distinct(record.get("machine") for record in records),
        "hardware": _distinct(record.get("hardware") for record in records),
        "versions": {
            package: ", ".join(_distinct(version.get(package) for version in versions))
            for package in dict.fromkeys(name for version in versions for name in version)
        },
        "started": min((str(r["started"]) for r in records if r.get("started")), default=""),
        "ended": max((row.ended for row in rows), default=""),
    }


def train_again(summary: Summary, row: Row) -> str:
    """The command that trains a trial again: every parameter that is not its default."""
    return _command(summary.task, [], row.params, row.defaults)


def train_baseline(summary: Summary) -> str:
    """The command that adds the baseline to the study, in the conditions of its other trials."""
    row = summary.best or next((row for row in summary.rows if row.params), None)
    runs = summary.study.folder.parent
    words = [] if runs == Path("runs") else ["--runs", str(runs)]
    words += ["--study", summary.study.name, "--trial", "baseline"]
    params = row.params if row else {}
    kept = {n: v for n, v in params.items() if n not in summary.searched}
    if not summary.searched:
        kept = {n: v for n, v in kept.items() if n in CONDITIONS}
    return _command(summary.task, words, kept, row.defaults if row else {})


def _command(
    task: str, words: list[str], params: Mapping[str, Any], defaults: Mapping[str, Any]
) -> str:
    changed = {n: v for n, v in params.items() if n not in defaults or defaults[n] != v}
    flags = [word for name, value in changed.items() for word in _flag(name, value)]
    return shlex.join(["python", "-m", f"trials.{task}", *words, *flags])


def _flag(name: str, value: Any) -> list[str]:
    text = value if isinstance(value, str) else json.dumps(value)
    return [f"{flag(name)}={text}"] if text.startswith("-") else [flag(name), text]


def _distinct(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(str(v) for v in values if v not in (None, "")))
