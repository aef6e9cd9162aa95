"""Small rigid motions and scalings of slices: hearts lie a little differently in every scanner."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor


class AugmentationConfig(BaseModel):
    """Largest changes, drawn uniformly, and quarter turns; all zero switches augmentation off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rotation_deg: float = Field(0.0, ge=0, le=360)
    scale: float = Field(0.0, ge=0, lt=1, description="0.05 draws factors in 0.95..1.05")
    shift_px: float = Field(0.0, ge=0, le=4096)
    quarter_turns: float = Field(
        0.0, ge=0, le=1, description="share of slices turned by 0, 90, 180 or 270 degrees, as the authors' script does"
    )

    @property
    def active(self) -> bool:
        return bool(self.rotation_deg or self.scale or self.shift_px or self.quarter_turns)


def draw_motions(config: AugmentationConfig, batch: int, size: int, rng: torch.Generator) -> Tensor:
    """Random in-plane similarity transforms, (batch, 2, 3), in `torch.nn.functional.affine_grid`'s convention."""
    u = 2.0 * torch.rand((batch, 4), generator=rng) - 1.0
    angle = u[:, 0] * math.radians(config.rotation_deg)
    factor = 1.0 / (1.0 + u[:, 1] * config.scale)
    shift = u[:, 2:] * (2.0 * config.shift_px / size)
    cos, sin = torch.cos(angle) * factor, torch.sin(angle) * factor
    if config.quarter_turns:
        cos, sin = _turned(cos, sin, config.quarter_turns, rng)
    rows = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], dim=1)
    return rows.view(batch, 2, 3)


def _turned(cos: Tensor, sin: Tensor, share: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """A share of the rotations turned on by whole quarters, without rounding."""
    u = torch.rand((2, len(cos)), generator=rng)
    quarters = torch.where(u[0] < share, (4 * u[1]).long(), 0)
    c, s = (torch.tensor(values)[quarters] for values in ((1.0, 0.0, -1.0, 0.0), (0.0, 1.0, 0.0, -1.0)))
    return c * cos - s * sin, s * cos + c * sin


def move(images: Tensor, motions: Tensor, outside: float = 0.0) -> Tensor:
    """Applies ``motions`` to (batch, channels, h, w) by linear interpolation; ``outside`` fills what was not seen."""
    grid = F.affine_grid(motions.to(images), list(images.shape), align_corners=False)
    return F.grid_sample(images - outside, grid, mode="bilinear", align_corners=False) + outside


def move_labels(one_hot: Tensor, motions: Tensor) -> Tensor:
    """The same for one-hot labels: linear on every class, then the largest. Returns (batch, h, w) integers."""
    return most_of(move(one_hot, motions))


def most_of(moved: Tensor) -> Tensor:
    """The largest class of (batch, classes, h, w) that were moved by interpolation."""
    # What came from outside is background; without this a tie of zeros would be.
    moved[:, 0] += 1.0 - moved.sum(dim=1)
    return moved.argmax(dim=1)
