"""A denoising U-Net for glyphs, trained on the outputs of another glyph trial.

gantune translate runs/STUDY/TRIAL                           write translations.npz
python -m trials.glyph_denoise --outputs runs/STUDY/TRIAL    learn to denoise it
python -m trials.glyph_pix2pix --post denoise --denoiser runs/standalone/TRIAL
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from pydantic import Field

from core.data.glyphs import Glyphs, load_glyphs
from core.main import main
from core.models.networks import Skip
from core.models.pix2pix import PairedParams, PairedTraining
from core.task import Task, UserError
from evaluators.glyph import OBJECTIVE, glyph_evaluator


class GlyphDenoiseParams(PairedParams):
    """A shallow U-Net, since noise is local. The target font must be that of the other trial."""

    outputs: str = Field(
        "", description="folder of the trial to denoise; empty: target glyphs with blur and noise"
    )
    skip: Skip = Field("concat", description="how encoder maps reach the decoder")
    depth: int = Field(3, ge=0, le=7, description="steps down; 0: as many as the size has")
    width: int = Field(16, ge=4, le=512, description="channels of the first layer")
    dropout: float = Field(
        0.0, ge=0, le=0.9, description="dropout in the last three steps down and first two up"
    )


def load(params: GlyphDenoiseParams) -> Glyphs:
    """Glyphs whose sources are the other trial's outputs; targets and split stay as they are."""
    data = load_glyphs(params)
    if not params.outputs:
        noisy = _degraded(data.target)
        return replace(data, source=noisy, fingerprint=f"{data.fingerprint}-degraded")
    file = Path(params.outputs).expanduser() / "translations.npz"
    try:
        with file.open("rb") as opened, np.load(opened) as saved:
            characters = [str(c) for c in saved["characters"]]
            outputs = saved["output"]
    except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
        raise UserError(
            f"--outputs {params.outputs}: cannot read {file.name} ({error}); "
            "`gantune translate` writes it"
        ) from None
    if characters != list(data.characters) or outputs.shape[1:] != data.target.shape[1:]:
        raise UserError(
            f"--outputs {params.outputs}: its model had other fonts, characters or another size; "
            "start this trial with the same"
        )
    digest = hashlib.sha256(outputs.tobytes()).hexdigest()[:16]
    return replace(data, source=outputs, fingerprint=f"{data.fingerprint}-{digest}")


def _degraded(glyphs: np.ndarray) -> np.ndarray:
    """N x H x W uint8 glyphs, blurred over 3 x 3 pixels, with the same noise in every call."""
    pad = np.pad(glyphs.astype(np.float32), ((0, 0), (1, 1), (1, 1)), mode="edge")
    height, width = glyphs.shape[1:]
    blurred = sum(pad[:, i : i + height, j : j + width] for i in range(3) for j in range(3)) / 9
    noise = np.random.default_rng(0).normal(0, 40, glyphs.shape)
    return (blurred + noise).clip(0, 255).astype(np.uint8)


TASK = Task(
    name="glyph_denoise",
    summary="denoising a glyph model's outputs by a U-Net",
    params=GlyphDenoiseParams,
    load=load,
    build=PairedTraining,
    evaluator=glyph_evaluator,
    objective=OBJECTIVE,
)

if __name__ == "__main__":
    main(TASK)
