"""What a trial shows of itself in TensorBoard: losses, parts, pictures, feature maps, the graph."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.task import CanTranslate, Outputs, Params, Score, Trainable, UserError

MAPS, PICTURES, USUAL = 16, 8, 6


@contextmanager
def board_of(model: Trainable, params: Params, folder: Path, epoch: int) -> Iterator[Board | None]:
    """Where a trial writes its epochs after `epoch`; None where its parameters ask for none."""
    if not params.tensorboard:
        yield None
        return
    with closing(Board(folder / "tensorboard", model, params.tensorboard_layers, epoch)) as board:
        yield board


class Board:
    """Writes events into a folder; `tensorboard --logdir runs` shows every trial's."""

    def __init__(self, folder: Path, model: Trainable, layers: str, epoch: int) -> None:
        """Begin after `epoch`; UserError for a layer that the first network does not have.

        `layers`: names of its modules, joined by commas; '' takes some along the way.
        """
        from torch.utils.tensorboard import SummaryWriter

        self.net = next(iter(model.networks.values()))
        self.model = model
        self.layers = _chosen(self.net, layers)
        self.writer = SummaryWriter(str(folder), purge_step=epoch + 1 if epoch else None)
        self.fresh = epoch == 0

    def epoch(
        self, epoch: int, losses: Mapping[str, float], score: Score, outputs: Outputs
    ) -> None:
        """Write one epoch (from 1)."""
        for name, value in losses.items():
            self.writer.add_scalar(f"train/{name}", value, epoch)
        for name, value in {"score": score.value, **score.parts}.items():
            self.writer.add_scalar(f"validation/{name}", value, epoch)
        pictures = outputs.pictures()
        for name, images in pictures.items():
            if name == "output" or self.fresh:
                self.writer.add_images(f"samples/{name}", _shown(images[:PICTURES]), epoch)
        if isinstance(self.model, CanTranslate) and "source" in pictures:
            self._features(self.model, pictures["source"][:1], epoch)
            if self.fresh:
                self._graph(pictures["source"][:1])
        self.fresh = False
        self.writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self.writer.close()

    def _features(self, model: CanTranslate, image: Tensor, epoch: int) -> None:
        """The feature maps that each chosen layer makes of one image, as grey pictures."""
        with _listening(self.layers) as heard:
            model.translate(image)
        for name, maps in heard.items():
            low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
            spread = (maps - low) / (high - low).clamp(min=1e-6)
            self.writer.add_images(f"layers/{name}", spread[:MAPS, None], epoch)

    def _graph(self, image: Tensor) -> None:
        """The first network's graph. Tracing is PyTorch's business: where it fails, say so."""
        device = next(self.net.parameters()).device
        self.net.eval()
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                self.writer.add_graph(self.net, image.to(device))
        except RuntimeError as error:
            logging.getLogger(__name__).warning("TensorBoard: no graph (%s)", error)
        finally:
            self.net.train()


def _chosen(net: nn.Module, layers: str) -> dict[str, nn.Module]:
    modules = {name: module for name, module in net.named_modules() if name}
    if not layers:
        convolutions = [
            n for n, m in modules.items() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
        ]
        every = max(1, len(convolutions) // USUAL)
        return {name: modules[name] for name in convolutions[::every][:USUAL]}
    wanted = [name.strip() for name in layers.split(",")]
    if unknown := [name for name in wanted if name not in modules]:
        raise UserError(
            f"--tensorboard-layers: the network has no layer {unknown[0]!r}; it has "
            f"{', '.join(modules)}"
        )
    return {name: modules[name] for name in wanted}


@contextmanager
def _listening(layers: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Collects each layer's maps of the first image, C x H x W."""
    heard: dict[str, Tensor] = {}

    def hear(name: str) -> Any:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            if output.ndim == 4:
                heard[name] = output[0].detach().float().cpu()

        return hook

    handles = [module.register_forward_hook(hear(name)) for name, module in layers.items()]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def _shown(images: Tensor) -> Tensor:
    return (images.float().clamp(-1, 1) + 1) / 2
