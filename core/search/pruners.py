"""Pruners as users name them: `median`, or `median:3`, which evaluators no trial before its epoch 3."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

PRUNERS = ("median", "hyperband", "none")
NAMED = re.compile(r"(median|hyperband)(?::([1-9][0-9]{0,8}))?|(none)")


def pruner_argument(*kinds: str) -> Callable[[str], str]:
    """What checks the name of a pruner of these kinds, as argparse wants it."""

    def check(text: str) -> str:
        if not NAMED.fullmatch(text) or text.partition(":")[0] not in kinds:
            raise argparse.ArgumentTypeError(
                f"no pruner {text!r}; there are {', '.join(kinds)}, and median:3 evaluators none "
                "before its epoch 3"
            )
        return text

    return check


def parse_pruner(name: str) -> tuple[str, int | None]:
    """`median:3` -> median, 3: the kind, and the first epoch it evaluators; None where not given."""
    kind, _, first = name.partition(":")
    return kind, int(first) if first else None
