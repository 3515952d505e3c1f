"""What may follow a glyph's translation: a median filter, a threshold, or a trained denoiser."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from core.checkpoint import load_checkpoint, networks_file
from core.models.networks import EncoderDecoder, apply_in_batches
from core.record import Record
from core.task import Params, UserError

Post = Literal["none", "median", "threshold", "denoise"]
BATCH = 64


class GlyphPostprocessing(Params):
    """How a glyph task's translations are post-processed before they are scored or shown."""

    post: Post = Field(
        "none", description="after translation: a 3 x 3 median, black or white, or a denoiser"
    )
    denoiser: str = Field(
        "", description="the folder of a finished glyph_denoise trial, for --post denoise"
    )

    @model_validator(mode="after")
    def _denoiser_named(self) -> Self:
        if (self.post == "denoise") != bool(self.denoiser):
            raise ValueError("--post denoise and --denoiser FOLDER go together")
        return self


def translate(
    net: nn.Module, images: Tensor, device: torch.device, params: GlyphPostprocessing
) -> Tensor:
    """N x C x H x W in [-1, 1] through `net` in eval mode, post-processed; float32 on the CPU."""
    outputs = apply_in_batches(net, images, device, params.precision, BATCH)
    return postprocess(outputs, params.post, params.denoiser)


def postprocess(images: Tensor, post: Post, denoiser: str) -> Tensor:
    """Post-process N x C x H x W images in [-1, 1]; UserError for an unusable `denoiser` folder."""
    if post == "median":
        return median(images)
    if post == "threshold":
        return torch.where(images < 0, -1.0, 1.0)
    if post == "denoise":
        net = load_denoiser(denoiser, images.shape[-1], images.shape[1])
        with torch.no_grad():
            return torch.cat([net(part) for part in torch.split(images, BATCH)])
    return images


def median(images: Tensor) -> Tensor:
    """The median of each pixel's 3 x 3 neighbourhood, the border repeated."""
    n, c, h, w = images.shape
    padded = F.pad(images.flatten(0, 1)[:, None], (1, 1, 1, 1), "replicate")
    return F.unfold(padded, 3).median(dim=1).values.view(n, c, h, w)


@lru_cache(maxsize=2)
def load_denoiser(folder: str, size: int, channels: int) -> EncoderDecoder:
    """The network of a glyph_denoise trial, in eval mode on the CPU."""
    record = Record(Path(folder).expanduser())
    trial = record.trial()
    if trial.get("task") != "glyph_denoise":
        raise UserError(f"--denoiser {folder}: holds no glyph_denoise trial; name its folder")
    params = trial["params"]
    for name, value in (("size", size), ("channels", channels), ("generator", "encoder-decoder")):
        if params[name] != value:
            raise UserError(
                f"--denoiser {folder}: was trained with --{name} {params[name]}; train one with "
                f"--{name} {value}"
            )
    names = ("size", "channels", "width", "depth", "skip", "norm", "dropout", "blocks")
    with torch.random.fork_rng():  # the trial's random numbers must not depend on its denoiser
        net = EncoderDecoder(**{name: params[name] for name in names})
    path = networks_file(record)
    try:
        net.load_state_dict(load_checkpoint(path)["model"]["G"])
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--denoiser {folder}: {path.name} does not fit ({reason})") from None
    return net.eval()
