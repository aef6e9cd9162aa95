"""Patches of whole fields of view, as another scanner might have stored them.

Turned by any angle and mirrored, larger and smaller, bent a little; other contrast, brightness, gamma, coil, noise and
sharpness; a neighbouring slice lacking, slices stored the other way round. What a network should not rely on, changes.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from cardiomorph.data.fields import FieldStack
from cardiomorph.models.field_segmenter import FieldSegmenterConfig, sampled, standardised
from cardiomorph.models.label_vae import one_hot
from cardiomorph.training.augmentation import most_of


class FieldAugmentationConfig(BaseModel):
    """How much may change."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    elsewhere: float = Field(0.2, ge=0, le=1, description="share of the patches that lie anywhere in the field of view")
    shift_mm: float = Field(15.0, ge=0, le=500, description="SD of the others' centres about the heart's")
    scale: float = Field(1.35, ge=1, le=4, description="largest enlargement, and its inverse the smallest")
    bend_px: float = Field(2.5, ge=0, le=100, description="SD of a smooth displacement, in half of the patches")
    gamma: float = Field(
        1.6, ge=1, le=10, description="largest exponent on the intensities, and its inverse the smallest"
    )
    contrast: float = Field(1.5, ge=1, le=10)
    brightness: float = Field(0.3, ge=0, le=10, description="in SDs of a patch")
    coil: float = Field(0.35, ge=0, le=3, description="SD of the logarithm of a smooth gain, in half of the patches")
    noise: float = Field(0.25, ge=0, le=3, description="largest SD, in SDs of a patch, in half of the patches")
    coarsening: float = Field(2.5, ge=1, le=16, description="largest loss of resolution, in a quarter of the patches")
    alone: float = Field(0.15, ge=0, le=1, description="share of the patches that are seen without their neighbours")


def draw_patch(
    stack: FieldStack,
    index: int,
    config: FieldAugmentationConfig,
    size: int,
    model: FieldSegmenterConfig,
    rng: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """A patch of a slice with those beside it: (1 + 2 * neighbours, size, size), standardised, and (size, size) labels.

    Args:
        index: of the slice.
        model: says how many neighbours, pixel size and classes.
    """
    u, v = _positions(stack, config, size, model.pixel_mm, rng)
    near = model.neighbours
    order = index + torch.arange(-near, near + 1) * (1 if _chance(0.5, rng) else -1)
    if _chance(config.alone, rng):
        order[:] = index
    order = order.clamp(0, len(stack.image) - 1)
    image = sampled(torch.from_numpy(stack.image)[order][None], u, v)
    coded = one_hot(torch.from_numpy(stack.label[index])[None], len(model.classes))
    return _other_look(image, config, rng)[0], most_of(sampled(coded, u, v))[0]


def _uniform(low: float, high: float, rng: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=rng))


def _factor(largest: float, rng: torch.Generator) -> float:
    """Between 1 / ``largest`` and ``largest``, evenly on a logarithmic scale."""
    return math.exp(_uniform(-1.0, 1.0, rng) * math.log(largest))


def _chance(share: float, rng: torch.Generator) -> bool:
    return _uniform(0.0, 1.0, rng) < share


def _positions(
    stack: FieldStack, config: FieldAugmentationConfig, size: int, pixel_mm: float, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Where a patch's pixels lie in the slice, in voxels along x and y, (size, size) each."""
    shape = torch.tensor(stack.label.shape[1:]).float()
    spacing = torch.tensor(stack.pixel_mm)
    if _chance(config.elsewhere, rng):
        centre = torch.rand(2, generator=rng) * shape
    else:
        centre = torch.tensor(stack.heart_px) + config.shift_mm / spacing * torch.randn(2, generator=rng)
    angle, step = _uniform(-math.pi, math.pi, rng), pixel_mm / _factor(config.scale, rng)
    mirror = -1.0 if _chance(0.5, rng) else 1.0
    along = torch.arange(size) - 0.5 * (size - 1)
    u, v = torch.meshgrid(along, along * mirror, indexing="ij")
    if _chance(0.5, rng):
        bend = config.bend_px * torch.randn((1, 2, 5, 5), generator=rng)
        bend = F.interpolate(bend, size=(size, size), mode="bicubic", align_corners=True)[0]
        u, v = u + bend[0], v + bend[1]
    cos, sin = math.cos(angle) * step, math.sin(angle) * step
    x = centre[0] + (cos * u - sin * v) / spacing[0]
    y = centre[1] + (sin * u + cos * v) / spacing[1]
    return x, y


def _other_look(image: Tensor, config: FieldAugmentationConfig, rng: torch.Generator) -> Tensor:
    """(1, channels, size, size) intensities as another scanner's, standardised."""
    size = image.shape[-1]
    low, high = image.amin(), image.amax()
    image = ((image - low) / (high - low).clamp_min(1e-6)) ** _factor(config.gamma, rng)
    if _chance(0.5, rng):
        coil = config.coil * torch.randn((1, 1, 3, 3), generator=rng)
        image = image * F.interpolate(coil, size=(size, size), mode="bicubic", align_corners=True).exp()
    if _chance(0.25, rng):
        coarse = max(8, round(size / _uniform(1.0, config.coarsening, rng)))
        small = F.interpolate(image, size=(coarse, coarse), mode="bilinear", antialias=True)
        image = F.interpolate(small, size=(size, size), mode="bilinear")
    image = standardised(image)
    if _chance(0.5, rng):
        image = image + _uniform(0.0, config.noise, rng) * torch.randn(image.shape, generator=rng)
    return _factor(config.contrast, rng) * image + _uniform(-config.brightness, config.brightness, rng)
