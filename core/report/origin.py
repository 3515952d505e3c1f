"""What a study cost, where it comes from, and the commands that make it again."""

from __future__ import annotations

import json
import shlex
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.params import flag
from core.report.rows import Row, mapping, numbers
from core.report.summary import CONDITIONS, Summary


@dataclass(frozen=True)
class Cost:
    """Time and speed over all trials of the study."""

    seconds: float
    epochs: int
    items_per_second: float | None
    slowest: float | None
    fastest: float | None
    hardware: list[str]
    evaluator_seconds: float | None


def cost(summary: Summary) -> Cost:
    """Add it up."""
    lines = [line for row in summary.rows for line in row.epochs]
    rates = [line.items_per_second for line in lines if line.items_per_second > 0]
    return Cost(
        seconds=sum(line.seconds for line in lines),
        epochs=len(lines),
        items_per_second=statistics.median(rates) if rates else None,
        slowest=min(rates, default=None),
        fastest=max(rates, default=None),
        hardware=_distinct(row.about.get("hardware") for row in summary.rows),
        evaluator_seconds=numbers(summary.evaluator).get("seconds"),
    )


@dataclass(frozen=True)
class Origin:
    """Where the numbers come from."""

    commands: list[tuple[str, int]]
    seeds: list[str]
    commits: list[str]
    machines: list[str]
    versions: dict[str, str]
    started: str
    ended: str


def origin(summary: Summary) -> Origin:
    """Collect it; what differs between trials is listed, not hidden."""
    abouts = [summary.study.about, *(row.about for row in summary.rows)]
    commands = [str(about["command"]) for about in abouts if about.get("command")]
    versions: dict[str, str] = {}
    for package in dict.fromkeys(p for about in abouts for p in mapping(about.get("versions"))):
        found = _distinct(mapping(about.get("versions")).get(package) for about in abouts)
        versions[package] = ", ".join(found)
    started = sorted(str(about["started"]) for about in abouts if about.get("started"))
    return Origin(
        commands=Counter(commands).most_common(10),
        seeds=_distinct(row.params.get("seed") for row in summary.rows),
        commits=_distinct(about.get("git") for about in abouts),
        machines=_distinct(about.get("machine") for about in abouts),
        versions=versions,
        started=started[0] if started else "",
        ended=max((row.ended for row in summary.rows), default=""),
    )


def provenance(summary: Summary) -> dict[str, Any]:
    """Where the best trial comes from, or the study where there is no best."""
    about = summary.best.about if summary.best else summary.study.about
    names = ("started", "command", "git", "versions", "machine", "hardware", "engine", "evaluator")
    return {name: about[name] for name in names if name in about}


def train_again(summary: Summary, row: Row) -> str:
    """The command that trains a trial again: every parameter that is not its default."""
    return _command(summary, [], row, row.params)


def train_baseline(summary: Summary) -> str:
    """The command that adds the baseline to the study, in the conditions of its other trials."""
    row = summary.best or next((row for row in summary.rows if row.params), None)
    filed = ["--study", summary.study.name, "--trial", "baseline"]
    params = row.params if row else {}
    kept = [n for n in params if n not in summary.searched]
    if not summary.searched:
        kept = [n for n in kept if n in CONDITIONS]
    return _command(summary, filed, row, {n: params[n] for n in kept})


def _command(summary: Summary, more: list[str], row: Row | None, params: Mapping[str, Any]) -> str:
    words = ["python", "-m", f"trials.{summary.task}"]
    runs = summary.study.folder.parent
    if more and runs != Path("runs"):
        words += ["--runs", str(runs)]
    words += more
    for name, value in params.items():
        if row is None or name not in row.defaults or row.defaults[name] != value:
            words += _flag(name, value)
    return shlex.join(words)


def _flag(name: str, value: Any) -> list[str]:
    text = value if isinstance(value, str) else json.dumps(value)
    return [f"{flag(name)}={text}"] if text.startswith("-") else [flag(name), text]


def _distinct(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(str(v) for v in values if v not in (None, "")))
