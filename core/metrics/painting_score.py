"""The parts of the painting score, and the value they make. The docs have the reasons.

Part        what it is                                                        range, best
painted     P(painting) between held-out photographs (0) and paintings (1)    (-..., ...), 1
near        1 - squared MMD to held-out paintings over the photographs'       (-..., 1], 1
beyond      what `painted` gains over the best affine recolouring             (-..., ...), 1
form        how far edges are from those of noise of the same fineness        [0, ...), 1
diversity   mean distance between outputs over that between paintings         [0, ...), 1
copied      share of outputs that are a training painting                     [0, 1], 0
spectrum    misfit of the radial spectrum, in deviations of the paintings'    [0, ...), 0
structure   own structure kept, above that of other inputs                    [0, 1], 1
recall      R@1: share of outputs that find their own input                   [0, 1], 1

Each part becomes a factor of at most 1. `soft` of x is a logistic curve, 0.14 at 0, 0.57 at 0.5 and
1 from 1 on: it never reaches 0, so that a search can tell bad from worse.

style   = harmonic mean of soft(painted) and soft(near)
          x soft(beyond / 0.4) x min(1, form / 0.5)^2 x min(1, diversity / 0.5)
          x (1 - copied)
          x exp(-(spectrum - 2) / 3) where the misfit is above 2
content = structure x recall
value   = harmonic mean of style and content, in [0, 1]
"""

from __future__ import annotations

import math
from collections.abc import Mapping

PARTS = (
    *("painted", "near", "beyond", "form", "diversity", "copied", "spectrum"),
    *("structure", "recall"),
)
SLOPE = 4.0
BEYOND = 0.4
FORMED = 0.5
DIVERSE, ONE_FOR_ALL = 0.5, 0.25
FINE, FADING, NOISE = 2.0, 3.0, 12.0
UNRELATED, COPIES = 0.25, 0.5


def style_and_content(parts: Mapping[str, float]) -> tuple[float, float]:
    """Both in [0, 1]; a part that is left out counts as perfect."""
    style = harmonic(soft(parts.get("painted", 1.0)), soft(parts.get("near", 1.0)))
    style *= soft(parts.get("beyond", BEYOND) / BEYOND)
    style *= min(1.0, parts.get("form", FORMED) / FORMED) ** 2
    style *= min(1.0, parts.get("diversity", DIVERSE) / DIVERSE)
    style *= 1 - parts.get("copied", 0.0)
    style *= min(1.0, math.exp((FINE - parts.get("spectrum", FINE)) / FADING))
    return style, parts.get("structure", 1.0) * parts.get("recall", 1.0)


def soft(x: float) -> float:
    """A logistic curve that is 1 from x = 1 on, near 0 far below 0, and always rises before."""
    ceiling = 1 + math.exp(-SLOPE / 2)
    return min(1.0, ceiling / (1 + math.exp(min(SLOPE / 2 - SLOPE * x, 700.0))))


def violations(parts: Mapping[str, float]) -> dict[str, float]:
    """How far each guard is broken: above 0 it is."""
    return {
        "unrelated": UNRELATED - parts["recall"],  # too few outputs find their input
        "one_for_all": ONE_FOR_ALL - parts["diversity"],  # outputs too near one another
        "copies": parts["copied"] - COPIES,  # too many are training paintings
        "texture": parts["spectrum"] - NOISE,  # noise
    }


def harmonic(a: float, b: float) -> float:
    """The harmonic mean of two numbers from 0: near the smaller, and 0 where one is."""
    return 2 * a * b / (a + b) if a + b > 0 else 0.0
