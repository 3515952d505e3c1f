"""gantune generate: make images from noise with what a trial has learned."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.commands.trained import add_device, trained_model, trained_trial
from core.record import Record
from core.task import CanGenerate, UserError

MOST = 100_000


def add_flags(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Which trial, how many images, and from which noise."""
    add = parser.add_argument
    add("trial", type=Path, help="folder of a trial, such as runs/digits/0003")
    add("--n", type=int, default=100, metavar="N", help="images (default: 100)")
    add("--seed", type=int, default=0, metavar="S", help="seed of the noise (default: 0)")
    message = "where to write (default: generated in the trial's folder)"
    add("--output", type=Path, metavar="DIR", help=message)
    add_device(parser)


def run(arguments: argparse.Namespace) -> int:
    """Load the trial's best networks, make images, and print where they lie."""
    from PIL import Image

    from core.data.outputs import Generated
    from core.data.pictures import refuse_to_overwrite, save_picture
    from core.data.tensors import to_pixels

    n, seed = arguments.n, arguments.seed
    if not 1 <= n <= MOST:
        raise UserError(f"--n {n}: takes 1 to {MOST:,}")
    if not 0 <= seed < 2**31:
        raise UserError(f"--seed {seed}: takes 0 to {2**31 - 1:,}")
    record = Record(arguments.trial)
    task, params = trained_trial(record, arguments.device)
    model = trained_model(record, task, params)
    if not isinstance(model, CanGenerate):
        raise UserError(f"{record.folder}: {task.name} makes no images from noise")
    output = arguments.output or record.folder / "generated"
    targets = [output / f"{i:0{len(str(n - 1))}}.png" for i in range(n)]
    for target in (sheet := output / "sheet.png", *targets):
        refuse_to_overwrite(target)
    images = model.generate(n, seed)
    drawn = [Generated(images).pictures()["output"][0], *images]
    for target, image in zip((sheet, *targets), drawn, strict=True):
        pixels = to_pixels(image).permute(1, 2, 0).squeeze(-1).numpy()
        save_picture(target, Image.fromarray(pixels))
    print(f"{n} images: {output}/, the first of them on one page: {sheet}")
    return 0
