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


def cost(summary: Summary) -> dict[str, Any]:
    """Seconds, epochs and items a second (median, slowest, fastest) over all trials."""
    lines = [line for row in summary.rows for line in row.epochs]
    rates = [line.items_per_second for line in lines if line.items_per_second > 0]
    return {
        "seconds": sum(line.seconds for line in lines),
        "epochs": len(lines),
        "rates": [statistics.median(rates), min(rates), max(rates)] if rates else None,
        "evaluator_seconds": numbers(summary.evaluator).get("seconds"),
    }


def origin(rows: Sequence[Row], study: Mapping[str, Any]) -> dict[str, list[str]]:
    """Where these trials come from; what differs between them is listed, not hidden.

    `study` is what study.json says. The first commands come first.
    """
    records = [study, *(row.about for row in rows)]
    versions = [mapping(record.get("versions")).items() for record in records]

    def distinct(*keys: str) -> list[str]:
        return _distinct(record.get(key) for key in keys for record in records)

    return {
        "command": distinct("command")[:COMMANDS],
        "seed": _distinct(row.params.get("seed") for row in rows),
        "commit": distinct("git"),
        "machine": distinct("machine", "hardware"),
        "from": sorted(distinct("started"))[:1],
        "to": sorted(row.ended for row in rows)[-1:],
        "versions": _distinct(f"{name} {version}" for of in versions for name, version in of),
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
    params, defaults = (row.params, row.defaults) if row else ({}, {})
    searched = summary.searched
    kept = (n for n in params if (n not in searched if searched else n in CONDITIONS))
    return _command(summary.task, words, {n: params[n] for n in kept}, defaults)


def _command(
    task: str, words: Sequence[str], params: Mapping[str, Any], defaults: Mapping[str, Any]
) -> str:
    flags: list[str] = []
    for name, value in params.items():
        if name not in defaults or defaults[name] != value:
            text = value if isinstance(value, str) else json.dumps(value)
            flags += [f"{flag(name)}={text}"] if text.startswith("-") else [flag(name), text]
    return shlex.join(["python", "-m", f"trials.{task}", *words, *flags])


def _distinct(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(str(v) for v in values if v not in (None, "")))
