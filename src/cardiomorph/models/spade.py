"""The image model: a style encoder and a SPADE generator (Park et al., CVPR 2019; the paper).

Anatomy comes from the label map, which modulates every normalisation; appearance comes from a style code, encoded
from an image. Widths: the authors' is 32. What the paper leaves open: normalisation inside SPADE is batch norm
(as in Park et al. with an encoder: instance norm would wash the style out), the style code has 256 numbers.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import register_parametrization

from cardiomorph.anatomy import CLASS_NAMES, N_CLASSES
from cardiomorph.models.modulation import Modulated
from cardiomorph.models.neighbourhoods import LabelMap

if TYPE_CHECKING:
    from cardiomorph.models.painter import Painter

SLOPE = 0.2
_MULTIPLES = (16, 16, 8, 4, 2)
"""Channels of the generator's blocks, in widths, from 8 x 8 to 128 x 128."""


class ImageModelConfig(BaseModel):
    """Size of the image model. The authors': width 32, SPADE hidden width 128."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(32, ge=1, le=8192)
    hidden: int = Field(128, ge=1, le=8192, description="channels between the label map and gamma, beta")
    style_dims: int = Field(256, ge=1, le=8192)
    noise: bool = Field(False, description="let every block add white noise, as much of it as it learns to")
    size: int = Field(128, ge=32, le=4096, multiple_of=16)
    classes: tuple[str, ...] = Field(CLASS_NAMES, min_length=2, description="names of the label codes 0, 1, ...")


class _GivenNorm(nn.Module):
    """A spectral norm that waits for its numbers, and divides by what they say, as torch's does once it is trained."""

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        height = weight.shape[0]
        self.register_buffer("_u", weight.new_empty(height))
        self.register_buffer("_v", weight.new_empty(weight.numel() // height))

    def forward(self, weight: Tensor) -> Tensor:
        return weight / torch.vdot(self._u, torch.mv(weight.flatten(1), self._v))


def _normed(convolution: nn.Conv2d) -> nn.Conv2d:
    if convolution.weight.is_meta:
        # Torch's own begins with power iterations, which take seconds where there are no numbers.
        register_parametrization(convolution, "weight", _GivenNorm(convolution.weight), unsafe=True)
        return convolution
    normed = spectral_norm(convolution)
    assert isinstance(normed, nn.Conv2d), "a parametrised module keeps its class"
    return normed


class Spade(nn.Module):
    """Normalise, then scale and shift by what the label map says at each pixel.

    gamma and beta come from two 3 x 3 convolutions of the label map: they depend on its 5 x 5 neighbourhood only,
    and are evaluated once for each distinct one (`neighbourhoods`).
    """

    def __init__(self, channels: int, hidden: int, classes: int = N_CLASSES) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.shared = nn.Conv2d(classes, hidden, 3, 1, 1)
        self.gamma_beta = nn.Conv2d(hidden, 2 * channels, 3, 1, 1)

    def forward(self, x: Tensor, label: LabelMap, slope: float | None = None) -> Tensor:
        """``x`` (batch, channels, h, w), ``label`` at the same resolution, ``slope`` of a LeakyReLU that follows."""
        table = label.table
        if table is None or not self.training:
            gamma, beta = self.modulation(label).chunk(2, dim=1)
            y = torch.addcmul(beta, self.norm(x), 1.0 + gamma)
            return y if slope is None else F.leaky_relu(y, slope)
        batch, channels, height, width = x.shape
        gamma, beta = self._rows(table.columns, table.inside)
        pixels = x.permute(0, 2, 3, 1).reshape(-1, channels)
        y = Modulated.apply(pixels, gamma, beta, table.index, *self._batch_statistics(x), slope)
        return y.view(batch, height, width, channels).permute(0, 3, 1, 2)

    def modulation(self, label: LabelMap) -> Tensor:
        """gamma and beta of every pixel, (batch, 2 channels, h, w)."""
        if label.table is None:
            return self.gamma_beta(F.relu(self.shared(label.one_hot)))
        batch, height, width = label.labels.shape
        rows = torch.cat(self._rows(label.table.columns, label.table.inside), dim=1)
        return F.embedding(label.table.index, rows).view(batch, height, width, -1).movedim(-1, 1)

    def scale_and_shift(self, columns: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        """What a pixel of each neighbourhood is multiplied by and shifted by, in evaluation: (n, channels) each."""
        gamma, beta = self._rows(columns, inside)
        # In double precision: the shift is a difference of numbers that may be large beside it.
        mean, variance = (statistic.double() for statistic in self._running_statistics)
        scale = (1.0 + gamma.double()) * torch.rsqrt(variance + self.norm.eps)
        return scale.to(gamma.dtype), (beta - mean * scale).to(gamma.dtype)

    def _rows(self, columns: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        """gamma and beta of every neighbourhood of a `Table`, (n, channels) each, float32 or better."""
        # Both convolutions as matrix products: the number of rows is new in every batch, and memory stays lower so.
        hidden = F.relu(F.linear(columns, self.shared.weight.flatten(1), self.shared.bias)) * inside
        second = self.gamma_beta.weight.flatten(2).transpose(1, 2).flatten(1)
        rows = F.linear(hidden.flatten(1), second, self.gamma_beta.bias)
        gamma, beta = rows.to(torch.promote_types(rows.dtype, torch.float32)).chunk(2, dim=1)
        return gamma, beta

    @torch.no_grad()
    def _batch_statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and 1 / standard deviation of every channel; the running ones move on, as in `nn.BatchNorm2d`."""
        assert self.norm.momentum is not None and self.norm.num_batches_tracked is not None, "as constructed"
        self.norm.num_batches_tracked.add_(1)
        mean, variance = torch.batch_norm_update_stats(x, *self._running_statistics, self.norm.momentum)
        return mean, torch.rsqrt(variance + self.norm.eps)

    @property
    def _running_statistics(self) -> tuple[Tensor, Tensor]:
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None and variance is not None, "batch norm tracks them by default"
        return mean, variance


class Modulation(Protocol):
    """How a SPADE layer is applied: the layer itself, or something that gives the same numbers faster (`painter`)."""

    def __call__(self, layer: Spade, x: Tensor, label: LabelMap, slope: float | None) -> Tensor: ...


def by_the_layer(layer: Spade, x: Tensor, label: LabelMap, slope: float | None) -> Tensor:
    """The layer itself, as in training."""
    return layer(x, label, slope)


class SpadeBlock(nn.Module):
    """Two SPADE, LeakyReLU, convolution steps around a shortcut.

    White noise may be added between the two, scaled channel by channel (Karras et al., CVPR 2019): a label and a
    style do not decide an image's noise, and a generator without a source of it paints none.
    """

    def __init__(self, channels_in: int, channels_out: int, hidden: int, noise: bool, classes: int) -> None:
        super().__init__()
        middle = min(channels_in, channels_out)
        # How strong the noise is in each channel; the name stands in weights that are out.
        self.grain = nn.Parameter(torch.zeros(1, middle, 1, 1)) if noise else None
        self.spade_0, self.spade_1 = Spade(channels_in, hidden, classes), Spade(middle, hidden, classes)
        self.conv_0 = _normed(nn.Conv2d(channels_in, middle, 3, 1, 1))
        self.conv_1 = _normed(nn.Conv2d(middle, channels_out, 3, 1, 1))
        self.learned = channels_in != channels_out
        if self.learned:
            self.spade_s = Spade(channels_in, hidden, classes)
            self.conv_s = _normed(nn.Conv2d(channels_in, channels_out, 1, bias=False))

    @property
    def spades(self) -> list[Spade]:
        """Its SPADE layers."""
        return [self.spade_0, self.spade_1, *([self.spade_s] if self.learned else [])]

    def forward(self, x: Tensor, label: LabelMap, noise: Tensor | None, modulate: Modulation) -> Tensor:
        """``x`` (batch, channels_in, h, w), ``label`` and ``noise`` (batch, 1, h, w) -> (batch, channels_out, h, w)."""
        shortcut = self.conv_s(modulate(self.spade_s, x, label, None)) if self.learned else x
        y = self.conv_0(modulate(self.spade_0, x, label, SLOPE))
        if self.grain is not None and noise is not None:
            y.addcmul_(self.grain.to(y.dtype), noise.to(y.dtype))
        # In place: no gradient needs what a convolution or a sum gave.
        return self.conv_1(modulate(self.spade_1, y, label, SLOPE)).add_(shortcut)


class Generator(nn.Module):
    """Style code and label map -> image in [-1, 1]."""

    def __init__(self, config: ImageModelConfig) -> None:
        super().__init__()
        widths = [config.width * multiple for multiple in _MULTIPLES]
        self._grid = config.size // 16
        self.classes = len(config.classes)
        self.from_style = nn.Linear(config.style_dims, widths[0] * self._grid**2)
        self.blocks = nn.ModuleList(
            SpadeBlock(a, b, config.hidden, config.noise, self.classes)
            for a, b in zip([widths[0], *widths[:-1]], widths, strict=True)
        )
        self.to_image = nn.Conv2d(widths[-1], 1, 3, 1, 1)

    @property
    def spade_blocks(self) -> list[SpadeBlock]:
        """The blocks, coarse to fine."""
        return [block for block in self.blocks if isinstance(block, SpadeBlock)]

    def forward(
        self,
        style: Tensor,
        labels: Tensor | LabelMap,
        noise: Tensor | None = None,
        modulate: Modulation = by_the_layer,
    ) -> Tensor:
        """Paints (batch, 1, size, size).

        Args:
            style: (batch, style_dims).
            labels: (batch, size, size) integers, or what has been made of them already.
            noise: (batch, 1, size, size) standard normal; coarser blocks take every second, fourth, ... of it.
            modulate: how SPADE layers are applied.
        """
        label = labels if isinstance(labels, LabelMap) else LabelMap(labels, self.classes)
        x = self.from_style(style).unflatten(1, (-1, self._grid, self._grid))
        x = x.contiguous(memory_format=torch.channels_last)
        for index, block in enumerate(self.blocks):
            if index:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            step = label.labels.shape[-1] // x.shape[-1]
            x = block(x, label.at(x.shape[-1]), None if noise is None else noise[..., ::step, ::step], modulate)
        return torch.tanh(self.to_image(F.leaky_relu_(x, SLOPE)))


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.LeakyReLU(SLOPE),
            _normed(nn.Conv2d(channels, channels, 3, 1, 1)),
            nn.InstanceNorm2d(channels),
            nn.LeakyReLU(SLOPE),
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
            layers += [nn.LeakyReLU(SLOPE), _normed(nn.Conv2d(a, b, 3, 2, 1))]
        self.features = nn.Sequential(*layers, _ResidualBlock(channels[-1]), _ResidualBlock(channels[-1]))
        self.to_style = nn.Linear(channels[-1] * (config.size // 16) ** 2, config.style_dims)

    def forward(self, image: Tensor) -> Tensor:
        """``image`` (batch, 1, size, size) in [-1, 1] -> (batch, style_dims)."""
        return self.to_style(F.leaky_relu(self.features(image), SLOPE).flatten(1))


class ImageModel(nn.Module):
    """Style encoder and generator together: what is trained, saved and used. Keeps `image_generator.ImageGenerator`."""

    Config = ImageModelConfig

    def __init__(self, config: ImageModelConfig) -> None:
        super().__init__()
        self.config = config
        self.style_encoder = StyleEncoder(config)
        self.generator = Generator(config)

    def encode_style(self, image: Tensor) -> Tensor:
        return self.style_encoder(image)

    def paint(self, style: Tensor, labels: Tensor | LabelMap, noise: Tensor | None = None) -> Tensor:
        return self.generator(style, labels, noise)

    def painter(self) -> Painter:
        """Itself made ready to paint, several times as fast."""
        from cardiomorph.models.painter import Painter

        return Painter(self)
