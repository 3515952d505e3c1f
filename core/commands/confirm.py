"""gantune confirm: train the best trials and the baseline again, with common seeds."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.commands.report import publish
from core.commands.tune import add_rerun_flags, machine, positive
from core.files import now, read_json, write_json
from core.params import load_task
from core.record import Study, valid_name
from core.task import RUNTIME_FIELDS, Params, Task, UserError
from core.training.provenance import provenance

if TYPE_CHECKING:
    from core.report.rows import Row
    from core.report.summary import Summary

SUMMARY = "train a study's best trials and the baseline again: who wins, and how sure is that"


@dataclass(frozen=True)
class Candidates:
    """Parameters by candidate, the baseline among them.

    `same`: further trials, each with the candidate whose configuration it has.
    """

    params: dict[str, Params]
    same: dict[str, str]


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Which study, and how thoroughly."""
    parser.add_argument("study", help="the study's name")
    told = "how many of its trials; those of an earlier call stay (5)"
    parser.add_argument("--top", type=positive, default=5, help=told)
    told = "seeds of each; more may be added later (3)"
    parser.add_argument("--seeds", type=positive, default=3, help=told)
    parser.add_argument("--epochs", type=positive, help="epochs of each run (the study's)")
    add_rerun_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Make the runs, the hopeless dropping out on the way, and write the study's report."""
    from core.replicates.runs import Run, Runs, make_runs
    from core.report.block import BASELINE
    from core.report.confirmation import SUFFIX, run_name
    from core.report.summary import summarize

    summary = summarize(Study.open(arguments.runs, valid_name(arguments.study)))
    study = arguments.study + SUFFIX
    path = arguments.runs / study / "confirm.json"
    task = load_task(summary.task)
    before = read_json(path)
    epochs = arguments.epochs or before.get("epochs")
    changes = machine(arguments) | ({"epochs": epochs} if epochs else {})
    known = _listed(before, "candidates")
    candidates = _candidates(task, summary, arguments.top, known, changes)
    seeds = _seeds(summary, _listed(before, "seeds"), arguments.seeds)
    _settle(path, before, task, candidates, seeds)
    if len(seeds) > arguments.seeds or len(candidates.params) > arguments.top + 1:
        print(f"{path.parent}: goes on with all that was asked for before; remove it to begin anew")
    examined = not task.holdout
    there, names, since = dict(candidates.params), list(candidates.params), now()
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
        runs = Runs(task.name, arguments.runs, study, wanted, holdout=True, since=since)
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
    """Have the evaluator that no search uses sit its exam; where it fails, that is told."""
    from core.device import configure_torch
    from core.training.progress import Progress
    from core.training.run import prepare

    configure_torch(params)
    with Progress() as progress:
        prepare(task.with_holdout_evaluator(), params, progress, runs, "sit")


def with_seed(params: Params, seed: int) -> Params:
    """The same with another seed."""
    return params.model_copy(update={"seed": seed})


def _candidates(
    task: Task, summary: Summary, top: int, known: Sequence[str], changes: Mapping[str, Any]
) -> Candidates:
    """The `top` best configurations, those `known` from before, and the baseline."""
    from core.report.block import BASELINE
    from core.report.confirmation import candidate

    if summary.best is None:
        raise UserError(
            f"{summary.study.folder}: no trial has completed, so there is none to confirm"
        )
    if "epochs" in summary.searched and "epochs" not in changes:
        raise UserError(
            f"study {summary.study.name!r} searches epochs, so its trials are of different "
            "lengths: say by --epochs how long each of them is to be trained"
        )
    usual = task.params().model_dump()
    default = {name: usual[name] for name in summary.searched if name in usual}
    baseline = _params(task, summary.best, {**default, **changes})
    ranked = sorted(summary.candidates, key=lambda row: row.score or 0.0, reverse=summary.maximize)
    ranked += [row for row in summary.rows if row.completed and candidate(row) in known]
    params = {candidate(row): _params(task, row, changes) for row in ranked}
    if summary.baseline:
        params.pop(candidate(summary.baseline), None)
    points = {name: _point(p) for name, p in params.items()}
    whose = {_point(baseline): BASELINE}  # each configuration's candidate: one known, or the best
    for name in sorted(params, key=lambda name: name not in known):
        whose.setdefault(points[name], name)
    leading = dict.fromkeys(whose[points[name]] for name in params)
    leading.pop(BASELINE, None)
    chosen = [name for i, name in enumerate(leading) if i < top or name in known]
    found = {**{name: params[name] for name in chosen}, BASELINE: baseline}
    twins = {name: twin for name, point in points.items() if (twin := whose[point]) != name}
    same = {name: twin for name, twin in twins.items() if twin in found}
    if not chosen and not same:
        raise UserError(f"{summary.study.folder}: no trial but the baseline has completed yet")
    return Candidates(found, same)


def _params(task: Task, row: Row, changes: Mapping[str, Any]) -> Params:
    from core.replicates.runs import as_recorded

    return as_recorded(task, row.params, str(row.record.folder), **changes)


def _point(params: Params) -> str:
    """What makes a configuration: not its seed, nor the machine it runs on."""
    return json.dumps(params.model_dump(mode="json", exclude={*RUNTIME_FIELDS, "seed"}))


def _seeds(summary: Summary, known: Sequence[int], number: int) -> list[int]:
    """The seeds known from before, and others that no trial was found with: so many or more."""
    used = {seed for row in summary.rows if isinstance(seed := row.params.get("seed"), int)}
    seed, found = min(used, default=0), list(known)
    while len(found) < number:
        seed = (seed + 1) % 2**31
        if seed not in used and seed not in found:
            found.append(seed)
    return found


def _settle(
    path: Path,
    before: Mapping[str, Any],
    task: Task,
    candidates: Candidates,
    seeds: Sequence[int],
) -> None:
    """Keep what is asked for. Seeds and trials may be added; UserError for other epochs."""
    epochs = next(iter(candidates.params.values())).epochs
    if (was := before.get("epochs", epochs)) != epochs:
        raise UserError(
            f"{path}: was begun with --epochs {was}, not {epochs}; go on with these, or remove "
            f"{path.parent}"
        )
    told: dict[str, Any] = {"candidates": list(candidates.params), "same": candidates.same}
    told |= {"seeds": list(seeds), "epochs": epochs, "holdout": bool(task.holdout)}
    write_json(path, {**told, **provenance()})


def _listed(settings: Mapping[str, Any], key: str) -> list[Any]:
    """A list of the settings; empty where there is none."""
    return there if isinstance(there := settings.get(key), list) else []
