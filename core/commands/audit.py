"""gantune audit: train some of a study's trials for longer, and say how far a short one tells."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.commands.tune import add_rerun_flags, machine, positive
from core.files import read_json, write_json
from core.params import load_task
from core.record import Study, valid_name
from core.report.audit import FEWEST, audit_folder, audit_json, read_audit, run_name
from core.report.audit_choice import choose, eligible, scored, short_epochs
from core.report.audit_verdict import sentences
from core.report.summary import Summary, summarize
from core.task import Task, UserError
from core.training.provenance import provenance

if TYPE_CHECKING:
    from core.replicates.runs import Run
    from core.report.rows import Row

SUMMARY = "train some of a study's trials for longer: do few epochs rank as many do?"
CONFIGS = 10
TIMES = 4


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Which study, how many of its trials, and for how long."""
    parser.add_argument("study", help="the study's name")
    told = f"trials to train again, evenly over the ranks ({CONFIGS}); more may be added later"
    parser.add_argument("--configs", type=positive, metavar="N", help=told)
    told = f"epochs of each long run ({TIMES} times those of the study's trials)"
    parser.add_argument("--epochs", type=positive, metavar="E", help=told)
    add_rerun_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train what has not been trained, write the figures and the report; 1 without figures."""
    from core.replicates.runs import Runs, make_runs
    from core.report import write_report

    summary = summarize(Study.open(arguments.runs, valid_name(arguments.study)))
    folder = audit_folder(summary.study.folder)
    valid_name(folder.name)
    settings, rows = _settle(summary, folder, arguments)
    task = load_task(summary.task)
    told = {"epochs": settings["epochs"], **machine(arguments)}
    wanted = tuple(_long(task, summary, row, told) for row in rows)
    write_json(folder / "study.json", {**settings, **provenance()})
    make_runs(Runs(task.name, arguments.runs, folder.name, wanted), arguments.workers)
    audit = read_audit(summarize(summary.study))
    page = write_report(summary.study)
    if audit:
        write_json(folder / "audit.json", audit_json(audit))
        print(" ".join(sentences(audit)))
    else:
        print(f"Fewer than {FEWEST} long runs have come to an end that counts: see {folder}/")
    print(f"report: {page}")
    return 0 if audit else 1


def _settle(
    summary: Summary, folder: Path, arguments: argparse.Namespace
) -> tuple[dict[str, Any], list[Row]]:
    """The audit's settings and its trials, from before where there was one.

    Trials may be added. Raises UserError for other changes, and where an audit makes no sense.
    """
    before = read_json(folder / "study.json")
    _check_folder(folder, before, summary.study.name)
    short = short_epochs(summary) or 0
    if "epochs" in summary.searched:
        raise UserError(
            f"study {summary.study.name!r} searches epochs, so its scores are of different "
            "lengths already; audit one whose trials train alike"
        )
    epochs = arguments.epochs or before.get("epochs") or TIMES * short
    configs = arguments.configs or before.get("configs") or CONFIGS
    if configs < FEWEST:
        raise UserError(f"--configs {configs}: an order takes {FEWEST} or more; give {CONFIGS}")
    _check_unchanged(before, {"epochs": epochs, "configs": configs}, folder)
    kept = _kept(summary, before, folder)
    if (there := len(eligible(summary, kept))) < FEWEST:
        raise UserError(
            f"study {summary.study.name!r} has {there} trials that completed or were pruned, with "
            f"a score and different parameters; an audit takes {FEWEST} or more: go on with the "
            "study, `gantune tune` with more --trials"
        )
    if epochs <= short:
        raise UserError(
            f"--epochs {epochs}: the study's trials train {short} already; give more, such as "
            f"{TIMES * short}"
        )
    rows = choose(summary, configs, kept)
    about = {"audited": summary.study.name, "task": summary.task, "engine": "standalone"}
    names = [row.record.folder.name for row in rows]
    return {**about, "epochs": epochs, "configs": configs, "trials": names}, rows


def _check_folder(folder: Path, before: Mapping[str, Any], study: str) -> None:
    """UserError where the folder holds something else."""
    used = bool(before) or any(folder.glob("*/trial.json"))
    if used and before.get("audited") != study:
        raise UserError(f"{folder}: holds something else than an audit of {study!r}; rename it")


def _check_unchanged(before: Mapping[str, Any], settings: Mapping[str, int], folder: Path) -> None:
    """UserError for other epochs, or fewer trials, than the audit was begun with."""
    changed = [
        f"{name} was {was}, is now {now}"
        for name, now in settings.items()
        if (was := before.get(name, now)) != now and (name == "epochs" or was > now)
    ]
    if changed:
        raise UserError(
            f"{folder}: the audit was set up otherwise ({'; '.join(changed)}); leave the flag out, "
            "or remove the folder to begin again"
        )


def _kept(summary: Summary, before: Mapping[str, Any], folder: Path) -> list[Row]:
    """The trials chosen before; UserError where the study has lost one."""
    rows = {row.record.folder.name: row for row in scored(summary)}
    names: Sequence[str] = before.get("trials") or []
    if lost := [name for name in names if name not in rows]:
        raise UserError(
            f"{folder / 'study.json'}: trial {lost[0]} is no scored trial of the study (any more); "
            "put its folder back, or remove the audit's to begin again"
        )
    return [rows[name] for name in names]


def _long(task: Task, summary: Summary, row: Row, told: Mapping[str, Any]) -> Run:
    """A trial's long run: its parameters and its seed, but for what is told now."""
    from core.replicates.runs import Run, as_recorded

    params = as_recorded(task, row.params, str(row.record.folder), **told)
    return Run(run_name(row), row.number, params, summary.searched)
