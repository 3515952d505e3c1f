"""Glyph transfer by an autoencoder: the seed study's AutoEncoderGen, pixels alone to learn from.

python -m trials.glyph_autoencoder --help        every parameter
python -m trials.glyph_autoencoder --epochs 10   one trial with the baseline
"""

from __future__ import annotations

from core.data.glyphs import load_glyphs
from core.run import main
from core.task import Task
from core.training.paired import PairedParams, PairedTraining
from evaluators.glyph import OBJECTIVE, glyph_judge


class GlyphAutoencoderParams(PairedParams):
    """Defaults are the seed study's network, and pix2pix's optimiser."""


TASK = Task(
    name="glyph_autoencoder",
    summary="glyphs from one font to another by an autoencoder",
    params=GlyphAutoencoderParams,
    load=load_glyphs,
    build=PairedTraining,
    evaluator=glyph_judge,
    objective=OBJECTIVE,
)

if __name__ == "__main__":
    main(TASK)
