"""The image model made ready to paint: the same images, several times as fast.

Exact, not approximate. Spectral norm is divided out of the weights once. Batch norm, gamma and beta together are one
scale and one shift a distinct 5 x 5 label neighbourhood (`neighbourhoods`); these tables are kept, and grow by what has
not been met yet: the slices of a subject, its other phase and the steps of a morph share nearly all of them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils import parametrize

from cardiomorph.models.modulation import scaled
from cardiomorph.models.neighbourhoods import DENSE_ABOVE, LabelMap, codes_fit, expanded, neighbourhood_codes
from cardiomorph.models.spade import Generator, ImageModel, ImageModelConfig, Spade

MAX_ROWS = 12_288
"""Neighbourhoods kept a resolution: those of three hearts or so, as many as pay. With more, memory would grow for a
hundred hearts."""

_CHUNK = 256
"""Rows evaluated at once, always as many: the last bits of a matrix product may depend on its size, and a heart's bytes
must not depend on what was painted before it."""


class _Tables:
    """Scale and shift of every neighbourhood met so far at one resolution, for the layers that work there."""

    def __init__(self, layers: list[Spade]) -> None:
        self.layers = layers
        self.classes = layers[0].shared.in_channels
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
        columns, inside = expanded(F.pad(new, (0, -len(new) % _CHUNK)), self.classes)
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


class Painter:
    """Paints as `ImageModel.paint` does. The model must be in evaluation mode, and its weights must not change."""

    def __init__(self, model: ImageModel) -> None:
        self.config: ImageModelConfig = model.config
        self.generator = _with_plain_weights(model)
        self.tables = [_Tables(block.spades) for block in self.generator.spade_blocks]
        self._place = {layer: (tables, number) for tables in self.tables for number, layer in enumerate(tables.layers)}
        self._row: tuple[LabelMap, Tensor | None] | None = None

    @torch.inference_mode()
    def paint(self, style: Tensor, labels: Tensor, noise: Tensor | None = None) -> Tensor:
        """(batch, style_dims), (batch, size, size) integers, (batch, 1, size, size) -> (batch, 1, size, size)."""
        return self.generator(style, LabelMap(labels, self.generator.classes), noise, self._modulated)

    def _modulated(self, layer: Spade, x: Tensor, label: LabelMap, slope: float | None) -> Tensor:
        tables, number = self._place[layer]
        if self._row is None or self._row[0] is not label:
            fit = codes_fit(label.classes)
            self._row = label, tables.index(neighbourhood_codes(label.labels, label.classes)) if fit else None
        row = self._row[1]
        if row is None:
            return layer(x, label, slope)
        batch, channels, height, width = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(-1, channels)
        y = scaled(pixels, tables.scales[number], tables.shifts[number], row, slope)
        return y.view(batch, height, width, channels).permute(0, 3, 1, 2)


def _with_plain_weights(model: ImageModel) -> Generator:
    """The model's generator with its weights as they are after every parametrisation, which it keeps."""
    # Built anew, not copied: a copy shares the classes that hold the parametrisations, and would take them from both.
    with torch.device("meta"):
        plain = Generator(model.config)
    plain.load_state_dict(model.generator.state_dict(), assign=True)
    for module in plain.eval().modules():
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    return plain.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
