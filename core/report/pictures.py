"""The samples of the best trial and of the baseline, as rows of pictures a page can hold."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from core.report.rows import Row
from core.report.summary import Summary

LARGE, LARGEST, SHOWN = 136, 320, 8
ACROSS = 4


@dataclass(frozen=True)
class Strip:
    """A few tiles side by side under one label. `pixels` is a tile's side as it is stored."""

    label: str
    kind: str
    uri: str
    tiles: int
    pixels: int

    @property
    def shown(self) -> int:
        """A small tile's side on the page: a whole multiple, so that it enlarges crisply."""
        return self.pixels * max(1, round(LARGE / self.pixels))

    @property
    def small(self) -> bool:
        """Whether its tiles are to be enlarged."""
        return self.pixels <= LARGE


def picture_blocks(summary: Summary) -> list[list[Strip]]:
    """Blocks of aligned strips: input, target where there is one, best, baseline.

    Large tiles go four to a block.
    """
    best, baseline = summary.best, summary.baseline
    if best is None:
        return []
    wanted = [("input", "input", best, "source"), ("target", "input", best, "target")]
    named = "best, the baseline itself" if best == baseline else "best"
    wanted.append((f"{named}: trial {best.label}", "best", best, "output"))
    if baseline and baseline != best:
        if content(baseline, "source") != content(best, "source"):
            wanted.append(("baseline's input", "input", baseline, "source"))
        wanted.append((f"baseline: trial {baseline.label}", "baseline", baseline, "output"))
    return aligned(wanted)


def aligned(wanted: Sequence[tuple[str, str, Row, str]]) -> list[list[Strip]]:
    """Blocks of strips under one another: label, kind, whose outputs, and which of them."""
    opened = [(label, kind, _open(_path(row, name))) for label, kind, row, name in wanted]
    tiles = [(label, kind, _tiles(image)) for label, kind, image in opened if image]
    sides = [max(images[0].size) for _, _, images in tiles]
    across = SHOWN if all(side <= LARGE for side in sides) else ACROSS
    blocks = [
        [_strip(label, kind, part) for label, kind, t in tiles if (part := t[i : i + across])]
        for i in range(0, SHOWN, across)
    ]
    return [block for block in blocks if block]


def _path(row: Row, name: str) -> Path:
    return row.record.pictures / f"{name}.png"


def content(row: Row, name: str) -> bytes:
    """A picture of a trial's samples as it lies on disk; empty where there is none."""
    try:
        return _path(row, name).read_bytes()
    except OSError:
        return b""


def _open(path: Path) -> Image.Image | None:
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _tiles(strip: Image.Image) -> list[Image.Image]:
    """A strip of square tiles, cut; any other picture is one tile."""
    width, height = strip.size
    number, rest = divmod(width, height)
    if rest or not number:
        return [strip]
    return [strip.crop((i * height, 0, (i + 1) * height, height)) for i in range(number)]


def _strip(label: str, kind: str, tiles: list[Image.Image]) -> Strip:
    for tile in tiles:
        tile.thumbnail((LARGEST, LARGEST))
    width, height = tiles[0].size
    joined = Image.new("RGB", (width * len(tiles), height))
    for i, tile in enumerate(tiles):
        joined.paste(tile, (i * width, 0))
    buffer = io.BytesIO()
    joined.save(buffer, "PNG", optimize=True)
    uri = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Strip(label, kind, uri, len(tiles), max(width, height))
