"""Multi-scale PatchGAN discriminator and the adversarial losses (Wang et al., CVPR 2018; Park et al., CVPR 2019)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from cardiomorph.anatomy import N_CLASSES

_SLOPE = 0.2


class DiscriminatorConfig(BaseModel):
    """Size of the discriminator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(64, ge=1, le=8192)
    layers: int = Field(4, ge=2, le=5, description="convolutions before the last, one-channel one")
    scales: int = Field(2, ge=1, le=3, description="copies, each on an image half as large")


class _Patch(nn.Module):
    """One scale: 4 x 4 convolutions, the last two without stride; keeps what every layer saw."""

    def __init__(self, config: DiscriminatorConfig, classes: int) -> None:
        super().__init__()
        widths = [min(config.width * 2**level, config.width * 8) for level in range(config.layers)]
        first = nn.Conv2d(classes + 1, widths[0], 4, 2, 2)
        self.stages = nn.ModuleList([nn.Sequential(first, nn.LeakyReLU(_SLOPE))])
        for level, (a, b) in enumerate(pairwise(widths), start=1):
            stride = 1 if level == config.layers - 1 else 2
            self.stages.append(
                nn.Sequential(
                    spectral_norm(nn.Conv2d(a, b, 4, stride, 2, bias=False)),
                    nn.InstanceNorm2d(b),
                    nn.LeakyReLU(_SLOPE),
                )
            )
        self.stages.append(nn.Conv2d(widths[-1], 1, 4, 1, 2))

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class Discriminator(nn.Module):
    """Judges patches of an image beside its label map, at several scales."""

    def __init__(self, config: DiscriminatorConfig, classes: int = N_CLASSES) -> None:
        super().__init__()
        self.config = config
        self.scales = nn.ModuleList(_Patch(config, classes) for _ in range(config.scales))

    def forward(self, image: Tensor, label: Tensor) -> list[list[Tensor]]:
        """(batch, 1, h, w), (batch, classes, h, w) -> for each scale, every layer's output; the last is the verdict."""
        x = torch.cat([label, image], dim=1)
        outputs = []
        for index, patch in enumerate(self.scales):
            if index:
                x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
            outputs.append(patch(x))
        return outputs


def discriminator_hinge(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """E[max(0, 1 - D(real))] + E[max(0, 1 + D(fake))], mean over scales."""
    terms = [
        F.relu(1.0 - r[-1].float()).mean() + F.relu(1.0 + f[-1].float()).mean() for r, f in zip(real, fake, strict=True)
    ]
    return torch.stack(terms).mean()


def generator_hinge(fake: list[list[Tensor]]) -> Tensor:
    """-E[D(fake)], mean over scales."""
    return torch.stack([-f[-1].float().mean() for f in fake]).mean()


def feature_matching(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """Mean absolute difference of the discriminator's layers, summed over layers, mean over scales."""
    terms = [
        torch.stack([F.l1_loss(f, r.detach()).float() for r, f in zip(rs[:-1], fs[:-1], strict=True)]).sum()
        for rs, fs in zip(real, fake, strict=True)
    ]
    return torch.stack(terms).mean()
