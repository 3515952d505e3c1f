"""gantune confirm: train the best trials and the baseline again, with common seeds."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.commands.flags import add_machine_flags, machine_queue, positive
from core.commands.report import publish
from core.files import read_json, write_json
from core.params import load_task, validate_params
from core.record import Study, valid_name
from core.replicates.stats import configuration
from core.report.confirmation import BASELINE, SUFFIX, candidate, run_name
from core.report.rows import Row
from core.report.summary import Summary, summarize
from core.search.config import SearchConfig, refuse_changes
from core.task import Params, Task, UserError
from core.training.progress import Progress
from core.training.provenance import provenance


@dataclass(frozen=True)
class Candidates:
    """Parameters by candidate, the baseline among them.

    `same`: further trials, each with the candidate whose configuration it has.
    """

    params: dict[str, Params]
    same: dict[str, str]


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Which study, and how thoroughly."""
    add = parser.add_argument
    add("study", help="name of the study")
    message = "how many of its trials; those of an earlier call stay (default: %(default)s)"
    add("--top", type=positive, default=5, metavar="N", help=message)
    message = "seeds of each; more may be added later (default: %(default)s)"
    add("--seeds", type=positive, default=3, metavar="N", help=message)
    add("--epochs", type=positive, metavar="E", help="epochs of each run (default: the study's)")
    add_machine_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Make the runs, hopeless candidates dropping out on the way, and write the study's report."""
    summary = summarize(Study.open(arguments.runs, valid_name(arguments.study)))
    task = load_task(summary.task)
    config = machine_queue(task, arguments.study + SUFFIX, arguments, holdout=True)
    path = config.folder / "confirm.json"
    before = read_json(path) if any(config.folder.glob("*/trial.json")) else {}
    epochs = arguments.epochs or before.get("epochs")
    changes = {"epochs": epochs} if epochs else {}
    known = before.get("candidates", [])
    candidates = choose_candidates(task, summary, arguments.top, known, changes)
    seeds = _seeds(summary, before.get("seeds", []), arguments.seeds)
    epochs = candidates.params[BASELINE].epochs
    remedy = f"leave --epochs out, or remove {path.parent}"
    refuse_changes(f"confirmation {path.parent.name!r}", before, {"epochs": epochs}, remedy)
    content: dict[str, Any] = {"candidates": list(candidates.params), "same": candidates.same}
    content |= {"seeds": seeds, "epochs": epochs, "holdout": bool(task.holdout)}
    write_json(path, {**content, **provenance()})
    if len(seeds) > arguments.seeds or len(candidates.params) > arguments.top + 1:
        print(f"{path.parent}: goes on with all that was asked for before; remove it to begin anew")
    _run_stages(config, task, summary, candidates, seeds)
    publish(arguments.runs, arguments.study)
    return 0


def _run_stages(
    config: SearchConfig, task: Task, summary: Summary, candidates: Candidates, seeds: list[int]
) -> None:
    """Run two seeds at first, since one says nothing, then one more at a time."""
    from core.replicates.runs import Replicate, run_replicates

    left = dict(candidates.params)
    known = {candidate(row): row.scored_by for row in summary.rows}
    if summary.baseline and not summary.unlike(summary.baseline):
        known[BASELINE] = summary.baseline.scored_by
    examined = not task.holdout
    for done in range(2, max(2, len(seeds)) + 1):
        wanted = [
            Replicate(
                run_name(name, seed),
                params.model_copy(update={"seed": seed}),
                summary.searched,
                scored_by=known.get(name, {}),
            )
            for seed in seeds[:done]
            for name, params in left.items()
        ]
        if not examined and not all(run.outcome(config.folder) for run in wanted):
            _examine(task, candidates.params[BASELINE], config)
            examined = True
        run_replicates(config, wanted)
        if confirmation := summarize(summary.study).confirmation:
            for name, why in confirmation.race.dropouts(seeds, done).items():
                if left.pop(name, None):
                    print(f"{confirmation.listed([name])} drops out: {why}")


def _examine(task: Task, params: Params, config: SearchConfig) -> None:
    """Have the holdout evaluator sit its exam; the result is printed, whatever it is."""
    from core.device import configure_torch
    from core.training.run import prepare

    here = validate_params(task.params, {**params.model_dump(), **config.fixed})
    configure_torch(here)
    with Progress() as progress:
        prepare(task.with_holdout_evaluator(), here, progress, config.runs, "sit")


def choose_candidates(
    task: Task, summary: Summary, top: int, known: Sequence[str], changes: Mapping[str, Any]
) -> Candidates:
    """The `top` best configurations, those `known` from before, and the baseline."""
    from core.replicates.runs import recorded_params

    def params_of(row: Row, changes: Mapping[str, Any]) -> Params:
        return recorded_params(task, row.params, str(row.record.folder), **changes)

    if summary.best is None:
        raise UserError(
            f"{summary.study.folder}: no trial has completed, so there is none to confirm"
        )
    if "epochs" in summary.searched and "epochs" not in changes:
        raise UserError(
            f"study {summary.study.name!r} searches epochs, so its trials are of different "
            "lengths: say by --epochs how long each of them is to be trained"
        )
    defaults = task.params().model_dump()
    published = {name: defaults[name] for name in summary.searched if name in defaults}
    baseline = params_of(summary.best, {**published, **changes})
    ranked = sorted(summary.candidates, key=lambda row: row.score or 0.0, reverse=summary.maximize)
    ranked += [row for row in summary.rows if row.completed and candidate(row) in known]
    params = {candidate(row): params_of(row, changes) for row in ranked}
    if summary.baseline:
        params.pop(candidate(summary.baseline), None)
    keys = {name: configuration(p.model_dump(mode="json")) for name, p in params.items()}
    # each configuration's candidate: one known, or the best
    owner = {configuration(baseline.model_dump(mode="json")): BASELINE}
    for name in sorted(params, key=lambda name: name not in known):
        owner.setdefault(keys[name], name)
    leading = dict.fromkeys(owner[keys[name]] for name in params)
    leading.pop(BASELINE, None)
    chosen = [name for i, name in enumerate(leading) if i < top or name in known]
    found = {**{name: params[name] for name in chosen}, BASELINE: baseline}
    twins = {name: twin for name, key in keys.items() if (twin := owner[key]) != name}
    same = {name: twin for name, twin in twins.items() if twin in found}
    if not chosen and not same:
        guards = " with as few guards broken" if summary.ruled_out else ""
        raise UserError(
            f"{summary.study.folder}: no trial but the baseline has completed{guards} yet; go "
            "on with the study, `gantune tune` with more --trials"
        )
    return Candidates(found, same)


def _seeds(summary: Summary, known: Sequence[int], number: int) -> list[int]:
    """The seeds known from before, and others that no trial was found with: so many or more."""
    used = {seed for row in summary.rows if isinstance(seed := row.params.get("seed"), int)}
    seed, found = min(used, default=0), list(known)
    while len(found) < number:
        seed = (seed + 1) % 2**31
        if seed not in used and seed not in found:
            found.append(seed)
    return found
