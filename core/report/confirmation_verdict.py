"""A confirmation in words: who wins, and what that is worth."""

from __future__ import annotations

from collections.abc import Sequence

from core.report.confirmation import BASELINE, Confirmation
from core.report.paired import ROUNDING
from core.report.wording import count, signed


def conclusion(c: Confirmation, floor: float | None = None) -> str:
    """What can be said, in a sentence or two.

    `floor`: the noise floor, where it was measured on runs like these, by the same judge.
    """
    winners, lost = c.winners, _lost(c)
    if not winners:
        return "No configuration came through with every seed, so none is confirmed."
    best, alone = winners[0], len(winners) == 1
    if alone and len(c.paired.names) == 1:
        if c.waiting:
            return f"Only {c.named(best)} has been trained again so far.{lost}"
        return f"Only {c.named(best)} came through with every seed.{lost}"
    over = f"over {count(c.common, 'common seed')}"
    if len(c.paired.names) > 1 and not c.paired.freedom:
        ahead = f"{c.named(best, True)} is ahead {over}"
        return f"{ahead}, which says nothing: confirm with more seeds.{lost}"
    lead = f"{c.named(best, True)} wins" if alone else f"{_listed(c, winners)} cannot be told apart"
    if BASELINE in winners:
        gained = "" if best == BASELINE else " No gain over the baseline is shown."
        return f"{lead} {over}.{gained}"
    return f"{lead} {over}.{_gained(c, best, floor) or lost}"


def unfinished(c: Confirmation, study: str) -> str:
    """What is left to do; '' where nothing is."""
    if not c.waiting:
        return ""
    left = f"{count(c.waiting, 'run')} {'is' if c.waiting == 1 else 'are'} left"
    return f"The confirmation is not finished: {left}, and `gantune confirm {study}` goes on."


def _lost(c: Confirmation) -> str:
    """Why there is no baseline to compare with; '' where there is one."""
    wrong = c.failed(BASELINE) if BASELINE in c.runs else []
    return f" The published baseline is out: {', '.join(wrong)}." if wrong else ""


def _gained(c: Confirmation, best: str, floor: float | None) -> str:
    """What the best gains over the baseline; '' where that came to no score."""
    gain = c.gain(best)
    if gain is None:
        return ""
    noise = c.paired.noise or 0.0
    worth = f"; {gain.value / noise:.1f} times one run's noise" if noise > ROUNDING else ""
    worth = f"; {gain.value / floor:.1f} noise floors" if floor else worth
    interval = f"{signed(gain.low, c.places)} to {signed(gain.high, c.places)}, 95 %"
    who = "It" if len(c.winners) == 1 else c.named(best, True)
    return f" {who} beats the baseline by {c.shown(gain.value)} ({interval}{worth})."


def _listed(c: Confirmation, names: Sequence[str]) -> str:
    words = [c.named(name, i == 0) for i, name in enumerate(names)]
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
