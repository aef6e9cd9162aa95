"""Label maps as the few distinct 5 x 5 neighbourhoods they are made of.

SPADE's gamma and beta come from two 3 x 3 convolutions of the label map, so they are a function of a pixel's 5 x 5
label neighbourhood. Anatomy is smooth: about 1 % of the neighbourhoods of a short-axis slice are distinct. Each is
evaluated once and its result gathered, which computes the same numbers, in training as in inference.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from cardiomorph.anatomy import N_CLASSES

REACH = 2
"""Pixels that two 3 x 3 convolutions see in each direction."""
_SIDE = 2 * REACH + 1
DENSE_ABOVE = 0.3
"""Share of distinct neighbourhoods from which evaluating every pixel is the cheaper way."""


def codes_fit(classes: int) -> bool:
    """Whether neighbourhoods of so many classes have distinct numbers of 63 bits: of four and fewer they have."""
    return (classes + 1) ** _SIDE**2 < 2**63


def neighbourhood_codes(labels: Tensor, classes: int = N_CLASSES) -> Tensor:
    """(batch, h, w) labels -> the same shape, one number for each pixel's 5 x 5 neighbourhood.

    What lies beyond the image is one class more: none at all, as zero padding makes it.

    Raises:
        ValueError: a label that is no class, or more classes than 63 bits can tell apart.
    """
    if not codes_fit(classes):
        raise ValueError(f"5 x 5 neighbourhoods of {classes} classes do not fit in 63 bits; at most 4 classes do")
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(f"labels run from {int(labels.min())} to {int(labels.max())}; classes from 0 to {classes - 1}")
    # Digits of the base "classes and outside".
    padded = F.pad(labels.long(), (REACH,) * 4, value=classes)
    height, width = labels.shape[-2:]
    code = torch.zeros_like(labels, dtype=torch.int64)
    for row in range(_SIDE):
        for column in range(_SIDE):
            code.mul_(classes + 1).add_(padded[:, row : row + height, column : column + width])
    return code


def expanded(codes: Tensor, classes: int = N_CLASSES) -> tuple[Tensor, Tensor]:
    """(n,) codes -> ``columns`` (n, 9, 9 classes) and ``inside`` (n, 9, 1) of a `Table`."""
    powers = (classes + 1) ** torch.arange(_SIDE**2 - 1, -1, -1, device=codes.device)
    digits = ((codes[:, None] // powers) % (classes + 1)).view(-1, _SIDE, _SIDE)
    patches = F.one_hot(digits, classes + 1)[..., :classes].movedim(-1, 1).float()
    # The nine 3 x 3 windows of a 5 x 5 patch, each flattened like a kernel: channel, row, column.
    windows = patches.unfold(2, 3, 1).unfold(3, 3, 1)
    columns = windows.permute(0, 2, 3, 1, 4, 5).reshape(len(codes), 9, -1)
    inside = (digits[:, 1:-1, 1:-1] != classes).float().flatten(1)[..., None]
    return columns, inside


@dataclass(frozen=True)
class Table:
    """Distinct neighbourhoods of a batch.

    Attributes:
        columns: (n, 9, 9 classes), for each of the centre 3 x 3 pixels the one-hot 3 x 3 window around it, ordered like
            a flattened 3 x 3 kernel; all zero beyond the image.
        inside: (n, 9, 1), 1 where that pixel lies within the image.
        index: (batch * h * w,) row of ``columns`` for every pixel, batch first, then rows.
    """

    columns: Tensor
    inside: Tensor
    index: Tensor


@dataclass(frozen=True)
class LabelMap:
    """A batch of label maps, (batch, h, w) integers, with what SPADE needs of it, computed once and shared."""

    labels: Tensor
    classes: int = N_CLASSES

    @cached_property
    def one_hot(self) -> Tensor:
        """(batch, classes, h, w) float."""
        encoded = F.one_hot(self.labels.long(), self.classes).movedim(-1, 1).float()
        return encoded.contiguous(memory_format=torch.channels_last)

    @cached_property
    def table(self) -> Table | None:
        """The distinct neighbourhoods, or None where there are too many to be worth it, or too many classes."""
        if not codes_fit(self.classes):
            return None
        codes = neighbourhood_codes(self.labels, self.classes)
        distinct, index = torch.unique(codes, return_inverse=True)
        if len(distinct) > DENSE_ABOVE * codes.numel():
            return None
        return Table(*expanded(distinct, self.classes), index.flatten())

    @cached_property
    def _halves(self) -> LabelMap:
        return LabelMap(self.labels[:, ::2, ::2].contiguous(), self.classes)

    def at(self, size: int) -> LabelMap:
        """The same maps at a lower resolution, by nearest neighbour, as SPADE does; ``size`` is a half, a fourth..."""
        return self if size == self.labels.shape[-1] else self._halves.at(size)

    def prepared(self, smallest: int) -> LabelMap:
        """Itself, everything that SPADE needs computed, down to the given size."""
        for_blocks = self
        while True:
            _ = for_blocks.one_hot if for_blocks.table is None else None
            if for_blocks.labels.shape[-1] <= smallest:
                return self
            for_blocks = for_blocks.at(for_blocks.labels.shape[-1] // 2)
