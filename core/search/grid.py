"""Every point of a grid, each once: Optuna's GridSampler for a search that counts its trials."""

from __future__ import annotations

from typing import Any

from optuna.distributions import CategoricalDistribution
from optuna.samplers import GridSampler

from core.search.space import Space

GRID = "grid"


class Grid(GridSampler):
    """The points of a space of choices, in an order that depends on the seed alone."""

    def __init__(self, space: Space, seed: int) -> None:
        latents: dict[str, list[Any]] = {}
        for dimension in space.dimensions:
            distribution = dimension.distribution
            assert isinstance(distribution, CategoricalDistribution)
            latents[dimension.name] = list(distribution.choices)
        super().__init__(latents, seed)

    def after_trial(self, *_: Any) -> None:
        """Nothing: the search ends by its count, and `Study.stop` works in `optimize` alone."""
