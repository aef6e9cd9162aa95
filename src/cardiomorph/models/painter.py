"""The image model made ready to paint: the same images, several times as fast.

Exact, not approximate. Spectral norm is divided out of the weights once. Batch norm, gamma and beta together are one
scale and one shift a distinct 5 x 5 label neighbourhood (`neighbourhoods`); these tables are kept, and grow by what has
not been met yet: the slices of a subject, its other phase and the steps of a morph share nearly all of them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardiomorph.models.modulation import scaled
from cardiomorph.models.neighbourhoods import DENSE_ABOVE, LabelMap, expanded, neighbourhood_codes
from cardiomorph.models.spade import SLOPE, ImageModel, ImageModelConfig, Spade, SpadeBlock

MAX_ROWS = 12_288
"""Neighbourhoods kept a resolution: those of three hearts or so, as many as pay. With more, memory would grow for a
hundred hearts."""

_CHUNK = 256
"""Rows evaluated at once, always as many: the last bits of a matrix product may depend on its size, and a heart's bytes
must not depend on what was painted before it."""


class _Convolution:
    """A convolution with its weights as they are after every parametrisation."""

    def __init__(self, layer: nn.Conv2d) -> None:
        self.weight = layer.weight.detach().contiguous(memory_format=torch.channels_last)
        self.bias = None if layer.bias is None else layer.bias.detach()
        self.padding = layer.padding

    def __call__(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, padding=self.padding)


class _Tables:
    """Scale and shift of every neighbourhood met so far at one resolution, for the layers that work there."""

    def __init__(self, layers: list[Spade]) -> None:
        self.layers = layers
        self.forget()

    def forget(self) -> None:
        device = self.layers[0].shared.weight.device
        self.codes = torch.empty(0, dtype=torch.int64, device=device)
        self.rows = torch.empty(0, dtype=torch.int64, device=device)
        self.scales = [torch.empty(0, layer.norm.num_features, device=device) for layer in self.layers]
        self.shifts = [torch.empty(0, layer.norm.num_features, device=device) for layer in self.layers]

    def index(self, codes: Tensor, *, always: bool = False) -> Tensor | None:
        """Row of every neighbourhood; None where so many are new that every pixel is better evaluated by itself.

        Args:
            always: learn them all the same.
        """
        flat = codes.flatten()
        position = self._positions(flat)
        unknown = self._unknown(flat, position)
        if bool(unknown.any()):
            new = torch.unique(flat[unknown])
            if len(new) > DENSE_ABOVE * len(flat) and not always:
                return None
            if len(self.codes) + len(new) > MAX_ROWS:
                self.forget()
                new = torch.unique(flat)
            self._learn(new)
            position = self._positions(flat)
        return self.rows[position]

    def _positions(self, flat: Tensor) -> Tensor:
        return torch.searchsorted(self.codes, flat).clamp_(max=max(0, len(self.codes) - 1))

    def _unknown(self, flat: Tensor, position: Tensor) -> Tensor:
        return self.codes[position] != flat if len(self.codes) else torch.ones_like(flat, dtype=torch.bool)

    def _learn(self, new: Tensor) -> None:
        columns, inside = expanded(F.pad(new, (0, -len(new) % _CHUNK)))
        for number, layer in enumerate(self.layers):
            parts = [
                layer.scale_and_shift(*part) for part in zip(columns.split(_CHUNK), inside.split(_CHUNK), strict=True)
            ]
            scale, shift = (torch.cat(kind)[: len(new)] for kind in zip(*parts, strict=True))
            self.scales[number] = torch.cat([self.scales[number], scale])
            self.shifts[number] = torch.cat([self.shifts[number], shift])
        numbers = torch.arange(len(self.codes), len(self.codes) + len(new), device=new.device)
        self.codes, order = torch.cat([self.codes, new]).sort()
        self.rows = torch.cat([self.rows, numbers])[order]


class _Block:
    """A SPADE block with its convolutions ready and its layers' numbers in the tables of its resolution."""

    def __init__(self, block: SpadeBlock) -> None:
        self.spades = [block.spade_0, block.spade_1, *([block.spade_s] if block.learned else [])]
        self.conv_0, self.conv_1 = _Convolution(block.conv_0), _Convolution(block.conv_1)
        self.conv_s = _Convolution(block.conv_s) if block.learned else None
        self.grain = None if block.grain is None else block.grain.detach()
        self.tables = _Tables(self.spades)

    def __call__(self, x: Tensor, labels: Tensor, noise: Tensor | None) -> Tensor:
        row = self.tables.index(neighbourhood_codes(labels))
        shortcut = x if self.conv_s is None else self.conv_s(self._modulated(2, x, labels, row, None))
        y = self.conv_0(self._modulated(0, x, labels, row, SLOPE))
        if self.grain is not None and noise is not None:
            y.addcmul_(self.grain, noise)
        return self.conv_1(self._modulated(1, y, labels, row, SLOPE)).add_(shortcut)

    def _modulated(self, number: int, x: Tensor, labels: Tensor, row: Tensor | None, slope: float | None) -> Tensor:
        if row is None:
            return self.spades[number](x, LabelMap(labels), slope)
        batch, channels, height, width = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(-1, channels)
        y = scaled(pixels, self.tables.scales[number], self.tables.shifts[number], row, slope)
        return y.view(batch, height, width, channels).permute(0, 3, 1, 2)


class Painter:
    """Paints as `ImageModel.paint` does. The model must be in evaluation mode, and its weights must not change."""

    def __init__(self, model: ImageModel) -> None:
        self.config: ImageModelConfig = model.config
        generator = model.generator
        self.from_style = generator.from_style
        self.to_image = _Convolution(generator.to_image)
        self.blocks = [_Block(block) for block in generator.blocks if isinstance(block, SpadeBlock)]

    @torch.inference_mode()
    def paint(self, style: Tensor, labels: Tensor, noise: Tensor | None = None) -> Tensor:
        """(batch, style_dims), (batch, size, size) integers, (batch, 1, size, size) -> (batch, 1, size, size)."""
        size = labels.shape[-1]
        x = self.from_style(style).unflatten(1, (-1, size // 16, size // 16))
        x = x.contiguous(memory_format=torch.channels_last)
        for index, block in enumerate(self.blocks):
            if index:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            step = size // x.shape[-1]
            grain = None if noise is None else noise[..., ::step, ::step]
            x = block(x, labels[:, ::step, ::step], grain)
        return torch.tanh(self.to_image(F.leaky_relu_(x, SLOPE)))
