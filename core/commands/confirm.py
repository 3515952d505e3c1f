"""gantune confirm: train the best trials and the baseline again, with common seeds."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.catalog import load_task
from core.commands.report import publish
from core.commands.tune import add_rerun_flags, machine, positive
from core.record import Study, provenance, read_json, valid_name, write_json
from core.task import SURROUNDINGS, Params, Task, UserError

if TYPE_CHECKING:
    from core.report.rows import Row
    from core.report.summary import Summary

SUMMARY = "train a study's best trials and the baseline again: who wins, and how sure is that"


@dataclass(frozen=True)
class Candidates:
    """Parameters by candidate, the baseline among them; `same`: trials that are one of them.

    Those differ in nothing but the seed.
    """

    params: dict[str, Params]
    same: dict[str, str]


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Which study, and how thoroughly."""
    parser.add_argument("study", help="the study's name")
    parser.add_argument("--top", type=positive, default=5, help="how many of its trials (5)")
    parser.add_argument("--seeds", type=positive, default=3, help="seeds of each (3)")
    parser.add_argument("--epochs", type=positive, help="epochs of each run (the study's)")
    add_rerun_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Make the runs, the hopeless dropping out on the way, and write the study's report."""
    from core.repeat import Run, Runs, make_runs
    from core.report.confirmation import BASELINE, SUFFIX, run_name
    from core.report.summary import summarize

    summary = summarize(Study.open(arguments.runs, valid_name(arguments.study)))
    study = arguments.study + SUFFIX
    path = arguments.runs / study / "confirm.json"
    task = load_task(summary.task)
    before = read_json(path)
    candidates = _candidates(task, summary, arguments, _listed(before, "candidates"))
    seeds = _seeds(summary, _listed(before, "seeds"), arguments.seeds)
    _settle(path, task, candidates, seeds)
    examined = not task.unseen
    there, names = dict(candidates.params), list(candidates.params)
    for done in range(2, max(2, len(seeds)) + 1):  # two seeds at first: one tells nothing
        wanted = tuple(
            Run(
                run_name(name, seed),
                1 + seeds.index(seed) * len(names) + names.index(name),
                with_seed(there[name], seed),
                summary.searched,
            )
            for seed in seeds[:done]
            for name in there
        )
        runs = Runs(task.name, arguments.runs, study, wanted, unseen=True)
        if not examined and not all(runs.ended(run) for run in wanted):
            _examine(task, candidates.params[BASELINE], arguments.runs)
            examined = True
        make_runs(runs, arguments.workers)
        if confirmation := summarize(summary.study).confirmation:
            for name, why in confirmation.dropouts(done).items():
                if there.pop(name, None):
                    print(f"{confirmation.named(name, True)} drops out: {why}")
    publish(arguments.runs, arguments.study)
    return 0


def _examine(task: Task, params: Params, runs: Path) -> None:
    """Have the judge that no search uses sit its exam; where it fails, that is told."""
    from core.device import use
    from core.progress import Progress
    from core.run import prepare

    use(params)
    with Progress() as progress:
        prepare(task.judged_anew(), params, progress, runs, "sit")


def with_seed(params: Params, seed: int) -> Params:
    """The same with another seed."""
    return params.model_copy(update={"seed": seed})


def _candidates(
    task: Task, summary: Summary, arguments: argparse.Namespace, known: Sequence[str]
) -> Candidates:
    """The best trials, those `known` from before, and the baseline; each configuration once."""
    from core.report.confirmation import BASELINE, candidate

    if summary.best is None:
        raise UserError(
            f"{summary.study.folder}: no trial has completed, so there is none to confirm"
        )
    if "epochs" in summary.searched and not arguments.epochs:
        raise UserError(
            f"study {summary.study.name!r} searches epochs, so its trials are of different "
            "lengths: say by --epochs how long each of them is to be trained"
        )
    changes = machine(arguments) | ({"epochs": arguments.epochs} if arguments.epochs else {})
    usual = task.params().model_dump()
    default = {name: usual[name] for name in summary.searched if name in usual}
    baseline = _params(task, summary.best, {**default, **changes})
    first, same = {_point(baseline): BASELINE}, dict[str, str]()
    found: dict[str, Params] = {}
    ranked = sorted(summary.candidates, key=lambda row: row.score or 0.0, reverse=summary.maximize)
    for row in ranked:
        name = candidate(row)
        if _default(summary, row) or (len(found) >= arguments.top and name not in known):
            continue
        params = _params(task, row, changes)
        if (twin := first.setdefault(_point(params), name)) == name:
            found[name] = params
        else:
            same[name] = twin
    if not found and not same:
        raise UserError(f"{summary.study.folder}: no trial but the baseline has completed yet")
    return Candidates({**found, BASELINE: baseline}, same)


def _default(summary: Summary, row: Row) -> bool:
    return summary.baseline is not None and row.record.folder == summary.baseline.record.folder


def _params(task: Task, row: Row, changes: Mapping[str, Any]) -> Params:
    from core.repeat import as_recorded

    return as_recorded(task, row.params, str(row.record.folder), **changes)


def _point(params: Params) -> str:
    """What makes a configuration: not its seed, nor the machine it runs on."""
    return json.dumps(params.model_dump(mode="json", exclude={*SURROUNDINGS, "seed"}))


def _seeds(summary: Summary, known: Sequence[int], number: int) -> list[int]:
    """The seeds known from before, and others that no trial was found with: so many or more."""
    used = {seed for row in summary.rows if isinstance(seed := row.params.get("seed"), int)}
    seed, found = min(used, default=0), list(known)
    while len(found) < number:
        seed = (seed + 1) % 2**31
        if seed not in used and seed not in found:
            found.append(seed)
    return found


def _settle(path: Path, task: Task, candidates: Candidates, seeds: Sequence[int]) -> None:
    """Keep what is asked for. Seeds and trials may be added; UserError for other epochs."""
    epochs = next(iter(candidates.params.values())).epochs
    before = read_json(path)
    if (was := before.get("epochs", epochs)) != epochs:
        raise UserError(
            f"{path}: was begun with --epochs {was}, not {epochs}; go on with these, or remove "
            f"{path.parent}"
        )
    told: dict[str, Any] = {"candidates": list(candidates.params), "same": candidates.same}
    told |= {"seeds": list(seeds), "epochs": epochs, "unseen": bool(task.unseen)}
    write_json(path, {**told, **provenance()})


def _listed(settings: Mapping[str, Any], key: str) -> list[Any]:
    """A list of the settings; empty where there is none."""
    return there if isinstance(there := settings.get(key), list) else []
