"""Data: images, glyphs and fonts, found, decoded or drawn once, and split."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where what is made once is kept: `$XDG_CACHE_HOME/gantune`, or `~/.cache/gantune`."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "gantune"
