from __future__ import annotations

from pathlib import Path

import pytest

from core.task import UserError
from trials.glyph_denoise import GlyphDenoiseParams, load


@pytest.mark.parametrize("content", [None, b"", b"no zip", b"PK\3\4 cut short"])
def test_outputs_that_cannot_be_read_are_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "translations.npz").write_bytes(content)
    params = GlyphDenoiseParams(
        source_font="DejaVu Sans",
        target_font="DejaVu Serif",
        characters="ascii",
        size=32,
        outputs=str(tmp_path),
    )
    with pytest.raises(UserError, match=r"cannot read translations\.npz"):
        load(params)
