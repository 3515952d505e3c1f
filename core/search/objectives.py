"""A search for several parts of the score at once."""

from __future__ import annotations

from collections.abc import Sequence

from core.task import Evaluator, Objective, UserError

SAMPLERS = ("tpe", "random")


def chosen(
    evaluator: Evaluator, names: Sequence[str], sampler: str, pruner: str
) -> tuple[Objective, ...]:
    """The parts to search for, by name; none where none is named.

    Raises UserError where the evaluator has none of that name, and for samplers and pruners that know
    one objective only.
    """
    there = {objective.name: objective for objective in evaluator.objectives[1:]}
    if unknown := [name for name in names if name not in there]:
        raise UserError(
            f"--objectives {','.join(names)}: the evaluator has no {unknown[0]!r} to search for; "
            f"it has {', '.join(there) or 'none'}"
        )
    if names and sampler not in SAMPLERS:
        known = " or ".join(SAMPLERS)
        raise UserError(f"--sampler {sampler}: knows one objective only; take {known}")
    if names and pruner != "none":
        raise UserError(f"--pruner {pruner}: knows one objective only; leave it out")
    return tuple(there[name] for name in names)
