"""Data: images, glyphs and fonts, found, decoded or drawn once, and split."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where what is made once is kept: `$XDG_CACHE_HOME/gantune`, or `~/.cache/gantune`.

    A user without a home, as in some containers, has it in `runs/cache` of the working directory.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():
        return base / "gantune"
    try:
        return Path.home() / ".cache" / "gantune"
    except RuntimeError:
        return Path("runs", "cache").resolve()
