"""How alike images are: their structure, their copies, and the distance between two sets.

Structure is compared by histograms of gradient orientations (Dalal and Triggs 2005, "Histograms of
oriented gradients for human detection"): they tell where edges run and in which direction, and
nothing of colour, contrast or the texture between them, which a painter may change.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.backbone import torchvision_weights

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
THUMBNAIL = 16
COPY = 0.95
FINEST = 128  # pixels a side
RINGS, ALIKE = 16, 0.5  # deviation of log power
EMPTY = 1e-6  # power below what rounding to 8 bit leaves
SLIGHT = 1e-5  # energy: a deviation of less than half a grey level
RIDGE = 1e-3  # of the least squares of a recolouring
INCEPTION = (299, 299)  # pixels
SIDE, CELLS, ORIENTATIONS = 64, 8, 9
FAINT = 0.02  # edge strength, of 2, below which a cell counts as flat


def luminance(images: Tensor) -> Tensor:
    """N x C x H x W (C 1 or 3) to N x 1 x H x W in the same range."""
    if images.shape[1] == 1:
        return images.float()
    return (images.float() * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def ssim(a: Tensor, b: Tensor) -> float:
    """Structural similarity (Wang et al. 2004) of N x C x H x W images in [-1, 1]: at most 1."""
    from torchmetrics.functional.image import structural_similarity_index_measure  # slow to import

    similarity = structural_similarity_index_measure(a, b, data_range=2.0)
    assert isinstance(similarity, Tensor)
    return float(similarity)


def thumbnails(images: Tensor) -> Tensor:
    """N x C x H x W to N unit vectors: 16 x 16 pixels less their mean, whatever the contrast."""
    small = F.adaptive_avg_pool2d(images.float(), THUMBNAIL).flatten(1)
    return F.normalize(small - small.mean(1, keepdim=True), eps=1e-4)


def light_kept(output: Tensor, source: Tensor) -> float:
    """Mean correlation, -1 to 1, of N outputs' luminance with their sources', in 16 x 16 pixels.

    Strokes and a painter's palette leave it above 0.9; a negative, which keeps every edge in its
    place, has -1.
    """
    pairs = thumbnails(luminance(output)) * thumbnails(luminance(source))
    return float(pairs.sum(1).mean())


def copied_share(output: Tensor, training: Tensor) -> float:
    """Share of N outputs like a training image (`training`: M thumbnails), mirrored or not: 0 to 1.

    Like: the correlation of their thumbnails is above 0.95.
    """
    like = [(thumbnails(images) @ training.T).amax(1) for images in (output, output.flip(3))]
    return float((like[0].maximum(like[1]) > COPY).float().mean())


def best_recolouring(source: Tensor, output: Tensor) -> Tensor:
    """What colours alone can do: each source by the affine map that brings it nearest its output.

    Least squares of a 3 x 3 matrix and an offset over the pixels of each pair; N x 3 x H x W in
    [-1, 1] to the same.
    """
    pixels = source.float().flatten(2).transpose(1, 2)
    pixels = torch.cat([pixels, torch.ones_like(pixels[..., :1])], 2)
    wanted = output.float().flatten(2).transpose(1, 2)
    normal = pixels.transpose(1, 2) @ pixels + RIDGE * torch.eye(pixels.shape[2])
    matrix = torch.linalg.solve(normal, pixels.transpose(1, 2) @ wanted)
    recoloured: Tensor = (pixels @ matrix).transpose(1, 2).reshape(source.shape)
    return recoloured.clamp(-1, 1)


def breadth_and_forms(output: Tensor, source: Tensor) -> tuple[float, float]:
    """What was added beyond a recolouring: the shares of its energy that coarser views still show.

    Both in [0, 1] of N x 3 x H x W images in [-1, 1]. Breadth, at half the resolution: 0.25 for
    white noise, which averages out, and for most of what deceives a network, above a half for
    brush strokes. Forms, in 8 x 8 pixels: small for strokes, above a half for another picture that
    shows through, for colours that vary over the image, and for halos. Images above 128 pixels a
    side are scaled to 128 first: as finely as networks look.
    """
    added = luminance(output - best_recolouring(source, output))
    if min(added.shape[2:]) > FINEST:
        added = F.interpolate(added, (FINEST, FINEST), mode="area")
    added = added - added.mean((2, 3), keepdim=True)
    energy = float(added.square().mean()) + SLIGHT
    halved = float(F.avg_pool2d(added, 2).square().mean())
    coarse = float(F.adaptive_avg_pool2d(added, 8).square().mean())
    return (halved + SLIGHT) / energy, coarse / energy


def radial_spectrum(images: Tensor) -> Tensor:
    """Log power of N x C x H x H images in [-1, 1], in 16 rings up to Nyquist: N x 16.

    A generator's upsampling shows in it (Durall et al. 2020, "Watch your up-convolution", arXiv
    2003.01826), and so do blur and noise.
    """
    grey = luminance(images)[:, 0]
    side = grey.shape[-1]
    window = torch.hann_window(side, periodic=False)
    grey = (grey - grey.mean((1, 2), keepdim=True)) * window[:, None] * window
    power = torch.fft.fft2(grey, norm="ortho").abs().square().flatten(1)
    frequency = torch.fft.fftfreq(side)
    ring = (
        (torch.hypot(frequency[:, None], frequency) * 2 * RINGS).long().clamp(max=RINGS).flatten()
    )
    sums = torch.zeros(len(images), RINGS + 1).index_add_(1, ring, power)
    counts = torch.bincount(ring, minlength=RINGS + 1).clamp(min=1)
    return (sums / counts + EMPTY).log()[:, :RINGS]


def spectral_misfit(output: Tensor, spectra: Tensor) -> float:
    """How far the outputs' mean spectrum is from where single images of `spectra` (M x 16) lie.

    The largest of the rings' differences in their standard deviations over the M images (at least
    0.5, that a set of much alike images does not shut out its like): >= 0, below 1 for a typical
    set.
    """
    spread = spectra.std(0).clamp(min=ALIKE)
    return float(((radial_spectrum(output).mean(0) - spectra.mean(0)) / spread).abs().max())


def mean_distance(features: Tensor) -> float:
    """The mean distance between two of N x D features; 0 where there is only one."""
    return float(torch.pdist(features).mean()) if len(features) > 1 else 0.0


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """FID's formula (Heusel et al. 2017) on N x D and M x D features: >= 0, biased for few."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    extractor = nn.Identity()  # the features are extracted already
    extractor.num_features = x.shape[1]  # type: ignore[assignment]
    metric = FrechetInceptionDistance(feature=extractor)
    metric.update(y, real=True)
    metric.update(x, real=False)
    return float(metric.compute())


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """KID's formula (Binkowski et al. 2018, arXiv 1801.01401) on as many of both: unbiased."""
    from torchmetrics.image.kid import poly_mmd

    n = min(len(x), len(y))  # the formula is of equal numbers
    return float(poly_mmd(y[:n], x[:n]))


def structure_kept(output: Tensor, source: Tensor) -> tuple[float, float]:
    """Compare N outputs with their N sources, N x C x H x W in [-1, 1]: content and recall (R@1).

    With s the cosine similarity of two images' histograms, the content is (own - other) / (1 -
    other), cut off below 0, of the means of s over each output and its own source, and over each
    and every other one's. An identity mapping has 1, outputs unrelated to their inputs about 0.
    R@1 is the share of outputs whose own source is the likest of all (of equal ones, those with
    the same source count as its own). A single image has no others: its content is s, its R@1 1.
    Both are in [0, 1].
    """
    similar = orientations(output) @ orientations(source).T
    n = len(similar)
    own = float(similar.diagonal().mean())
    if n == 1:
        return max(own, 0.0), 1.0
    other = max((float(similar.sum()) - own * n) / (n * (n - 1)), 0.0)
    content = max((own - other) / max(1 - other, 1e-6), 0.0)
    found = similar.diagonal() >= similar.max(1).values - 1e-6
    informed = similar.amax(1) - similar.amin(1) > 1e-4  # a flat output is as like to all
    return content, float((found & informed).float().mean())


def orientations(images: Tensor) -> Tensor:
    """N x C x H x W in [-1, 1] to N unit vectors: 8 x 8 cells of 9 orientations, less their mean.

    A flat image is the zero vector.
    """
    grey = luminance(images)
    if min(grey.shape[2:]) > SIDE:
        grey = F.interpolate(grey, (SIDE, SIDE), mode="area")
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2])[:, 0]
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1])[:, 0]
    strength = torch.hypot(across, down)
    angle = torch.atan2(down, across) / math.pi % 1 * ORIENTATIONS
    lower = angle.floor()
    planes = torch.zeros(len(grey), ORIENTATIONS, *strength.shape[1:])
    for step, share in ((0, 1 - (angle - lower)), (1, angle - lower)):
        which = (lower.long() + step) % ORIENTATIONS
        planes.scatter_add_(1, which[:, None], (strength * share)[:, None])
    cells = F.adaptive_avg_pool2d(planes, CELLS)
    cells = cells / (cells.square().sum(1, keepdim=True).sqrt() + FAINT)
    flat = cells.flatten(1)
    return F.normalize(flat - flat.mean(1, keepdim=True), eps=1e-4)


class StandardMeasures:
    """The field's usual measures: outputs beside `paintings` (M x 3 x H x W in [-1, 1]) and inputs.

    FID and KID on Inception v3's 2,048 features and LPIPS (Zhang et al. 2018, arXiv 1801.03924)
    with AlexNet. The weights are torchvision's; FID's original ones are TensorFlow's, so these
    figures compare among themselves and not with papers'.

    Raises UserError where weights are missing: nothing is downloaded unasked.
    """

    def __init__(self, paintings: Tensor, device: torch.device) -> None:
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
        from torchvision.models import inception_v3

        imagenet = torchvision_weights("Inception_V3_Weights", "--standard-measures")
        torchvision_weights("AlexNet_Weights", "--standard-measures")  # torchmetrics loads it
        self.inception = inception_v3(transform_input=False, init_weights=False)
        self.inception.load_state_dict(imagenet)
        self.inception.fc = nn.Identity()
        self.inception.to(device).eval()
        self.device = device
        self.lpips = LearnedPerceptualImagePatchSimilarity("alex").to(device).eval()
        self.paintings = self._features(paintings)

    def __call__(self, output: Tensor, source: Tensor) -> dict[str, float]:
        """`fid` and `kid` to the paintings, `ssim` and `lpips` (0: the same) to the inputs."""
        features = self._features(output)
        found = {}
        if min(len(features), len(self.paintings)) > 1:
            found["fid"] = frechet_distance(features, self.paintings)
            found["kid"] = kernel_distance(features, self.paintings)
        distance = self.lpips(output.to(self.device), source.to(self.device))
        self.lpips.reset()
        return {**found, "lpips": float(distance), "ssim": ssim(output, source)}

    @torch.inference_mode()
    def _features(self, images: Tensor) -> Tensor:
        """N x 3 x H x W in [-1, 1], which is Inception's range too, to N x 2048."""
        found = []
        for batch in torch.split(images, 16):
            large = F.interpolate(batch, INCEPTION, mode="bilinear", antialias=True)
            found.append(self.inception(large.to(self.device)).float().cpu())
        return torch.cat(found)
