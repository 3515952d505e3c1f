"""gantune audit: train some of a study's trials for longer; do few epochs rank as many do?"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.commands.flags import add_machine_flags, machine_queue, positive
from core.files import read_json, write_json
from core.params import load_task
from core.record import Study, valid_name
from core.report import audit as report
from core.report import write_report
from core.report.confirmation import candidate
from core.report.rows import Row
from core.report.summary import Summary, summarize
from core.search.config import refuse_changes
from core.task import UserError
from core.training.provenance import provenance

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
    from core.replicates.runs import Replicate, recorded_params, run_replicates

    summary = summarize(Study.open(arguments.runs, valid_name(arguments.study)))
    folder = summary.study.folder.with_name(summary.study.folder.name + report.SUFFIX)
    valid_name(folder.name)
    setup, rows = _setup(summary, folder, arguments)
    task = load_task(summary.task)
    queue = machine_queue(task, folder.name, arguments)
    wanted = []
    for row in rows:
        source, epochs = str(row.record.folder), setup["epochs"]
        params = recorded_params(task, row.params, source, epochs=epochs)
        known = row.number, row.scored_by
        wanted.append(Replicate(candidate(row), params, summary.searched, *known))
    write_json(folder / "study.json", {**setup, **provenance()})
    run_replicates(queue, wanted)
    audit = report.read_audit(summarize(summary.study))
    page = write_report(summary.study)
    if audit:
        write_json(folder / "audit.json", report.audit_json(audit))
        print(" ".join(audit.sentences))
    else:
        fewest = f"Fewer than {report.FEWEST} long runs"
        print(f"{fewest} have come to an end that counts: see {folder}/")
    print(f"report: {page}")
    return 0 if audit else 1


def _setup(
    summary: Summary, folder: Path, arguments: argparse.Namespace
) -> tuple[dict[str, Any], list[Row]]:
    """The audit's setup and its trials; UserError where it makes no sense, or was another one."""
    study, fewest = summary.study.name, report.FEWEST
    before = read_json(folder / "study.json")
    used = any(folder.glob("*/trial.json"))
    if (used or before) and before.get("audited") != study:
        raise UserError(f"{folder}: holds something else than an audit of {study!r}; rename it")
    before = before if used else {}
    short = report.short_epochs(summary) or 0
    if "epochs" in summary.searched:
        raise UserError(
            f"study {study!r} searches epochs, so its scores are of different lengths already; "
            "audit one whose trials train alike"
        )
    epochs = arguments.epochs or before.get("epochs") or TIMES * short
    configs = arguments.configs or before.get("configs") or CONFIGS
    if configs < fewest:
        raise UserError(f"--configs {configs}: an order takes {fewest} or more; take {CONFIGS}")
    remedy = "leave the flag out, or remove the folder to begin again"
    size = {"epochs": epochs, "configs": configs}
    refuse_changes(f"{folder}: the audit", before, size, remedy, may_grow=("configs",))
    kept = _kept(summary, before, folder)
    if (number := len(report.eligible(summary, kept))) < fewest:
        raise UserError(
            f"study {study!r} has {number} trials that completed or were pruned, with a score and "
            f"different parameters; an audit takes {fewest} or more: go on with the study, "
            "`gantune tune` with more --trials"
        )
    if epochs <= short:
        raise UserError(
            f"--epochs {epochs}: the study's trials train {short} already; take more, such as "
            f"{TIMES * short}"
        )
    rows = report.choose(summary, configs, kept)
    about = {"audited": study, "task": summary.task, "engine": "optuna"}
    return {**about, **size, "trials": [row.record.folder.name for row in rows]}, rows


def _kept(summary: Summary, before: Mapping[str, Any], folder: Path) -> list[Row]:
    """The trials chosen before; UserError where the study has lost one."""
    rows = {row.record.folder.name: row for row in report.scored(summary)}
    names: Sequence[str] = before.get("trials", [])
    if lost := [name for name in names if name not in rows]:
        raise UserError(
            f"{folder / 'study.json'}: trial {lost[0]} is no scored trial of the study (any more); "
            "put its folder back, or remove the audit's to begin again"
        )
    return [rows[name] for name in names]
