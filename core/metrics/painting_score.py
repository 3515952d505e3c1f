"""The parts of the painting score, and the value they make. The docs have the reasons.

Part        what it is                                                        range, best
painted     likelihood of being paintings, over held-out paintings' own       [0, ...), 1
diversity   mean distance between outputs over that between paintings         [0, ...), 1
breadth     share of what was added that half the resolution still shows      [0, 1], > 0.5
forms       share of it that 8 x 8 pixels still show                          [0, 1], < 0.35
spectrum    misfit of the radial spectrum, in deviations of the paintings'    [0, ...), 0
copied      share of outputs that are a training painting                     [0, 1], 0
structure   own structure kept, above that of other inputs                    [0, 1], 1
light       correlation of luminance with the input's, in 16 x 16 pixels      [-1, 1], > 0.8
recall      R@1: share of outputs that find their own input                   [0, 1], 1

style   = min(1, painted) x min(1, diversity / 0.5) x (1 - copied)
          x broad x own x fine
broad   = ((breadth - 0.3) / 0.2)^2 between 0.3 (white noise has 0.25) and 0.5; 0.01 to 1
own     = (0.6 - forms) / 0.25 between 0.35 and 0.6 (another picture, halos); 0.1 to 1
fine    = 1 / (1 + 3 (spectrum - 1.25)) where the misfit is above 1.25
content = sqrt(structure) x recall x lit
lit     = (light / 0.8)^2 between 0 (a negative has less) and 0.8; 0.01 to 1
value   = 1 / (1 + 5 ln(1 / (style x content))), in [0, 1]

A likelihood is the geometric mean over the outputs of P(painting), multiplied over the two heads of
the classifier: each has to be convinced, by all of the outputs. So style spans many orders of
magnitude; the value has their order on a scale that can be read and averaged: 1e-9 is 0.01, 0.01 is
0.04, 0.5 is 0.22, 0.76 is 0.42. A quarter of painted strokes' value is about a quarter of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

PARTS = (
    *("painted", "diversity", "breadth", "forms", "spectrum", "copied"),
    *("structure", "light", "recall"),
)
FINE = 1.25  # deviations that a typical set of paintings stays below
NOISE, BROAD = 0.3, 0.5
OWN, FOREIGN = 0.35, 0.6
LIT = 0.8
DIVERSE, ONE_FOR_ALL = 0.5, 0.25
UNRELATED, COPIES = 0.25, 0.5
STEEP = 5.0


def style_and_content(parts: Mapping[str, float]) -> tuple[float, float]:
    """Both in [0, 1]; a part that is left out counts as perfect."""
    style = min(1.0, parts.get("painted", 1.0))
    style *= min(1.0, parts.get("diversity", DIVERSE) / DIVERSE)
    style *= ramp(parts.get("breadth", BROAD), NOISE, BROAD) ** 2
    style *= ramp(parts.get("forms", OWN), FOREIGN, OWN)
    style /= 1 + 3 * max(0.0, parts.get("spectrum", 0.0) - FINE)
    style *= 1 - parts.get("copied", 0.0)
    lit = ramp(parts.get("light", LIT), 0.0, LIT) ** 2
    return style, math.sqrt(parts.get("structure", 1.0)) * parts.get("recall", 1.0) * lit


def scaled(product: float) -> float:
    """The value of style x content: 1 for 1, 0 for 0, in the same order."""
    return 1 / (1 - STEEP * min(0.0, math.log(product))) if product > 0 else 0.0


def ramp(x: float, worst: float, best: float) -> float:
    """From 0.1 at `worst` and beyond, where a search still sees other parts, to 1 at `best`."""
    return min(1.0, max(0.1, (x - worst) / (best - worst)))


def violations(parts: Mapping[str, float]) -> dict[str, float]:
    """How far each guard is broken: above 0 it is."""
    return {
        "unrelated": UNRELATED - parts["recall"],  # too few outputs find their input
        "one_for_all": ONE_FOR_ALL - parts["diversity"],  # outputs too near one another
        "copies": parts["copied"] - COPIES,  # too many are training paintings
        "negative": -parts["light"],  # light and dark are exchanged
    }
