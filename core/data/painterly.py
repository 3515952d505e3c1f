"""Painterly rendering with curved brush strokes of several sizes (after Hertzmann, SIGGRAPH 1998).

Points, steps and directions in the picture are complex numbers: x right, y down.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

# The brush, a lit bristle and a shaded one: offset to the side and width, in radii, and shade.
MARKS = ((0j, 2.0, 0), (-0.5j, 0.5, 20), (0.55j, 0.5, -22))


def paint(
    photo: Image.Image, radii: tuple[int, ...], rng: np.random.Generator, joints: bool = True
) -> Image.Image:
    """A painting of an RGB `photo`, same size: strokes of each radius (pixels), coarse to fine.

    Without rounded `joints`, which few see, it takes half of the time.
    """
    target = _palette(photo, rng)
    canvas = Image.new("RGB", photo.size, (150, 120, 100))
    pen = ImageDraw.Draw(canvas)
    for layer, radius in enumerate(radii):
        reference = np.asarray(target.filter(ImageFilter.GaussianBlur(radius / 2)), np.float32)
        count = photo.width * photo.height // radius**2
        starts = rng.uniform(0, photo.width, count) + 1j * rng.uniform(0, photo.height, count)
        if layer > 0:  # a finer brush goes only where the canvas is still far from the picture
            error = _soften(np.linalg.norm(reference - np.asarray(canvas), axis=2), radius)
            starts = starts[_at(error, starts) > 30]
        jitter = rng.normal(0, 9, (len(starts), 1)) + rng.normal(0, 8, (len(starts), 3))
        colours = _at(reference, starts) + jitter
        paths = _trace(reference, _flow(reference, radius, rng), starts, radius)
        for path, colour in zip(paths, colours, strict=True):
            for offset, width, shade in MARKS:
                xy = (path + offset * (path[1] - path[0])).view(float).tolist()
                ink = tuple((colour + shade).clip(0, 255).astype(int).tolist())
                pen.line(xy, ink, round(width * radius), joint="curve" if joints else None)
    return canvas


def _palette(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Impressionist colours: warm lights, violet shadows, no black."""
    rgb = np.asarray(photo) / 255
    light = rgb.mean(axis=2, keepdims=True)
    tint = light * [0.10, 0.02, -0.18] + (1 - light) ** 2 * [0.09, 0.02, 0.21]
    toned = 0.86 * light + rng.uniform(0.95, 1.15) * (rgb - light) + tint
    return Image.fromarray((255 * toned.clip(0, 1) ** 0.8).astype(np.uint8))


def _flow(reference: np.ndarray, radius: int, rng: np.random.Generator) -> np.ndarray:
    """Stroke directions, HxW: along the gradient's normal, from the softened structure tensor."""
    down, across = np.gradient(reference.mean(axis=2))
    tensor = (across + 1j * down) ** 2  # squared: opposite gradients are one direction
    tensor = _soften(tensor.real, 2 * radius) + 1j * _soften(tensor.imag, 2 * radius)
    drift = _soften(rng.normal(0, 90, down.shape), 90)  # deviates by 1; steers where all is flat
    normal = 1j * np.sqrt(tensor - 0.2 * np.exp(1j * drift))
    return normal / abs(normal)


def _trace(picture: np.ndarray, flow: np.ndarray, starts: np.ndarray, radius: int) -> np.ndarray:
    """The points of each stroke, a radius apart; it stays where its colour no longer fits."""
    points, heading = [starts], _at(flow, starts)
    for step in range(1, 8):
        turn = _at(flow, points[-1])
        turn = np.where((turn * heading.conj()).real < 0, -turn, turn)
        heading = 0.6 * turn + 0.4 * heading
        ahead = points[-1] + radius * heading / abs(heading)
        misfit = np.linalg.norm(_at(picture, ahead) - _at(picture, starts), axis=1)
        points.append(np.where((misfit < 50) | (step < 3), ahead, points[-1]))
    return np.stack(points, axis=1)


def _at(plane: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The values of `plane` (HxW or HxWxC) under each of N points."""
    y, x = points.imag.clip(0, len(plane) - 1), points.real.clip(0, plane.shape[1] - 1)
    return np.asarray(plane[y.astype(int), x.astype(int)])


def _soften(plane: np.ndarray, width: int) -> np.ndarray:
    """An HxW plane averaged over about `width` pixels."""
    rows, columns = plane.shape
    coarse = columns // width + 1, rows // width + 1
    small = Image.fromarray(plane.astype(np.float32)).resize(coarse, Image.Resampling.BOX)
    return np.asarray(small.resize((columns, rows), Image.Resampling.BICUBIC))
