"""gantune translate: use what a trial has learned."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.commands.trained import add_device, trained_model, trained_trial
from core.files import atomic_write
from core.record import Record
from core.task import CanTranslate, Params, Task, UserError

if TYPE_CHECKING:
    from core.data.glyphs import Glyphs


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Which trial, and what to translate."""
    add = parser.add_argument
    add("trial", type=Path, help="folder of a trial, such as runs/demo/0003")
    message = "folder of images to translate (glyph trials translate their own characters)"
    add("--images", type=Path, metavar="DIR", help=message)
    add("--recursive", action="store_true", help="translate the images in sub-folders, too")
    message = "where to write (default: translations in the trial's folder)"
    add("--output", type=Path, metavar="DIR", help=message)
    add_device(parser)


def run(arguments: argparse.Namespace) -> int:
    """Load the trial's best networks, translate, and print where the result lies."""
    from core.data.glyphs import GlyphParams

    record = Record(arguments.trial)
    task, params = trained_trial(record, arguments.device)
    glyphs = isinstance(params, GlyphParams)
    if glyphs and arguments.images:
        raise UserError("--images: glyph trials translate their own characters; leave it out")
    if not glyphs and not arguments.images and hasattr(params, "size"):
        raise UserError(f"--images: name the folder of images that {task.name} is to translate")
    model = trained_model(record, task, params)
    if not isinstance(model, CanTranslate):
        raise UserError(f"{record.folder}: {task.name} translates no images; its report shows it")
    if glyphs:
        evaluators = arguments.runs / "evaluators"
        _glyphs(task, params, model, arguments.output or record.folder, evaluators)
    else:
        output = arguments.output or record.folder / "translations"
        _images(params, model, arguments.images, output, arguments.recursive)
    return 0


def _images(
    params: Params, model: CanTranslate, folder: Path, output: Path, recursive: bool = False
) -> None:
    """Translate a folder of images, resized to the trial's size, into PNG files of their names.

    UserError, before anything is translated, where a file would be lost that is not gantune's.
    """
    import numpy as np
    from PIL import Image

    from core.data.decoding import decode, white_level, white_note
    from core.data.listing import list_images
    from core.data.metadata import bare_note
    from core.data.pictures import refuse_to_overwrite, save_picture
    from core.data.tensors import to_pixels, to_tensor

    if not folder.is_dir():
        raise UserError(f"--images {folder}: no such folder")
    if recursive and output.resolve().is_relative_to(folder.resolve()):
        what = "lies in --images, and --recursive would translate what it holds"
        raise UserError(f"--output {output}: {what}; name another folder")
    listing = list_images(folder, recursive)
    if not listing.names:
        reason = f"; {listing.left_out}" if listing.left_out else ""
        raise UserError(f"--images {folder}: holds no images{reason}")
    if listing.left_out:
        print(listing.left_out)
    side = params.model_dump()["size"]
    targets = [output / name for name in output_names(listing.names)]
    for target in targets:
        refuse_to_overwrite(target)
    white, bare = white_level(listing.paths), list[str]()
    for file, target in zip(listing.paths, targets, strict=True):
        try:
            image, left_out = decode(file, white, side)
            image = image.resize((side, side), Image.Resampling.BICUBIC)
        except Exception as error:  # whatever Pillow's plugins raise on a damaged file
            raise UserError(f"{file}: cannot be read ({error})") from None
        (pixels,) = to_pixels(model.translate(to_tensor([np.asarray(image)])))
        save_picture(target, Image.fromarray(pixels.permute(1, 2, 0).numpy()))
        bare += [f"{file.name} ({left_out})"] if left_out else []
    for note in filter(None, (white_note(folder.name, white), bare_note(folder.name, bare))):
        print(note)
    print(f"{len(targets)} images: {output}/")


def output_names(names: Sequence[str]) -> list[str]:
    """PNG names for files: their stems, or their whole names where two stems are alike.

    Files in sub-folders keep them.
    """
    stems = [Path(name).with_suffix("").as_posix() for name in names]
    alike = len({stem.casefold() for stem in stems}) < len(stems)
    return [f"{each}.png" for each in (names if alike else stems)]


def _glyphs(
    task: Task, params: Params, model: CanTranslate, output: Path, evaluators: Path
) -> None:
    """Translate every character into translations.npz; score those that no search has seen."""
    import numpy as np
    import torch

    from core.data.outputs import ImagePairs
    from core.data.pictures import refuse_to_overwrite, save_sheet
    from core.data.tensors import to_pixels

    for name in ("translations.npz", "translations.png"):
        refuse_to_overwrite(output / name)
    data: Glyphs = task.load(params)  # type: ignore[assignment]
    channels = params.model_dump()["channels"]
    source, target = data.tensors(range(len(data.characters)), channels)
    outputs = torch.cat([model.translate(part) for part in torch.split(source, 256)])
    grey = to_pixels(outputs.mean(1))
    save = partial(np.savez_compressed, characters=np.array(data.characters), output=grey.numpy())
    atomic_write(output / "translations.npz", save)

    test = torch.as_tensor(data.test)
    rows: list[Any] = []  # source, output and target of 16 glyphs after the other
    for chosen in torch.split(test[:128], 16):
        rows += [source[chosen], outputs[chosen], target[chosen]]
    save_sheet(output / "translations.png", rows)
    evaluator = task.evaluator(params)
    evaluator.prepare(data, evaluators, lambda line: None)
    score = evaluator(ImagePairs(source[test], outputs[test], target[test]))
    parts = ", ".join(f"{k} {v:.3g}" for k, v in score.parts.items())
    print(f"{len(test)} test characters, which neither training nor search has seen: {parts}")
    print(f"all {len(outputs)}: {output / 'translations.npz'}, test: {output / 'translations.png'}")
