"""A small U-Net that labels a slice's image: the referee that asks whether images show what their labels say.

Its bottleneck is also the project's own feature space for distances between sets of images: a network that has
learned real hearts of the cohort at hand, not photographs. U-Net: Ronneberger et al., MICCAI 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from cardiomorph.anatomy import CLASS_NAMES


class SegmenterConfig(BaseModel):
    """Size of the segmenter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(16, ge=1, le=8192, description="channels at full resolution; doubles at each of four halvings")
    size: int = Field(128, ge=32, le=4096, multiple_of=16, description="pixels along each side of a slice")
    classes: tuple[str, ...] = Field(CLASS_NAMES, min_length=2, description="names of the label codes 0, 1, ...")


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in ((channels_in, channels_out), (channels_out, channels_out)):
        layers += [nn.Conv2d(a, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Pixels to logits of the same size, over five levels of halving resolution.

    Args:
        channels_in: of the input.
        widths: channels at each level, the finest first.
        n_classes: channels of the output.
    """

    def __init__(self, channels_in: int, widths: Sequence[int], n_classes: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(_block(a, b) for a, b in pairwise([channels_in, *widths]))
        self.up = nn.ModuleList(_block(a + b, b) for a, b in pairwise(widths[::-1]))
        self.head = nn.Conv2d(widths[0], n_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels_in, h, w), sides divisible by 16 -> (batch, n_classes, h, w) logits."""
        return self._decoded(self._levels(images))

    def _levels(self, images: Tensor) -> list[Tensor]:
        levels = [self.down[0](images)]
        for block in self.down[1:]:
            levels.append(block(F.max_pool2d(levels[-1], 2)))
        return levels

    def _decoded(self, levels: list[Tensor]) -> Tensor:
        x = levels[-1]
        for block, skip in zip(self.up, levels[-2::-1], strict=True):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skip], dim=1))
        return self.head(x)


class Segmenter(UNet):
    """Image slices (batch, 1, size, size) in [-1, 1] to label logits, and to feature vectors."""

    def __init__(self, config: SegmenterConfig) -> None:
        super().__init__(1, [config.width * 2**level for level in range(5)], len(config.classes))
        self.config = config

    @property
    def feature_dims(self) -> int:
        """Length of a feature vector: the channels of the three coarsest levels."""
        return self.config.width * (4 + 8 + 16)

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Labels (batch, size, size) uint8 and features (batch, feature_dims): spatial means of the coarse levels."""
        levels = self._levels(images)
        features = torch.cat([level.mean(dim=(2, 3)) for level in levels[2:]], dim=1)
        return self._decoded(levels).argmax(dim=1).to(torch.uint8), features
