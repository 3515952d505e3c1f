"""Points of a search space that a study learns of without having asked for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from core.search.constraints import KEY, infeasibility
from core.search.recovery import KEPT, NUMBER, VALUES
from core.search.study import Search
from core.task import Outcome, OutcomeKind, Score


def number_of(trial: FrozenTrial) -> int | None:
    """A trial's number; None where its process died before the trial had one."""
    number: int | None = trial.user_attrs.get(NUMBER)
    return number


def values_of(trial: FrozenTrial) -> dict[str, Any]:
    """A trial's flat values; empty where its process died before it had drawn them."""
    values: dict[str, Any] = trial.user_attrs.get(VALUES, {})
    return values


class KnownTrials:
    """The trials that a study has now, but those that wait, by number and by values."""

    def __init__(self, search: Search) -> None:
        trials = search.own(*(s for s in TrialState if s is not TrialState.WAITING))
        # where several have the same values, an unfinished one counts, or a complete one
        trials.sort(key=lambda t: (not t.state.is_finished(), t.state is TrialState.COMPLETE))
        self._values = {_key(values_of(t)): t for t in trials}
        self._numbers = {number_of(t): t for t in trials}

    def at(self, values: Mapping[str, Any]) -> FrozenTrial | None:
        """The trial at these flat values."""
        return self._values.get(_key(values))

    def numbered(self, number: int) -> FrozenTrial | None:
        """The trial with this number."""
        return self._numbers.get(number)


def completed(score: Score) -> FrozenTrial:
    """A trial with this score, for `add`."""
    facts = {"outcome": "completed", "reason": "", "parts": dict(score.parts)}
    trial = create_trial(value=score.value, user_attrs=facts)
    trial.set_constraint(KEY, infeasibility(Outcome(OutcomeKind.COMPLETED, "", score)))
    return trial


def add(search: Search, values: Mapping[str, Any], like: FrozenTrial) -> bool:
    """Add a finished trial at this point; its state, scores and attributes are those of `like`.

    False for what is no whole point of the space.
    """
    latents, kept = search.space.latents(values)
    distributions: dict[str, BaseDistribution] = {}

    def ask(name: str, distribution: BaseDistribution) -> Any:
        latent = latents[name]
        distributions[name] = distribution
        return latent

    try:
        point = search.space.draw(ask)
    except KeyError:
        return False
    if point.keys() != values.keys():
        return False
    kept = {name: kept[name] for name in point if name in kept}
    numbers = [number_of(t) for t in search.study.get_trials(deepcopy=False)]
    number = 1 + max((n for n in numbers if n is not None), default=-1)
    trial = create_trial(
        state=like.state,
        value=like.value,
        intermediate_values=like.intermediate_values,
        params={name: latents[name] for name in distributions},
        distributions=distributions,
        user_attrs={**like.user_attrs, NUMBER: number, VALUES: {**point, **kept}, KEPT: kept},
    )
    for name, broken in like.constraints.items():
        trial.set_constraint(name, broken)
    search.study.add_trial(trial)
    return True


def _key(values: Mapping[str, Any]) -> str:
    """The same text for the same values, also after a visit to JavaScript: 1.0 becomes 1 there."""
    plain = {k: float(v) if type(v) is int else v for k, v in values.items()}
    return json.dumps(plain, sort_keys=True, default=str)
