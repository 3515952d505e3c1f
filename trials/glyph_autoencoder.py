"""Glyph transfer by an autoencoder, trained on a pixel loss alone.

python -m trials.glyph_autoencoder --help        every parameter
python -m trials.glyph_autoencoder --epochs 10   one trial with the baseline
"""

from __future__ import annotations

from core.data.glyphs import load_glyphs
from core.main import main
from core.models.pix2pix import PairedParams, PairedTraining
from core.task import Task
from evaluators.glyph import OBJECTIVE, glyph_evaluator


class GlyphAutoencoderParams(PairedParams):
    """Defaults are the seed study's network, AutoEncoderGen, with pix2pix's optimiser."""


TASK = Task(
    name="glyph_autoencoder",
    summary="glyphs from one font to another by an autoencoder",
    params=GlyphAutoencoderParams,
    load=load_glyphs,
    build=PairedTraining,
    evaluator=glyph_evaluator,
    objective=OBJECTIVE,
)

if __name__ == "__main__":
    main(TASK)
