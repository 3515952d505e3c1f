"""Points of a search space that a study is told of without having asked for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from core.engines.optuna import Search
from core.engines.recovery import KEPT, NUMBER, VALUES


def key(values: Mapping[str, Any]) -> str:
    """The same text for the same flat values, also after a visit to JavaScript (1.0 becomes 1)."""
    plain = {k: float(v) if type(v) is int else v for k, v in values.items()}
    return json.dumps(plain, sort_keys=True, default=str)


def values_of(trial: FrozenTrial) -> dict[str, Any]:
    """The flat values of a trial; empty where its process died before it had drawn them."""
    values: dict[str, Any] = trial.user_attrs.get(VALUES, {})
    return values


def known(search: Search) -> dict[str, FrozenTrial]:
    """The study's trials by their values' key: of several an unfinished one, or a complete one."""
    trials = search.own(*(s for s in TrialState if s is not TrialState.WAITING))
    trials.sort(key=lambda t: (not t.state.is_finished(), t.state is TrialState.COMPLETE))
    return {key(values_of(t)): t for t in trials}


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
        point = search.space.draw(ask, kept)
    except KeyError:
        return False
    if point.keys() != values.keys():
        return False
    number = len(search.own(*(s for s in TrialState if s is not TrialState.WAITING)))
    search.study.add_trial(
        create_trial(
            state=like.state,
            value=like.value,
            intermediate_values=like.intermediate_values,
            params={name: latents[name] for name in distributions},
            distributions=distributions,
            user_attrs={**like.user_attrs, NUMBER: number, VALUES: point, KEPT: kept},
        )
    )
    return True
