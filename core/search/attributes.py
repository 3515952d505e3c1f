"""What a study keeps with each of its trials, in Optuna's user attributes.

Several trials in Optuna may be one trial of the search: one that was interrupted, or promoted from
rung to rung, goes on as another. They share their number, and the latest counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from optuna.trial import FrozenTrial

# Its number; its folder where that is not the number; all its values, those of them that lie
# outside the space, and the names of those that a search chose; the epoch at which it stops for
# now; whether another one continues it; by how much it breaks guards.
NUMBER, FOLDER, VALUES, KEPT, SEARCHED = "number", "folder", "values", "kept", "searched"
UNTIL, CONTINUED, BROKEN = "until", "continued", "broken"


def folder_of(trial: Any) -> str:
    """The name of the record's folder of an Optuna trial."""
    return str(trial.user_attrs.get(FOLDER) or f"{trial.user_attrs[NUMBER]:04d}")


def latest(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """The trials without those that a later one continues."""
    found: dict[Any, FrozenTrial] = {}
    for trial in trials:
        if not trial.user_attrs.get(CONTINUED):
            found[trial.user_attrs.get(NUMBER, f"unnumbered {trial.number}")] = trial
    return list(found.values())
