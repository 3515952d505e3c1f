"""Successive halving whose survivors go on: trials stop at rungs, the best of each train further.

`asha` is asynchronous successive halving (Li et al. 2020, arXiv 1810.05934): whoever is free
promotes the best trial that is among the first 1/eta of its rung, else begins a new one.
`hyperband` (Li et al. 2018, arXiv 1603.06560) shares the trials out among brackets, each of which
begins one rung higher than the one before. A trial keeps its number, its folder and its checkpoint
from rung to rung; in the study each rung is a trial of its own, since Optuna resumes none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from core.task import UserError

ETA, FIRST = 3, 3  # the papers' usual factor; fewer epochs than that say nothing of a GAN
KINDS = ("asha", "hyperband")


@dataclass(frozen=True)
class Contender:
    """A trial of the search: its scores by epoch, how its guards stand, and what it is at.

    `broken` is above 0 where a guard is broken; `active` trials run or wait to be run, `over` ones
    have ended for good, which may have been before a rung.
    """

    number: int
    scores: dict[int, float]
    broken: float = 0.0
    active: bool = False
    over: bool = False

    def reached(self, level: int) -> bool:
        """Whether it has trained to this epoch, or will never."""
        return level in self.scores or (self.over and not self.active)


@dataclass(frozen=True)
class Rungs:
    """The epochs at which trials stop, ascending, the last one included, and 1/eta goes on."""

    levels: tuple[int, ...]
    eta: int = ETA
    brackets: int = 1

    @classmethod
    def of(cls, pruner: str, epochs: int) -> Rungs | None:
        """The rungs of `asha:3` or `hyperband:3`; None for another pruner, UserError without one.

        From `epochs` down, each is a share 1/eta of the next, as long as it has 3 epochs or more.
        """
        kind, _, text = pruner.partition(":")
        if kind not in KINDS:
            return None
        eta = int(text) if text else ETA
        levels = [epochs]
        while epochs / eta ** len(levels) >= FIRST - 0.5:
            levels.append(round(epochs / eta ** len(levels)))
        if len(levels) == 1:
            raise UserError(
                f"--pruner {pruner}: a trial has {epochs} epochs (--epochs), and the first rung "
                f"would have fewer than {FIRST}; take {FIRST * eta} epochs or more, or asha:2"
            )
        return cls(tuple(reversed(levels)), eta, len(levels) if kind == "hyperband" else 1)

    def stops(self, number: int) -> tuple[int, ...]:
        """The rungs of the trial of this number: all, or those of its bracket.

        A bracket that begins a rung higher has 1/eta of the trials, as both then cost about alike.
        """
        shares = self._shares()
        place = number % sum(shares)
        bracket = next(i for i in range(self.brackets) if place < sum(shares[: i + 1]))
        return self.levels[bracket:]

    def after(self, number: int, epoch: int) -> int:
        """The first stop of a trial beyond an epoch; the last epoch has none."""
        return next(level for level in self.stops(number) if level > epoch)

    def promotion(
        self, contenders: Collection[Contender], full: bool, maximize: bool, spare: bool = False
    ) -> Iterator[Contender]:
        """The trials to promote now, the highest rung's first and the best of a rung first.

        `full`: no new trial will be begun. Then the best of a rung goes on even where 1/eta of so
        few is none, once nobody can reach that rung any more. `spare`: there is time to spare, and
        whoever waits may go on.
        """
        found: list[list[Contender]] = []
        for stops in dict.fromkeys(self.stops(c.number) for c in contenders):
            own = [c for c in contenders if self.stops(c.number) == stops]
            found += self._of_bracket(own, stops, full, 1 if maximize else -1, spare)
        for rung in sorted(found, key=lambda rung: -max(rung[0].scores)):
            yield from rung

    def _of_bracket(
        self, own: Sequence[Contender], stops: Sequence[int], full: bool, sign: int, spare: bool
    ) -> Iterator[list[Contender]]:
        settled = full
        for level in stops[:-1]:
            settled = settled and all(c.reached(level) or not c.active for c in own)
            arrived = [c for c in own if c.reached(level)]
            quota = len(arrived) // self.eta
            if settled:
                quota = max(1, quota)
            if spare:
                quota = len(arrived)
            scored = [c for c in arrived if level in c.scores]
            scored.sort(key=lambda c: (max(0.0, c.broken), -sign * c.scores[level], c.number))
            waiting = [
                c for c in scored[:quota] if max(c.scores) == level and not c.active and not c.over
            ]
            settled = settled and not waiting
            if waiting:
                yield waiting

    def cost(self, trials: int, workers: int = 1) -> int:
        """The epochs that so many trials train in all when promotions follow the ranks exactly.

        With `workers` that wait for each other at the rungs, those of the waiting ones count, too.
        """
        total = 0
        for stops, count in self._counts(trials).items():
            before, left = 0, count
            for level in stops:
                total += -(-left // workers) * workers * (level - before)
                before, left = level, max(1, left // self.eta)
        return total

    def _counts(self, trials: int) -> dict[tuple[int, ...], int]:
        shares = self._shares()
        rounds, rest = divmod(trials, sum(shares))
        found = {}
        for i, share in enumerate(shares):
            found[self.levels[i:]] = rounds * share + min(share, max(0, rest - sum(shares[:i])))
        return {stops: count for stops, count in found.items() if count}

    def _shares(self) -> list[int]:
        """How many of each round of trials every bracket has."""
        return [self.eta ** (self.brackets - 1 - i) for i in range(self.brackets)]
