"""The field's usual measures, where their networks' weights are on this machine already.

FID and KID on Inception v3's 2,048 features (Heusel et al. 2017, Binkowski et al. 2018) and LPIPS
(Zhang et al. 2018, arXiv 1801.03924) with AlexNet, all by torchmetrics. The weights are
torchvision's; FID's original ones are TensorFlow's, so these figures compare among themselves and
not with papers'.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.metrics.resnet import torchvision_weights
from core.metrics.similarity import frechet_distance, kernel_distance

SIDE = 299


class StandardMeasures:
    """Compares outputs with `paintings` (M x 3 x H x W in [-1, 1]) and with their inputs.

    Raises UserError where weights are missing: nothing is downloaded unasked.
    """

    def __init__(self, paintings: Tensor, device: torch.device) -> None:
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
        from torchvision.models import AlexNet_Weights, Inception_V3_Weights, inception_v3

        flag, remedy = "--standard-measures", "leave the flag out"
        torchvision_weights(AlexNet_Weights.IMAGENET1K_V1, flag, remedy)  # torchmetrics loads it
        imagenet = torchvision_weights(Inception_V3_Weights.IMAGENET1K_V1, flag, remedy)
        self.inception = inception_v3(transform_input=False, init_weights=False)
        self.inception.load_state_dict(imagenet)
        self.inception.fc = nn.Identity()
        self.inception.to(device).eval()
        self.device = device
        self.lpips = LearnedPerceptualImagePatchSimilarity("alex").to(device).eval()
        self.paintings = self._features(paintings)

    def __call__(self, output: Tensor, source: Tensor) -> dict[str, float]:
        """`inception_fid` and `inception_kid` to the paintings, `lpips` (0: the same) to inputs."""
        features = self._features(output)
        found = {}
        if min(len(features), len(self.paintings)) > 1:
            found["inception_fid"] = frechet_distance(features, self.paintings)
            found["inception_kid"] = kernel_distance(features, self.paintings)
        distance = self.lpips(output.to(self.device), source.to(self.device))
        self.lpips.reset()
        return {**found, "lpips": float(distance)}

    @torch.inference_mode()
    def _features(self, images: Tensor) -> Tensor:
        """N x 3 x H x W in [-1, 1], which is Inception's range too, to N x 2048."""
        found = []
        for batch in torch.split(images, 16):
            large = F.interpolate(batch, (SIDE, SIDE), mode="bilinear", antialias=True)
            found.append(self.inception(large.to(self.device)).float().cpu())
        return torch.cat(found)
