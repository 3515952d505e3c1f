"""Trials' pictures as rows that a page can hold: inputs once, and each trial's output."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from core.report.rows import Row

HIGHEST, SMALL = 320, 136  # pixels; small pictures are enlarged about to SMALL
ORDER = ("source", "target")  # then other rows by their names, and `output` last
LABELS = {"source": "input"}


@dataclass(frozen=True)
class Strip:
    """Pictures side by side under one label: a data URI, how many, and their height on the page.

    `colour` is `best`, `baseline`, `input` or one of the page's series.
    """

    label: str
    colour: str
    uri: str
    tiles: int
    height: int
    small: bool


def picture_rows(trials: Sequence[tuple[str, str, str, Row]]) -> list[Strip]:
    """Strips to be shown under one another, of trials: colour, name, label of the output, row.

    All that lies in a trial's folder of pictures is shown: `output` as the trial's own, the rest
    as inputs, once where trials share them, else with the trial's name.
    """
    found = [_pictures(row) for *_, row in trials]
    strips: dict[tuple[str, bytes], Strip | None] = {}
    for (colour, name, label, _), pictures in zip(trials, found, strict=True):
        for picture, content in pictures.items():
            if picture == "output":
                strips[name, content] = _strip(label, colour, content)
            elif (picture, content) not in strips:
                text = LABELS.get(picture, picture.replace("_", " "))
                shared = len({other[picture] for other in found if picture in other}) == 1
                text = text if shared else f"{name}: {text}"
                strips[picture, content] = _strip(text, "input", content)
    return [strip for strip in strips.values() if strip]


def _pictures(row: Row) -> dict[str, bytes]:
    """The content of a trial's pictures by name."""

    def order(name: str) -> tuple[bool, int, str]:
        return name == "output", ORDER.index(name) if name in ORDER else len(ORDER), name

    paths = {p.stem: p for p in row.record.pictures.glob("*.png") if p.is_file()}
    return {name: paths[name].read_bytes() for name in sorted(paths, key=order)}


def _strip(label: str, colour: str, content: bytes) -> Strip | None:
    """None for a picture that cannot be read."""
    try:
        with Image.open(io.BytesIO(content)) as opened:
            image = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    tiles, rest = divmod(image.width, image.height)
    lone = bool(rest) or tiles <= 1
    image.thumbnail((image.width, 2 * HIGHEST if lone else HIGHEST))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    uri = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    scale = max(1, round(SMALL / image.height))
    return Strip(
        label, colour, uri, 1 if lone else tiles, scale * image.height, image.height <= SMALL
    )
