"""Feature spaces in which sets of images are compared: the project's own segmenter's, and ImageNet's.

Only Inception's features may call their Frechet distance FID; the ImageNet network here is another (`models.imagenet`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cardiomorph.models.imagenet import ImageNetFeatures
from cardiomorph.models.segmenter import Segmenter

Extractor = Callable[[Tensor], NDArray[np.float32]]
"""(n, 1, size, size) images in [-1, 1] -> (n, d) features."""


def imagenet_extractor() -> Extractor:
    """EfficientNet-Lite0 up to its last convolution, averaged over the picture: 1,280 features. Needs the extra."""
    model = ImageNetFeatures()

    @torch.inference_mode()
    def extract(images: Tensor) -> NDArray[np.float32]:
        enlarged = F.interpolate(images, size=(160, 160), mode="bilinear", align_corners=False)
        return model(enlarged)[-1].mean(dim=(2, 3)).numpy()

    return extract


@torch.inference_mode()
def segmented(model: Segmenter, images: Tensor) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Labels (n, size, size) and own features (n, d) of (n, 1, size, size) images."""
    labels, features = model.judge(images.contiguous(memory_format=torch.channels_last))
    return labels.numpy(), features.numpy()
