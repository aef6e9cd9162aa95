"""The image model: a style encoder and a SPADE generator (Park et al., CVPR 2019; the paper, section 2.3).

Anatomy comes from the label map, which modulates every normalisation; appearance comes from a style code, encoded
from an image. Widths: the authors' is 32. What the paper leaves open: normalisation inside SPADE is batch norm
(as in Park et al. with an encoder: instance norm would wash the style out), the style code has 256 numbers.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from cardiomorph.anatomy import N_CLASSES
from cardiomorph.models.neighbourhoods import LabelMap

_SLOPE = 0.2
_MULTIPLES = (16, 16, 8, 4, 2)
"""Channels of the generator's blocks, in widths, from 8 x 8 to 128 x 128."""


class ImageModelConfig(BaseModel):
    """Size of the image model. The authors': width 32, SPADE hidden width 128."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(32, ge=1)
    hidden: int = Field(128, ge=1, description="channels between the label map and gamma, beta")
    style_dims: int = Field(256, ge=1)
    size: int = Field(128, ge=32, multiple_of=16)


def _normed(convolution: nn.Module) -> nn.Module:
    return spectral_norm(convolution)


class Spade(nn.Module):
    """Normalise, then scale and shift by what the label map says at each pixel.

    gamma and beta come from two 3 x 3 convolutions of the label map: they depend on its 5 x 5 neighbourhood only,
    and are evaluated once for each distinct one (`neighbourhoods`).
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.shared = nn.Conv2d(N_CLASSES, hidden, 3, 1, 1)
        self.gamma_beta = nn.Conv2d(hidden, 2 * channels, 3, 1, 1)

    def forward(self, x: Tensor, label: LabelMap) -> Tensor:
        """``x`` (batch, channels, h, w), ``label`` at the same resolution."""
        gamma, beta = self.modulation(label).chunk(2, dim=1)
        return torch.addcmul(beta, self.norm(x), 1.0 + gamma)

    def modulation(self, label: LabelMap) -> Tensor:
        """gamma and beta, (batch, 2 channels, h, w)."""
        table = label.table
        if table is None:
            return self.gamma_beta(F.relu(self.shared(label.one_hot)))
        # Both convolutions as matrix products: the number of rows is new in every batch, and memory stays lower so.
        hidden = F.relu(F.linear(table.columns, self.shared.weight.flatten(1), self.shared.bias)) * table.inside
        second = self.gamma_beta.weight.flatten(2).transpose(1, 2).flatten(1)
        rows = F.linear(hidden.flatten(1), second, self.gamma_beta.bias)
        batch, height, width = label.labels.shape
        return rows.index_select(0, table.index).view(batch, height, width, -1).permute(0, 3, 1, 2)


class SpadeBlock(nn.Module):
    """Two SPADE, LeakyReLU, convolution steps around a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, hidden: int) -> None:
        super().__init__()
        middle = min(channels_in, channels_out)
        self.spade_0, self.spade_1 = Spade(channels_in, hidden), Spade(middle, hidden)
        self.conv_0 = _normed(nn.Conv2d(channels_in, middle, 3, 1, 1))
        self.conv_1 = _normed(nn.Conv2d(middle, channels_out, 3, 1, 1))
        self.learned = channels_in != channels_out
        if self.learned:
            self.spade_s = Spade(channels_in, hidden)
            self.conv_s = _normed(nn.Conv2d(channels_in, channels_out, 1, bias=False))

    def forward(self, x: Tensor, label: LabelMap) -> Tensor:
        shortcut = self.conv_s(self.spade_s(x, label)) if self.learned else x
        y = self.conv_0(F.leaky_relu(self.spade_0(x, label), _SLOPE))
        y = self.conv_1(F.leaky_relu(self.spade_1(y, label), _SLOPE))
        return shortcut + y


class Generator(nn.Module):
    """Style code and label map -> image in [-1, 1]."""

    def __init__(self, config: ImageModelConfig) -> None:
        super().__init__()
        widths = [config.width * multiple for multiple in _MULTIPLES]
        self._grid = config.size // 16
        self.from_style = nn.Linear(config.style_dims, widths[0] * self._grid**2)
        self.blocks = nn.ModuleList(
            SpadeBlock(a, b, config.hidden) for a, b in zip([widths[0], *widths[:-1]], widths, strict=True)
        )
        self.to_image = nn.Conv2d(widths[-1], 1, 3, 1, 1)

    def forward(self, style: Tensor, labels: Tensor) -> Tensor:
        """``style`` (batch, style_dims), ``labels`` (batch, size, size) integers -> (batch, 1, size, size)."""
        label = LabelMap(labels)
        x = self.from_style(style).unflatten(1, (-1, self._grid, self._grid))
        x = x.contiguous(memory_format=torch.channels_last)
        for index, block in enumerate(self.blocks):
            if index:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = block(x, label.at(x.shape[-1]))
        return torch.tanh(self.to_image(F.leaky_relu(x, _SLOPE)))


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.LeakyReLU(_SLOPE),
            _normed(nn.Conv2d(channels, channels, 3, 1, 1)),
            nn.InstanceNorm2d(channels),
            nn.LeakyReLU(_SLOPE),
            _normed(nn.Conv2d(channels, channels, 3, 1, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class StyleEncoder(nn.Module):
    """Image -> style code: 7 x 7 stem, four stride-2 convolutions, two residual blocks, a fully connected layer.

    No normalisation before the code but spectral norm: brightness and contrast are part of a style.
    """

    def __init__(self, config: ImageModelConfig) -> None:
        super().__init__()
        width = config.width
        channels = [width, 2 * width, 4 * width, 8 * width, 8 * width]
        layers: list[nn.Module] = [_normed(nn.Conv2d(1, width, 7, 1, 3))]
        for a, b in pairwise(channels):
            layers += [nn.LeakyReLU(_SLOPE), _normed(nn.Conv2d(a, b, 3, 2, 1))]
        self.features = nn.Sequential(*layers, _ResidualBlock(channels[-1]), _ResidualBlock(channels[-1]))
        self.to_style = nn.Linear(channels[-1] * (config.size // 16) ** 2, config.style_dims)

    def forward(self, image: Tensor) -> Tensor:
        """``image`` (batch, 1, size, size) in [-1, 1] -> (batch, style_dims)."""
        return self.to_style(F.leaky_relu(self.features(image), _SLOPE).flatten(1))


class ImageModel(nn.Module):
    """Style encoder and generator together: what is trained, saved and used."""

    def __init__(self, config: ImageModelConfig) -> None:
        super().__init__()
        self.config = config
        self.style_encoder = StyleEncoder(config)
        self.generator = Generator(config)

    def encode_style(self, image: Tensor) -> Tensor:
        return self.style_encoder(image)

    def paint(self, style: Tensor, labels: Tensor) -> Tensor:
        return self.generator(style, labels)
