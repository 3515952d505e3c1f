"""A search's best trial again: with other seeds, with less data, and for what a step costs.

What came to an end that another attempt would only repeat is not run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.engines.local import LocalTrial
from core.flags import make
from core.measure import measure_apart
from core.progress import Progress
from core.record import Record, read_json, write_json
from core.report.rows import Row
from core.run import run_trial
from core.task import SURROUNDINGS, Outcome, Params, Task, UserError

DATA = "data_fraction"
FINAL = (Outcome.COMPLETED, Outcome.DIVERGED, Outcome.COLLAPSED)


def with_less(params: Params, fraction: float) -> dict[str, Any]:
    """What trains on a share of the data (0 to 1) for as many steps."""
    longer = {"epochs": round(params.epochs / fraction)}
    if params.patience:
        longer["patience"] = round(params.patience / fraction)
    return {DATA: fraction, **longer}


def repeat(
    task: Task,
    best: Row,
    params: Params,
    changes: Mapping[str, Mapping[str, Any]],
    study: Path,
) -> None:
    """Run the best trial with each of these changes, by the name of the record's folder.

    Raises UserError where a folder holds a run of other parameters.
    """
    with Progress(len(changes), task.objective.direction == "maximize") as progress:
        for number, (name, change) in enumerate(changes.items(), 1):
            changed = make(task.params, {**params.model_dump(), **change}, name)
            record = Record(study / name)
            ending = record.ending() if _begun(record, changed) else None
            if ending and ending.outcome in FINAL:
                value = ending.score.value if ending.score else None
                progress.seen(ending.outcome, value, number)
                continue
            told = ", ".join(f"{key} {value}" for key, value in change.items())
            progress.say(f"{task.name}, the best trial with {told}: trial {number}")
            searched = best.set(best.searched)
            trial = LocalTrial(changed, searched, study.name, record.folder, number)
            run_trial(task, trial, progress, study.parent)


def _begun(record: Record, params: Params) -> bool:
    """Whether the folder holds a run with these parameters; UserError when it is of others."""
    before = record.trial().get("params")
    after = params.model_dump(mode="json")
    changed = [k for k in after if before and k not in SURROUNDINGS and before.get(k) != after[k]]
    if changed:
        raise UserError(
            f"{record.folder}: holds a run of other parameters ({', '.join(changed)}): the search "
            "has another best trial now; name a new comparison by --name, or remove the folder"
        )
    return bool(before)


def keep_cost(task: Task, params: Params, path: Path) -> None:
    """Write what a step costs as JSON, unless it lies there already."""
    asked = params.model_dump(mode="json")
    known = read_json(path)
    if known.get("params") != asked or "failed" in known:
        write_json(path, {**measure_apart(task.name, asked), "params": asked})
