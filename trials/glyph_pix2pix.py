"""Glyph transfer by pix2pix: a U-Net and a conditional PatchGAN (arXiv 1611.07004).

python -m trials.glyph_pix2pix --help        every parameter
python -m trials.glyph_pix2pix --epochs 10   one trial with the baseline
"""

from __future__ import annotations

from pydantic import Field

from core.data.glyphs import load_glyphs
from core.main import main
from core.models.networks import Skip
from core.models.pix2pix import AdversarialParams, PairedTraining
from core.task import Task
from evaluators.glyph import OBJECTIVE, glyph_evaluator


class GlyphPix2pixParams(AdversarialParams):
    """Defaults are the paper's losses, skips and optimiser; batch and dropout are the study's.

    The paper's dropout of 0.5 on three layers is too much on these five: strokes are lost.
    """

    skip: Skip = Field("concat", description="how encoder maps reach the decoder")


TASK = Task(
    name="glyph_pix2pix",
    summary="glyphs from one font to another by a U-Net and a discriminator (Isola et al. 2017)",
    params=GlyphPix2pixParams,
    load=load_glyphs,
    build=PairedTraining,
    evaluator=glyph_evaluator,
    objective=OBJECTIVE,
)

if __name__ == "__main__":
    main(TASK)
