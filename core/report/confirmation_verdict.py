"""A confirmation in words: who wins, and what that is worth."""

from __future__ import annotations

from collections.abc import Sequence

from core.replicates.stats import ROUNDING
from core.report.block import BASELINE
from core.report.confirmation import Confirmation
from core.report.wording import count, signed

SHOWN = 3


def conclusion(c: Confirmation, floor: float | None = None) -> str:
    """What can be said, in a sentence or two.

    `floor`: the noise floor, where it was measured on runs like these, by the same evaluator.
    """
    if c.waiting and not c.paired.names:
        return "Nothing is confirmed yet: no seed has been run with every configuration."
    if not c.winners:
        return "No configuration came through with every seed, so none is confirmed."
    twins = [_twins(c, name) for name in c.winners if name in (c.winners[0], BASELINE)]
    return " ".join(filter(None, [_who_wins(c), _gained(c, floor), _lost(c), *twins]))


def _who_wins(c: Confirmation) -> str:
    best, alone = c.winners[0], len(c.winners) == 1
    over = f"over {count(len(c.common), 'common seed')}"
    if len(c.candidates) == 1:
        return f"{c.named(best, True)} was trained again {over}, and there is no other to compare."
    if len(c.paired.names) == 1:
        return f"Only {c.named(best)} came through with every seed."
    if not c.paired.freedom:
        ahead = f"{c.named(best, True)} is ahead {over}"
        return f"{ahead}, which says nothing: confirm with more seeds."
    if alone:
        return f"{c.named(best, True)} wins {over}."
    return f"{_listed(c, c.winners)} cannot be told apart {over}."


def unfinished(c: Confirmation, study: str) -> str:
    """What is left to do; '' where nothing is."""
    if not c.waiting:
        return ""
    left = f"{count(c.waiting, 'run')} {'is' if c.waiting == 1 else 'are'} left"
    return (
        f"The confirmation is not finished: {left}, and `gantune confirm {study}` goes on. What is "
        "said rests on the seeds that every configuration has been run with."
    )


def _gained(c: Confirmation, floor: float | None) -> str:
    """What the best gains over the baseline; '' where that came to no score."""
    best = c.winners[0]
    gain = c.gain(best)
    if gain is None or not c.paired.freedom:
        return ""
    if BASELINE in c.winners:
        return "No gain over the baseline is shown."
    noise = c.paired.noise or 0.0
    worth = f"; {gain.value / noise:.1f} times one run's noise" if noise > ROUNDING else ""
    worth = f"; {gain.value / floor:.1f} noise floors" if floor else worth
    interval = f"{signed(gain.low, c.places)} to {signed(gain.high, c.places)}, 95 %"
    who = "It" if len(c.winners) == 1 else c.named(best, True)
    return f"{who} beats the baseline by {c.shown(gain.value)} ({interval}{worth})."


def _lost(c: Confirmation) -> str:
    """Why there is no baseline to compare with; '' where there is one."""
    wrong = c.block.failed(BASELINE) if BASELINE in c.runs else []
    return f"The published baseline is out: {', '.join(wrong)}." if wrong else ""


def _twins(c: Confirmation, of: str) -> str:
    """The trials that are the same as a candidate."""
    twins = [name for name, twin in c.same.items() if twin == of]
    if not twins:
        return ""
    named = _listed(c, twins) if len(twins) <= SHOWN else f"{len(twins)} further trials"
    are = "it is" if len(twins) == 1 else "they are"
    return f"{named} cannot be told apart from {c.named(of)}: {are} the same configuration."


def _listed(c: Confirmation, names: Sequence[str]) -> str:
    words = [c.named(name, i == 0) for i, name in enumerate(names)]
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
