"""gantune confirm: train the best trials and the baseline again, with common seeds."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.catalog import load_task
from core.commands.report import publish
from core.commands.tune import positive
from core.record import Study, provenance, read_json, valid_name, write_json
from core.task import Params, Task, UserError

if TYPE_CHECKING:
    from core.report.rows import Row
    from core.report.summary import Summary

SUMMARY = "train a study's best trials and the baseline again: who wins, and how sure is that"
RACE = 0.95  # with this probability nobody as good as the best is dropped on the way


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Which study, and how thoroughly."""
    parser.add_argument("study", help="the study's name")
    parser.add_argument("--top", type=positive, default=5, help="how many of its trials (5)")
    parser.add_argument("--seeds", type=positive, default=3, help="seeds of each (3)")
    parser.add_argument("--epochs", type=positive, help="epochs of each run (the study's)")
    told = "runs at once (one a GPU, else one a CPU core, 4 at most)"
    parser.add_argument("--workers", type=positive, help=told)


def run(arguments: argparse.Namespace) -> int:
    """Make the runs, the hopeless dropping out on the way, and write the study's report."""
    from core.repeat import Run, Runs, make_runs
    from core.report.confirmation import BASELINE, SUFFIX, read_confirmation, run_name
    from core.report.summary import summarize

    summary = summarize(Study.open(arguments.runs, valid_name(arguments.study)))
    task, candidates = _candidates(summary, arguments)
    study = arguments.study + SUFFIX
    seeds = _seeds(candidates.values(), arguments.seeds)
    path = arguments.runs / study / "confirm.json"
    _settle(path, task, candidates, seeds)
    examined = not task.unseen
    there = dict(candidates)
    for done in range(2, max(2, len(seeds)) + 1):  # two seeds at first: one tells nothing
        now = seeds[:2] if done == 2 else [seeds[done - 1]]
        pairs = [(name, seed) for seed in now for name in there]
        wanted = tuple(
            Run(run_name(name, seed), number, with_seed(there[name], seed), summary.searched)
            for number, (name, seed) in enumerate(pairs, 1)
        )
        runs = Runs(task.name, arguments.runs, study, wanted, unseen=True)
        if not examined and not all(runs.ended(run) for run in wanted):
            _examine(task, candidates[BASELINE], arguments.runs)
            examined = True
        make_runs(runs, arguments.workers)
        confirmation = read_confirmation(summary.study, summary.maximize)
        if confirmation and done < len(seeds):
            for name in confirmation.hopeless(1 - (1 - RACE) / (len(seeds) - 2)):
                if there.pop(name, None):
                    print(f"{name} drops out: behind with {done} seeds, or gone wrong")
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


def _candidates(summary: Summary, arguments: argparse.Namespace) -> tuple[Task, dict[str, Params]]:
    """The task, and the parameters of the best trials and of the baseline, by name."""
    from core.report.confirmation import BASELINE

    if summary.best is None:
        raise UserError(
            f"{summary.study.folder}: no trial has completed, so there is none to confirm"
        )
    if "epochs" in summary.searched and not arguments.epochs:
        raise UserError(
            f"study {summary.study.name!r} searches epochs, so its trials are of different "
            "lengths: say by --epochs how long each of them is to be trained"
        )
    task = load_task(summary.task)
    ranked = sorted(summary.candidates, key=lambda row: row.score or 0.0, reverse=summary.maximize)
    changes = {"epochs": arguments.epochs} if arguments.epochs else {}
    found = {
        _name(row): _params(task, row, changes) for row in ranked if not _default(summary, row)
    }
    found = dict(list(found.items())[: arguments.top])
    if not found:
        raise UserError(f"{summary.study.folder}: no trial but the baseline has completed yet")
    usual = task.params().model_dump()
    default = {name: usual[name] for name in summary.searched if name in usual}
    return task, {**found, BASELINE: _params(task, summary.best, {**default, **changes})}


def _name(row: Row) -> str:
    """`trial-0003`."""
    return f"trial-{row.record.folder.name}"


def _default(summary: Summary, row: Row) -> bool:
    return summary.baseline is not None and row.record.folder == summary.baseline.record.folder


def _params(task: Task, row: Row, changes: Mapping[str, Any]) -> Params:
    from core.repeat import as_recorded

    return as_recorded(task, row.params, str(row.record.folder), **changes)


def _seeds(candidates: Any, number: int) -> list[int]:
    """So many seeds that none of the trials was found with, the same ones in every call."""
    used = {params.seed for params in candidates}
    seed, found = min(used), list[int]()
    while len(found) < number:
        seed = (seed + 1) % 2**31
        if seed not in used:
            found.append(seed)
    return found


def _settle(path: Path, task: Task, candidates: Mapping[str, Params], seeds: list[int]) -> None:
    """Keep what is asked for. Seeds and trials may be added; UserError for other epochs."""
    epochs = next(iter(candidates.values())).epochs
    before = read_json(path)
    if (was := before.get("epochs", epochs)) != epochs:
        raise UserError(
            f"{path}: was begun with --epochs {was}, not {epochs}; go on with these, or remove "
            f"{path.parent}"
        )
    known = before.get("candidates")
    names = list(dict.fromkeys([*candidates, *(known if isinstance(known, list) else [])]))
    more = before.get("seeds")
    every = list(dict.fromkeys([*(more if isinstance(more, list) else []), *seeds]))
    told = {"candidates": names, "seeds": every, "epochs": epochs, "unseen": bool(task.unseen)}
    write_json(path, {**told, **provenance()})
