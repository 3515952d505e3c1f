"""What may follow a glyph's translation: a median filter, a threshold, or a trained denoiser."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from pickle import UnpicklingError
from typing import Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from core.device import autocast
from core.models.encoder_decoder import EncoderDecoder
from core.record import Record
from core.task import Params, UserError

Post = Literal["none", "median", "threshold", "denoise"]
AT_ONCE = 64


class GlyphJudging(Params):
    """How a glyph task's translations are finished before they are judged or shown."""

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


@torch.no_grad()
def translate(net: nn.Module, images: Tensor, device: torch.device, params: GlyphJudging) -> Tensor:
    """N x C x H x W in [-1, 1] through `net` in eval mode, then `params.post`; CPU, float32."""
    net.eval()
    with autocast(device, params.precision):
        outputs = [net(x.to(device)).float().cpu() for x in torch.split(images, AT_ONCE)]
    net.train()
    return finish(torch.cat(outputs), params.post, params.denoiser)


def finish(images: Tensor, post: Post, denoiser: str) -> Tensor:
    """Post-process N x C x H x W images in [-1, 1]; UserError for a denoiser that is none."""
    if post == "median":
        return median(images)
    if post == "threshold":
        return torch.where(images < 0, -1.0, 1.0)
    if post == "denoise":
        net = load_denoiser(denoiser, images.shape[-1], images.shape[1])
        with torch.no_grad():
            return torch.cat([net(x) for x in torch.split(images, AT_ONCE)])
    return images


def median(images: Tensor) -> Tensor:
    """The median of each pixel's 3 x 3 neighbourhood, the border repeated."""
    n, c, h, w = images.shape
    around = F.unfold(F.pad(images.flatten(0, 1)[:, None], (1, 1, 1, 1), "replicate"), 3)
    return around.median(dim=1).values.view(n, c, h, w)


@lru_cache(maxsize=2)
def load_denoiser(folder: str, size: int, channels: int) -> EncoderDecoder:
    """The network of a glyph_denoise trial, in eval mode on the CPU."""
    record = Record(Path(folder).expanduser())
    about = record.trial()
    if about.get("task") != "glyph_denoise":
        raise UserError(f"--denoiser {folder}: holds no glyph_denoise trial; name its folder")
    params = about["params"]
    if (params["size"], params["channels"]) != (size, channels):
        made = f"{params['size']} pixels and {params['channels']} channels"
        raise UserError(f"--denoiser {folder}: was trained for {made}, not {size} and {channels}")
    if params["generator"] != "encoder-decoder":
        raise UserError(
            f"--denoiser {folder}: its network is a {params['generator']}; train one anew"
        )
    names = ("size", "channels", "width", "depth", "skip", "norm", "dropout", "blocks")
    with torch.random.fork_rng():  # its first weights are drawn in vain: not from a trial's numbers
        net = EncoderDecoder(**{name: params[name] for name in names})
    try:
        file = record.best if record.best.is_file() else record.checkpoint
        state = torch.load(file, map_location="cpu", weights_only=True)
        net.load_state_dict(state["model"]["G"])
    except (OSError, KeyError, RuntimeError, EOFError, UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"--denoiser {folder}: its checkpoint cannot be used ({reason})") from None
    return net.eval()
