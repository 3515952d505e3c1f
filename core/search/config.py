"""One frozen object for one search: flags make it, the study keeps it, workers receive it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.params import validate_params
from core.search.budget import Budget
from core.search.rungs import Rungs
from core.task import RUNTIME_FIELDS, Evaluator, Objective, Params, Task, UserError

SAMPLERS = ("tpe", "random", "gp", "cmaes", "qmc")
GRID, QUEUE = "grid", "queue"  # samplers of `gantune sweep`, and of trials that are only enqueued
MULTI_OBJECTIVE_SAMPLERS = ("tpe", "random")
PRUNERS = ("asha", "hyperband", "median", "none")
PRUNER = re.compile(r"(median)(?::([1-9][0-9]{0,8}))?|(asha|hyperband)(?::([2-9]))?|(none)")
EXAMPLES = {
    "asha": "asha:4 lets one trial of four go on from each rung",
    "median": "median:3 prunes no trial before its epoch 3",
}
RETRIES, HEARTBEAT = 3, 30


@dataclass(frozen=True)
class SearchConfig:
    """All that defines a search, in plain values that can be sent to another process.

    `storage` is Optuna's URL; '' is an SQLite file under `runs`. `space` is NNI's JSON; `fixed` are
    parameters set by flags, as text; `objectives` are parts of the score to search for together,
    instead of its value; `trials` is the study's total, or what the budget of time may buy;
    `compute` is how steps are computed, as measured before the search (core.training.choice),
    `prepared` what tells its data and evaluator from others (core.training.provenance).
    """

    task: str
    runs: Path
    study: str
    storage: str = ""
    space: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    sampler: str = "tpe"
    pruner: str = "none"
    objectives: tuple[Objective, ...] = ()
    trials: int = 20
    seed: int = 0
    workers: int | None = None
    retries: int = RETRIES
    heartbeat: int = HEARTBEAT
    artifacts: str = ""
    holdout: bool = False
    budget: Budget | None = None
    compute: Mapping[str, Any] = field(default_factory=dict)
    prepared: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder of the study's records."""
        return self.runs / self.study

    @property
    def artifacts_location(self) -> str:
        """Where the dashboard finds pictures: `artifacts`, by default a folder under `runs`."""
        return self.artifacts or str(self.runs / "artifacts")

    def queue(self, study: str) -> SearchConfig:
        """A study of replicates that run where and how this search's trials run."""
        fixed = {k: v for k, v in self.fixed.items() if k in RUNTIME_FIELDS}
        same = replace(self, study=study, fixed=fixed, sampler=QUEUE, space={})
        return replace(same, pruner="none", objectives=(), seed=0, budget=None, compute={})

    def rungs(self, task: Task) -> Rungs | None:
        """Where its trials stop before they go on, where the pruner is one of rungs.

        UserError where learning rates would decay below the last rung: what trials had come to at
        a rung would not be what the whole trial comes to.
        """
        params = self.params(task)
        rungs = Rungs.of(self.pruner, params.epochs)
        constant = getattr(params, "constant_share", 1.0) * params.epochs
        if rungs and (constant < rungs.levels[-2] or {"decay_from", "lr_schedule"} & {*self.space}):
            raise UserError(
                f"--pruner {self.pruner}: learning rates must not decay before the last rung, "
                f"epoch {rungs.levels[-2]} of {params.epochs}; set --decay-from to "
                f"{rungs.levels[-2] / params.epochs:.2g} or more, or --lr-schedule to constant"
            )
        return rungs

    def has_length(self, task: Task) -> bool:
        """Whether it is known how many epochs a trial has, and not left to the budget."""
        return self.budget is None or "epochs" in {*self.fixed, *self.space}

    def share(self, task: Task) -> float:
        """How many whole trials it trains in all, those that stop at rungs counted in part."""
        rungs = self.rungs(task)
        return rungs.cost(self.trials) / rungs.levels[-1] if rungs else float(self.trials)

    def params(self, task: Task) -> Params:
        """The task's Params with the fixed values; UserError for a bad one."""
        return validate_params(task.params, self.fixed)

    def identity(self, task: Task) -> dict[str, Any]:
        """What decides which trials are proposed, and may not change while a study goes on."""
        values = self.params(task).model_dump(mode="json")
        return {
            "task": self.task,
            "space": dict(self.space),
            "fixed": {k: values[k] for k in self.fixed if k not in RUNTIME_FIELDS},
            "seed": self.seed,
            "sampler": self.sampler,
            "pruner": self.pruner,
            "objectives": [o.name for o in self.objectives],
            **self.prepared,
        }

    def about(self) -> dict[str, Any]:
        """What study.json shows of it."""
        return {
            "task": self.task,
            "engine": "optuna",
            "trials": self.trials,
            "space": dict(self.space),
            "sampler": self.sampler,
            "pruner": self.pruner,
            "epochs": self.fixed.get("epochs"),
            "objectives": {o.name: o.direction for o in self.objectives},
            **self.prepared,
        }


def differences(
    before: Mapping[str, Any], now: Mapping[str, Any], may_grow: Collection[str] = ()
) -> list[str]:
    """What keeps something begun with `before` from being resumed with `now`, a phrase each.

    A key that is missing in `before` may be new. The keys in `may_grow` may become larger numbers
    or longer lists. Of nested objects the entries that both have are compared.
    """
    found = []
    for key, new in now.items():
        old = before.get(key, new)
        if isinstance(old, Mapping) and isinstance(new, Mapping) and key in may_grow:
            shared = {k: new[k] for k in new if k in old}
            found += [f"{key} of {phrase}" for phrase in differences(old, shared)]
        elif old != new and not (key in may_grow and _grown(old, new)):
            found.append(f"{key} was {old}, is now {new}")
    return found


def _grown(old: Any, new: Any) -> bool:
    if isinstance(old, list) and isinstance(new, list):
        return all(item in new for item in old)
    return bool(new >= old)


def refuse_changes(
    what: str,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    remedy: str,
    may_grow: Collection[str] = (),
) -> None:
    """UserError where `what` was begun with another configuration, saying what differs."""
    if changes := differences(before, now, may_grow):
        raise UserError(f"{what} was set up otherwise ({'; '.join(changes)}); {remedy}")


def parse_pruner(name: str) -> tuple[str, int | None]:
    """`median:3` -> median, 3: the kind, and the first epoch it judges; None where not given."""
    kind, _, first = name.partition(":")
    return kind, int(first) if first and kind == "median" else None


def pruner_argument(*kinds: str) -> Callable[[str], str]:
    """The argparse type of a pruner of these kinds."""

    def check(text: str) -> str:
        if not PRUNER.fullmatch(text) or text.partition(":")[0] not in kinds:
            examples = ", and ".join(EXAMPLES[kind] for kind in kinds if kind in EXAMPLES)
            raise argparse.ArgumentTypeError(
                f"no pruner {text!r}; there are {', '.join(kinds)}, and {examples}"
            )
        return text

    return check


def check_pruner(pruner: str, epochs: int) -> None:
    """UserError for a pruner that a trial of so many epochs never meets."""
    Rungs.of(pruner, epochs)
    if (parse_pruner(pruner)[1] or 0) >= epochs:
        raise UserError(
            f"--pruner {pruner}: a trial has {epochs} epochs (--epochs) and is not stopped after "
            "its last one, so none would be; name an earlier epoch"
        )


def choose_objectives(
    evaluator: Evaluator, names: Sequence[str], sampler: str, pruner: str
) -> tuple[Objective, ...]:
    """The parts of the score to search for, by name; none where none is named.

    Raises UserError for a part that the evaluator does not offer, and for samplers and pruners of
    one objective only.
    """
    offered = {objective.name: objective for objective in evaluator.objectives[1:]}
    if unknown := [name for name in names if name not in offered]:
        raise UserError(
            f"--objectives {','.join(names)}: the evaluator has no {unknown[0]!r} to search for; "
            f"it has {', '.join(offered) or 'none'}"
        )
    if names and sampler not in MULTI_OBJECTIVE_SAMPLERS:
        known = " or ".join(MULTI_OBJECTIVE_SAMPLERS)
        raise UserError(f"--sampler {sampler}: knows one objective only; take {known}")
    if names and pruner != "none":
        raise UserError(f"--pruner {pruner}: knows one objective only; leave it out")
    return tuple(offered[name] for name in names)
