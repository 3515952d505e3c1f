"""gantune audit: train some of a study's trials for longer; do few epochs rank as many do?"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.commands.flags import add_machine_flags, machine_overrides, positive
from core.files import read_json, write_json
from core.params import load_task, validate_params
from core.record import Study, valid_name
from core.search.config import refuse_changes
from core.task import UserError

if TYPE_CHECKING:
    from core.report.rows import Row
    from core.report.summary import Summary

CONFIGS = 10
TIMES = 4


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Which study, how many of its trials, and for how long."""
    add = parser.add_argument
    add("study", help="name of the study")
    message = "trials to train again, evenly over the ranks; more may be added later "
    message += f"(default: {CONFIGS})"
    add("--configs", type=positive, metavar="N", help=message)
    message = f"epochs of each long run (default: {TIMES} times those of the study's trials)"
    add("--epochs", type=positive, metavar="E", help=message)
    add_machine_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train what has not been trained, write the figures and the report; 1 without figures."""
    from core.replicates.runs import Replicate, queue_config, recorded_params, run_replicates
    from core.report import write_report
    from core.report.audit import FEWEST, SUFFIX, audit_json, read_audit
    from core.report.confirmation import candidate
    from core.report.summary import summarize
    from core.training.provenance import provenance

    summary = summarize(Study.open(arguments.runs, valid_name(arguments.study)))
    folder = summary.study.folder.with_name(summary.study.folder.name + SUFFIX)
    valid_name(folder.name)
    setup, rows = _setup(summary, folder, arguments)
    task = load_task(summary.task)
    fixed = machine_overrides(arguments)
    validate_params(task.params, fixed)
    wanted = []
    for row in rows:
        source, epochs = str(row.record.folder), setup["epochs"]
        params = recorded_params(task, row.params, source, epochs=epochs)
        wanted.append(Replicate(candidate(row), params, summary.searched, row.number))
    write_json(folder / "study.json", {**setup, **provenance()})
    flags = {"artifacts": arguments.artifacts or "", "workers": arguments.workers}
    flags |= {"storage": arguments.storage} if arguments.storage else {}
    run_replicates(
        queue_config(task.name, arguments.runs, folder.name, fixed=fixed, **flags), wanted
    )
    audit = read_audit(summarize(summary.study))
    page = write_report(summary.study)
    if audit:
        write_json(folder / "audit.json", audit_json(audit))
        print(" ".join(audit.sentences))
    else:
        print(f"Fewer than {FEWEST} long runs have come to an end that counts: see {folder}/")
    print(f"report: {page}")
    return 0 if audit else 1


def _setup(
    summary: Summary, folder: Path, arguments: argparse.Namespace
) -> tuple[dict[str, Any], list[Row]]:
    """The audit's setup and its trials, from before where there was one.

    Trials may be added. Raises UserError for other changes, and where an audit makes no sense.
    """
    from core.report.audit import FEWEST, choose, eligible, short_epochs

    study = summary.study.name
    before = read_json(folder / "study.json")
    _refuse_other_folder(folder, before, study)
    short = short_epochs(summary) or 0
    if "epochs" in summary.searched:
        raise UserError(
            f"study {study!r} searches epochs, so its scores are of different lengths already; "
            "audit one whose trials train alike"
        )
    epochs = arguments.epochs or before.get("epochs") or TIMES * short
    configs = arguments.configs or before.get("configs") or CONFIGS
    if configs < FEWEST:
        raise UserError(f"--configs {configs}: an order takes {FEWEST} or more; take {CONFIGS}")
    remedy = "leave the flag out, or remove the folder to begin again"
    size = {"epochs": epochs, "configs": configs}
    refuse_changes(f"{folder}: the audit", before, size, remedy, may_grow=("configs",))
    kept = _kept(summary, before, folder)
    if (number := len(eligible(summary, kept))) < FEWEST:
        raise UserError(
            f"study {study!r} has {number} trials that completed or were pruned, with a score and "
            f"different parameters; an audit takes {FEWEST} or more: go on with the study, "
            "`gantune tune` with more --trials"
        )
    if epochs <= short:
        raise UserError(
            f"--epochs {epochs}: the study's trials train {short} already; take more, such as "
            f"{TIMES * short}"
        )
    rows = choose(summary, configs, kept)
    about = {"audited": study, "task": summary.task, "engine": "optuna"}
    return {**about, **size, "trials": [row.record.folder.name for row in rows]}, rows


def _refuse_other_folder(folder: Path, before: Mapping[str, Any], study: str) -> None:
    """UserError where the folder holds something else."""
    used = bool(before) or any(folder.glob("*/trial.json"))
    if used and before.get("audited") != study:
        raise UserError(f"{folder}: holds something else than an audit of {study!r}; rename it")


def _kept(summary: Summary, before: Mapping[str, Any], folder: Path) -> list[Row]:
    """The trials chosen before; UserError where the study has lost one."""
    from core.report.audit import scored

    rows = {row.record.folder.name: row for row in scored(summary)}
    names: Sequence[str] = before.get("trials") or []
    if lost := [name for name in names if name not in rows]:
        raise UserError(
            f"{folder / 'study.json'}: trial {lost[0]} is no scored trial of the study (any more); "
            "put its folder back, or remove the audit's to begin again"
        )
    return [rows[name] for name in names]
