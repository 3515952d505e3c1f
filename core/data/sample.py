"""The sample data set: paintings and photographs, made on first use in CycleGAN's layout.

A demo needs unpaired pictures of two domains and no download. The photographs are crops of the two
that scikit-learn ships; the paintings are painterly renderings of other parts of the same two.

What is disjoint: the pictures are cut into rectangles (`REGIONS`), each used by one folder only,
and a rectangle is cut out before anything is resampled or painted. So no source pixel serves two
of trainA, trainB, testA and testB. Within a folder, crops overlap.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock
from PIL import Image

from core.data import cache_folder
from core.data.painterly import paint
from core.task import UserError

# Left, upper, right, lower in source pixels; right and lower excluded, as Pillow has it.
Box = tuple[int, int, int, int]

VERSION = "sample-v1"  # the folder's name: change it with anything that changes a pixel
SIZE = 128
COUNTS = {"trainA": 300, "trainB": 400, "testA": 40, "testB": 40}

# The pagoda and the dahlia are near mirror images of themselves: cut down the axis, each gives both
# domains roofs, petals and leaves. The tests' pieces lie between or beside the training ones.
REGIONS: Mapping[str, Sequence[tuple[str, Box]]] = {
    "trainA": (
        ("china.jpg", (0, 0, 205, 150)),
        ("china.jpg", (0, 280, 205, 427)),
        ("china.jpg", (425, 215, 530, 427)),
        ("flower.jpg", (308, 170, 540, 427)),
    ),
    "trainB": (
        ("china.jpg", (205, 0, 425, 150)),
        ("china.jpg", (205, 280, 425, 427)),
        ("china.jpg", (530, 130, 640, 427)),
        ("flower.jpg", (76, 0, 308, 262)),
    ),
    "testA": (("china.jpg", (0, 150, 205, 280)), ("flower.jpg", (308, 40, 480, 170))),
    "testB": (("china.jpg", (205, 150, 425, 280)), ("flower.jpg", (136, 262, 308, 392))),
}

# Nominal sides of a crop, in source pixels; a canvas is made for each, so that brushes keep their
# width in the finished file whatever the crop's scale.
CROPS = (90, 115, 145)
OVERSAMPLING = 2  # canvas pixels per pixel of the finished file: what antialiases the strokes
BRUSHES = ((16, 9, 6), (14, 9, 5), (18, 10, 6))  # radii in canvas pixels, one set per canvas
DULL = 25.0  # a crop whose luma deviates less (of 255) is empty sky or blur, and drawn again


def sample_folder(cache: Path | None = None) -> Path:
    """The sample data set's folder, made first when absent (some ten seconds, once).

    It holds trainA, trainB, testA and testB of 128 x 128 RGB PNG files, A paintings and B
    photographs, the same pixels each time (by the same NumPy and Pillow), under `cache` (default:
    `cache_folder()`). Parallel callers wait for the first; what a killed one left is made anew.
    Raises UserError where it cannot be written.
    """
    cache = cache_folder() if cache is None else cache
    folder = cache / VERSION
    try:
        if not folder.is_dir():
            cache.mkdir(parents=True, exist_ok=True)
            with FileLock(cache / f"{VERSION}.lock"):
                if not folder.is_dir():
                    _write(folder)
    except OSError as error:
        raise UserError(
            f"cannot make the sample data set in {folder}: {error}; "
            "set XDG_CACHE_HOME to a folder that can be written"
        ) from error
    return folder


def _write(folder: Path) -> None:
    """Write the four folders beside `folder`, then rename: whole or absent. Call it locked."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for name, count in COUNTS.items():
        (partial / name).mkdir(parents=True)
        for number, picture in enumerate(render(name, count), start=1):
            picture.save(partial / name / f"{number:04d}.png")
    partial.rename(folder)


def render(name: str, count: int) -> Iterator[Image.Image]:
    """`count` pictures of the folder `name` (a key of `REGIONS`), 128x128 RGB, seeded by `name`.

    Both domains are resampled alike; a painting differs only by its canvas having been painted.
    """
    rng = np.random.default_rng(list(name.encode()))
    canvases = list(_canvases(name, rng))
    areas = np.array([source.width * source.height / nominal**2 for source, _, nominal in canvases])
    for _ in range(count):
        source, canvas, nominal = canvases[rng.choice(len(canvases), p=areas / areas.sum())]
        left, upper, right, lower = _draw_box(source, nominal, rng)
        wide, high = canvas.width / source.width, canvas.height / source.height
        window = (left * wide, upper * high, right * wide, lower * high)
        picture = canvas.resize((SIZE, SIZE), Image.Resampling.LANCZOS, box=window)
        flip = rng.random() < 0.5
        yield picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else picture


def _canvases(
    name: str, rng: np.random.Generator
) -> Iterator[tuple[Image.Image, Image.Image, int]]:
    """Each region at each scale it has room for: the source, its canvas, the nominal crop side."""
    from sklearn.datasets import load_sample_image  # slow to import

    brush = 0
    for picture, box in REGIONS[name]:
        source = Image.fromarray(load_sample_image(picture)).crop(box)
        for nominal in CROPS:
            if nominal > min(source.size):
                continue
            zoom = OVERSAMPLING * SIZE / nominal
            size = round(source.width * zoom), round(source.height * zoom)
            canvas = source.resize(size, Image.Resampling.BICUBIC)
            if name.endswith("A"):
                canvas = paint(canvas, BRUSHES[brush % len(BRUSHES)], rng)
                brush += 1
            yield source, canvas, nominal


def _draw_box(source: Image.Image, nominal: int, rng: np.random.Generator) -> tuple[float, ...]:
    """A square window into `source`, of about `nominal` pixels a side, that shows something."""
    luma = np.asarray(source.convert("L"), np.float32)
    while True:
        # Not whole pixels: in a small region, whole ones give the same picture twice.
        side = rng.uniform(0.8 * nominal, min(1.2 * nominal, *source.size))
        left, top = rng.uniform(0, source.width - side), rng.uniform(0, source.height - side)
        right, bottom = left + side, top + side
        if luma[int(top) : int(bottom), int(left) : int(right)].std() > DULL:
            return left, top, right, bottom
