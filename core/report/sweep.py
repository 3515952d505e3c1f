"""A sweep's grid: what each point scored over its seeds, in words and as CSV."""

from __future__ import annotations

import csv
import io
import itertools
import json
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.report.rows import Row, mapping
from core.report.summary import Summary
from core.report.wording import count, plain

SEED = "seed"


@dataclass(frozen=True)
class Tally:
    """Some of the trials as one number. `scores` are of those that count, `others` the rest."""

    scores: tuple[float, ...]
    others: dict[str, int]

    @property
    def mean(self) -> float | None:
        """The mean score; None where no trial counts."""
        return statistics.fmean(self.scores) if self.scores else None

    @property
    def spread(self) -> tuple[float, float] | None:
        """The lowest and the highest score, where there are several."""
        return (min(self.scores), max(self.scores)) if len(self.scores) > 1 else None

    @property
    def trouble(self) -> str:
        """What became of the trials that do not count, as `2 diverged`; may be ''."""
        alone = not self.scores and sum(self.others.values()) == 1
        return ", ".join(o if alone else f"{n} {o}" for o, n in self.others.items())


@dataclass(frozen=True)
class Point:
    """One point of the grid, seeds aside, with its trials."""

    values: dict[str, Any]
    rows: tuple[Row, ...]
    tally: Tally

    @property
    def label(self) -> str:
        """`lr_g 0.0001, batch_size 8`."""
        return ", ".join(f"{name} {plain(value)}" for name, value in self.values.items())


@dataclass(frozen=True)
class Grid:
    """A sweep's parameters with their values, seeds aside, and its points in grid order."""

    summary: Summary
    axes: dict[str, list[Any]]
    seeds: list[Any]
    points: list[Point]

    @cached_property
    def ranked(self) -> list[Point]:
        """The points with a mean, the best first; those with trials missing come after the rest."""
        reason = -1 if self.summary.maximize else 1

        def order(point: Point) -> tuple[bool, float]:
            return bool(point.tally.others), reason * (point.tally.mean or 0.0)

        return sorted((p for p in self.points if p.tally.scores), key=order)

    @property
    def best(self) -> Point | None:
        """The point with the best mean."""
        return self.ranked[0] if self.ranked else None

    @property
    def over(self) -> str:
        """Over what a point is averaged."""
        return count(max(1, len(self.seeds)), "seed")

    def told(self, tally: Tally) -> str:
        """`0.610 (0.580 to 0.640)`."""
        shown, spread = self.summary.shown, tally.spread
        ends = f" ({shown(spread[0])} to {shown(spread[1])})" if spread else ""
        return shown(tally.mean) + ends

    @property
    def sentences(self) -> list[str]:
        """What the grid comes to, in words."""
        if SEED in self.axes:
            scores = [s for point in self.points for s in point.tally.scores]
            if len(scores) < 2:
                return []
            told, sd = self.told(Tally(tuple(scores), {})), statistics.stdev(scores)
            shown = self.summary.shown(sd)
            return [f"Over {count(len(scores), 'seed')}: mean {told}, standard deviation {shown}."]
        said = []
        for start, point in zip(("Best", "Next"), self.ranked, strict=False):
            mean = f"{start} mean" if len(point.tally.scores) > 1 and start == "Best" else start
            told, over = self.told(point.tally), count(len(point.tally.scores), "seed")
            trouble = f" ({point.tally.trouble})" if point.tally.others else ""
            said.append(f"{mean}: {told} over {over}{trouble}, at {point.label}.")
        return said

    @property
    def plot_caption(self) -> str:
        """What the plot of a single parameter shows."""
        over = "" if SEED in self.axes else f", {self.over} a point"
        return (
            f"{self.summary.objective} against {', '.join(self.axes)}{over}; in the grid's order."
        )


def swept(summary: Summary) -> bool:
    """Whether the study is a sweep."""
    return summary.study.about.get("sampler") == "grid"


def sweep_grid(summary: Summary) -> Grid | None:
    """The grid of a sweep; None for any other study, and where its space cannot be read."""
    if not swept(summary):
        return None
    axes = {name: mapping(spec).get("_value") for name, spec in summary.space.items()}
    values: dict[str, list[Any]] = {n: v for n, v in axes.items() if isinstance(v, list) and v}
    if not values or values.keys() != axes.keys():
        return None
    seeds = values.pop(SEED, []) if len(values) > 1 else []
    found: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in summary.rows:
        if row.task == summary.task and all(name in row.searched for name in axes):
            at = tuple(key(row.params.get(name)) for name in values)
            seed = row.params.get(SEED) if seeds else None
            found.setdefault(at, {})[key(seed)] = row
    counted = {row.record.folder for row in summary.candidates}
    points = []
    for chosen in itertools.product(*values.values()):
        there = found.get(tuple(map(key, chosen)), {})
        rows = [there.get(key(seed)) for seed in (seeds or [None])]
        tally = total([_tally(row, counted) for row in rows])
        known = tuple(row for row in rows if row)
        points.append(Point(dict(zip(values, chosen, strict=True)), known, tally))
    return Grid(summary, values, seeds, points)


def key(value: Any) -> str:
    """A value of a parameter as JSON, by which it is told from others."""
    return json.dumps(value, sort_keys=True)


def _tally(row: Row | None, counted: set[Any]) -> Tally:
    if row is None:
        return Tally((), {"not run": 1})
    if row.record.folder in counted and row.score is not None:
        return Tally((row.score,), {})
    return Tally((), {"broke a guard" if row.completed else row.outcome.replace("_", " "): 1})


def total(tallies: Sequence[Tally]) -> Tally:
    """All their trials as one."""
    scores = tuple(score for tally in tallies for score in tally.scores)
    return Tally(scores, dict(sum((Counter(t.others) for t in tallies), Counter())))


def sweep_csv(grid: Grid) -> str:
    """A row a trial: point, outcome, final score and parts (`part.`), last losses (`loss.`).

    A trial that did not complete has no score and no parts. Numbers are exact.
    """
    names = list(grid.summary.space)
    rows = [row for point in grid.points for row in point.rows]
    parts = list(dict.fromkeys(name for row in rows for name in row.parts))
    losses = list(dict.fromkeys(name for row in rows for e in row.epochs for name in e.losses))
    head = ["trial", *names, "outcome", "score", *(f"part.{p}" for p in parts)]
    head += [*(f"loss.{name}" for name in losses), "epochs_trained", "seconds"]
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(head)
    for row in sorted(rows, key=lambda row: row.number):
        last = row.epochs[-1].losses if row.epochs else {}
        scored = row.parts if row.completed else {}
        line: list[Any] = [row.label, *(_text(row.params.get(n)) for n in names), row.outcome]
        line += [row.score if row.completed else None, *(scored.get(p) for p in parts)]
        line += [*(last.get(name) for name in losses), len(row.epochs), round(row.seconds, 3)]
        table.writerow(line)
    return out.getvalue()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
