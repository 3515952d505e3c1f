"""gantune promote: train the best trials of a study further, from their checkpoints."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from core.commands.flags import add_machine_flags, machine_queue, positive
from core.commands.report import publish
from core.files import read_json, write_json
from core.params import load_task
from core.record import Record, Study, valid_name
from core.report.ranking import final_key
from core.report.rows import Row
from core.report.summary import Summary, summarize
from core.task import OutcomeKind, UserError
from core.training.provenance import provenance

SUFFIX = "-promoted"
ENDED = (OutcomeKind.COMPLETED, OutcomeKind.PRUNED)
KEPT = ("checkpoint.pt", "best.pt", "epochs.jsonl")


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Which study, how many of its trials, and up to which epoch."""
    add = parser.add_argument
    add("study", help="name of the study, finished or not")
    message = "how many of its trials go on, the longest trained and best ones first "
    message += "(default: %(default)s)"
    add("--top", type=positive, default=5, metavar="N", help=message)
    message = "epochs of each in all, those it has trained included"
    add("--epochs", type=positive, required=True, metavar="E", help=message)
    add_machine_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train on, in a study of their own beside the first; a second call goes on with it."""
    from core.replicates.runs import Replicate, recorded_params, run_replicates

    summary = summarize(Study.open(arguments.runs, valid_name(arguments.study)))
    if "epochs" in summary.searched:
        raise UserError(
            f"study {summary.study.name!r} searches epochs, which --epochs would change"
        )
    task, rows = load_task(summary.task), choose(summary, arguments.top, arguments.epochs)
    queue = machine_queue(task, valid_name(summary.study.name + SUFFIX), arguments)
    wanted = []
    for row in rows:
        source, epochs = str(row.record.folder), arguments.epochs
        params = recorded_params(task, row.params, source, epochs=epochs)
        folder = row.record.folder.name
        wanted.append(Replicate(folder, params, summary.searched, row.number, row.scored_by))
        continue_in(queue.folder / folder, row, epochs)
        print(f"trial {row.label}: goes on from epoch {len(row.epochs)} to {epochs}")
    about: dict[str, Any] = {"task": task.name, "engine": "optuna", "space": summary.space}
    write_json(queue.folder / "study.json", {**about, "promoted": arguments.study, **provenance()})
    run_replicates(queue, wanted)
    publish(arguments.runs, queue.study)
    return 0


def choose(summary: Summary, top: int, epochs: int) -> list[Row]:
    """The trials that go on; UserError where none can, or where one has trained as long already.

    A score after few epochs is no match for one after many: completed trials come first, then
    those that trained longest.
    """
    ended = [row for row in summary.rows if row.outcome in ENDED and row.score is not None]
    rows = [row for row in ended if row.task == summary.task and row.record.checkpoint.is_file()]
    rows.sort(key=lambda row: final_key(row, summary.maximize))
    if not rows:
        raise UserError(
            f"{summary.study.folder}: no trial has come to a score and a checkpoint yet"
        )
    trained = max(len(row.epochs) for row in rows[:top])
    if trained >= epochs:
        raise UserError(
            f"--epochs {epochs}: the best of study {summary.study.name!r} has trained {trained} "
            f"already; take more, such as {2 * trained}"
        )
    return rows[:top]


def continue_in(folder: Path, row: Row, epochs: int) -> None:
    """Copy a trial's networks, epochs and pictures; a folder that is there already stays."""
    if (folder / "trial.json").is_file():
        return
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in KEPT:
        if (row.record.folder / name).is_file():
            shutil.copy2(row.record.folder / name, partial / name)
    if row.record.pictures.is_dir():
        shutil.copytree(row.record.pictures, Record(partial).pictures)
    trial = read_json(row.record.folder / "trial.json")
    params = {**trial["params"], "epochs": epochs}
    write_json(partial / "trial.json", {**trial, "params": params, "study": folder.parent.name})
    partial.rename(folder)
