"""gantune translate: use what a trial has learned."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

from core.files import atomic_write
from core.params import load_task
from core.record import Record
from core.task import Params, Task, Trainable, UserError

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.glyphs import Glyphs

SUMMARY = "translate images, or all its glyphs, with the networks of a trial"


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Which trial, and what to translate."""
    parser.add_argument("trial", type=Path, help="a trial's folder, such as runs/demo/0003")
    parser.add_argument(
        "--images", type=Path, help="a folder of images to translate (glyph trials have their own)"
    )
    parser.add_argument(
        "--output", type=Path, help="where to write (default: translations in the trial's folder)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Load the trial's best networks, translate, and say where the result lies."""
    from core.data.glyphs import GlyphParams

    record = Record(arguments.trial)
    task, params = _trial(record)
    if isinstance(params, GlyphParams) == bool(arguments.images):
        raise UserError(
            "--images: glyph trials translate their own characters; leave it out"
            if arguments.images
            else f"--images: name the folder of images that {task.name} is to translate"
        )
    if arguments.images:
        return _images(record, task, params, arguments.images, arguments.output)
    return _glyphs(record, task, params, arguments.output, arguments.runs)


def _trial(record: Record) -> tuple[Task, Params]:
    from core.params import validate_params

    about = record.trial()
    if "params" not in about or not isinstance(about.get("task"), str):
        raise UserError(f"{record.folder}: holds no trial (a folder such as runs/demo/0003 does)")
    task = load_task(about["task"])
    return task, validate_params(task.params, about["params"], str(record.folder / "trial.json"))


def _model(record: Record, task: Task, params: Params) -> Trainable:
    """The trial's model with the networks of its best epoch, where it kept them, else its last."""
    import torch

    from core.device import configure_torch

    device = configure_torch(params)
    model = task.build(params, task.load(params), device)
    file = record.best if record.best.is_file() else record.checkpoint
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
    except (OSError, KeyError, RuntimeError, EOFError, UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{file}: cannot be used ({reason}); train the trial first") from None
    return model


def _images(record: Record, task: Task, params: Params, folder: Path, output: Path | None) -> int:
    """Translate a folder of images, resized to the trial's size, into PNG files."""
    import numpy as np
    from PIL import Image

    from core.data.images import decode
    from core.data.tensors import to_pixels, to_tensor

    suffixes = Image.registered_extensions()
    files = sorted(p for p in _listed(folder) if p.suffix.lower() in suffixes)
    if not files:
        raise UserError(f"--images {folder}: holds no images")
    model = _model(record, task, params)
    side = params.model_dump()["size"]
    output = output or record.folder / "translations"
    for file in files:
        try:
            image = decode(file).resize((side, side), Image.Resampling.BICUBIC)
        except Exception as error:  # whatever Pillow's plugins raise on a damaged file
            raise UserError(f"{file}: cannot be read ({error})") from None
        (pixels,) = to_pixels(model.translate(to_tensor([np.asarray(image)])))
        picture = Image.fromarray(pixels.permute(1, 2, 0).numpy())
        atomic_write(output / f"{file.stem}.png", lambda f, p=picture: p.save(f, "PNG"))  # type: ignore[misc]
    print(f"{len(files)} images: {output}/")
    return 0


def _listed(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"--images {folder}: no such folder")
    return list(folder.iterdir())


def _glyphs(record: Record, task: Task, params: Params, output: Path | None, runs: Path) -> int:
    """Translate every character into translations.npz; score those no search has seen."""
    import numpy as np
    import torch

    from core.data.outputs import ImagePairs
    from core.data.pictures import save_sheet
    from core.data.tensors import to_pixels

    model = _model(record, task, params)
    data: Glyphs = task.load(params)  # type: ignore[assignment]
    channels = params.model_dump()["channels"]
    everything = range(len(data.characters))
    source, target = data.tensors(everything, channels)
    outputs = torch.cat([model.translate(part) for part in torch.split(source, 256)])
    output = output or record.folder
    grey = to_pixels(outputs.mean(1))
    save = partial(np.savez_compressed, characters=np.array(data.characters), output=grey.numpy())
    atomic_write(output / "translations.npz", save)

    test = torch.as_tensor(data.test)
    save_sheet(output / "translations.png", _rows(source[test], outputs[test], target[test]))
    evaluator = task.evaluator(params)
    evaluator.prepare(data, runs / "evaluators", lambda line: None)
    score = evaluator(ImagePairs(source[test], outputs[test], target[test]))
    parts = ", ".join(f"{k} {v:.3g}" for k, v in score.parts.items())
    print(f"{len(test)} test characters, unseen by training and search: {parts}")
    print(f"all {len(outputs)}: {output / 'translations.npz'}, test: {output / 'translations.png'}")
    return 0


def _rows(source: Tensor, output: Tensor, target: Tensor) -> list[Tensor]:
    """Source, output and target of 16 glyphs after the other."""
    rows = []
    for i in range(0, min(len(source), 128), 16):
        rows += [images[i : i + 16] for images in (source, output, target)]
    return rows
