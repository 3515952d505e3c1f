"""The fonts the glyph tasks take where nobody names any."""

from __future__ import annotations

from core.data.fonts import find_font
from core.data.glyphs import CHINESE, WESTERN
from core.doctor.finding import Finding, error, note
from core.task import UserError


def check() -> list[Finding]:
    """Which pair it will be; an error where not even matplotlib's own are there."""
    for source, target in (CHINESE, WESTERN):
        try:
            files = f"{find_font(source)} and {find_font(target)}"
        except UserError as mistake:
            complaint = str(mistake)
            continue
        return [note("fonts", f"glyph tasks go from {source} to {target} by default ({files})")]
    return [error("fonts", complaint)]
