"""Glyph transfer by an autoencoder and a conditional PatchGAN.

python -m trials.glyph_gan --help        every parameter
python -m trials.glyph_gan --epochs 10   one trial with the baseline
"""

from __future__ import annotations

from core.data.glyphs import load_glyphs
from core.main import main
from core.models.pix2pix import AdversarialParams, PairedTraining
from core.task import Task
from evaluators.glyph import OBJECTIVE, glyph_evaluator


class GlyphGANParams(AdversarialParams):
    """Defaults are the seed study's network without skips, with pix2pix's losses and optimiser."""


TASK = Task(
    name="glyph_gan",
    summary="glyphs from one font to another by an autoencoder and a discriminator",
    params=GlyphGANParams,
    load=load_glyphs,
    build=PairedTraining,
    evaluator=glyph_evaluator,
    objective=OBJECTIVE,
)

if __name__ == "__main__":
    main(TASK)
