"""A U-Net that labels the heart in a scanner's whole field of view, slice by slice, with the slices beside each.

It sees patches at one pixel size, normalised by their own mean and SD, so that a scanner's scale does not matter, and
has learned every turn and mirror image, so that the way of storage does not matter either.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from cardiomorph.anatomy import CLASS_NAMES
from cardiomorph.models.segmenter import UNet

_FLAT = 1e-6


class FieldSegmenterConfig(BaseModel):
    """Size of the network and of what it looks at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    widths: tuple[int, int, int, int, int] = Field((16, 32, 64, 96, 128), description="channels, finest level first")
    neighbours: int = Field(1, ge=0, le=8, description="slices on each side that are seen beside a slice")
    pixel_mm: float = Field(1.5, gt=0, le=10, description="pixel size that it works at")
    classes: tuple[str, ...] = Field(CLASS_NAMES, min_length=2, description="names of the label codes 0, 1, ...")


class FieldSegmenter(UNet):
    """(batch, 1 + 2 * neighbours, h, w) slices with those beside them, in order, to label logits."""

    def __init__(self, config: FieldSegmenterConfig) -> None:
        super().__init__(1 + 2 * config.neighbours, config.widths, len(config.classes))
        self.config = config


def standardised(patches: Tensor) -> Tensor:
    """(batch, channels, h, w) with mean 0 and SD 1 over each item's channels and pixels; a flat one becomes 0."""
    centred = patches - patches.mean(dim=(1, 2, 3), keepdim=True)
    return centred / centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(_FLAT)


def with_neighbours(stack: Tensor, neighbours: int) -> Tensor:
    """(n, h, w) slices in order -> (n, 1 + 2 * neighbours, h, w); beyond an end the end slice is seen again."""
    order = torch.arange(len(stack))[:, None] + torch.arange(-neighbours, neighbours + 1)
    return stack[order.clamp(0, len(stack) - 1)]


def sampled(planes: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """(batch, channels, nx, ny) at voxel positions ``u`` along x and ``v`` along y, (h, w) each; 0 outside, linear."""
    nx, ny = planes.shape[-2:]
    grid = torch.stack([_unit(v, ny), _unit(u, nx)], dim=-1).expand(len(planes), *u.shape, 2)
    return F.grid_sample(planes, grid.to(planes), mode="bilinear", align_corners=True)


def _unit(position: Tensor, count: int) -> Tensor:
    """Voxel positions as grid_sample counts them: -1 is the first voxel's centre, 1 the last one's."""
    return 2.0 * position / max(count - 1, 1) - 1.0


@dataclass(frozen=True)
class Window:
    """A square patch of a slice, its axes those of the slice.

    Attributes:
        centre_px: voxel position of its middle.
        size: pixels along each side.
        pixel_mm: its own pixel size.
        spacing_mm: the slice's.
    """

    centre_px: tuple[float, float]
    size: int
    pixel_mm: float
    spacing_mm: tuple[float, float]

    def cut(self, planes: Tensor) -> Tensor:
        """(batch, channels, nx, ny) -> (batch, channels, size, size)."""
        along = (torch.arange(self.size) - 0.5 * (self.size - 1)) * self.pixel_mm
        x, y = (along / mm + centre for mm, centre in zip(self.spacing_mm, self.centre_px, strict=True))
        return sampled(planes, *torch.meshgrid(x, y, indexing="ij"))

    def put_back(self, patches: Tensor, shape: tuple[int, int]) -> Tensor:
        """(batch, channels, size, size) -> (batch, channels, nx, ny); 0 outside the patch."""
        positions = [
            (torch.arange(n) - centre) * mm / self.pixel_mm + 0.5 * (self.size - 1)
            for n, mm, centre in zip(shape, self.spacing_mm, self.centre_px, strict=True)
        ]
        return sampled(patches, *torch.meshgrid(*positions, indexing="ij"))
