"""The plan of a study, made once of real cases and frozen for every arm: pixel size, and images brought onto it.

Networks plan from what they are shown: hundreds of synthetic crops beside few real scans would change spacing, patch
and normalisation, and an arm would be compared with another network. Intensities are standardised by the middle of the
field of view, as wide as a synthetic crop, so that crops and whole fields have the same scale.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from cardiomorph.anatomy import N_CLASSES
from cardiomorph.utility.cases import Case, Stack
from cardiomorph.utility.deformation import with_wall

_MIDDLE_MM = 192.0
_SAME = 0.01
_ERROR_PX, _ERROR_WALL_PX = 4, 2


class Plan(BaseModel):
    """At which pixel size slices are looked at; the slice distance stays each scan's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pixel_mm: float
    slice_mm: float


def plan_of(cases: Iterable[Case]) -> Plan:
    """Medians of real cases."""
    spacings = np.array([stack.spacing_mm for case in cases for stack in case.stacks.values()])
    in_plane = np.sqrt(spacings[:, 0] * spacings[:, 1])
    return Plan(pixel_mm=float(np.median(in_plane)), slice_mm=float(np.median(spacings[:, 2])))


@dataclass(frozen=True)
class Planned:
    """A stack at the plan's pixel size.

    Attributes:
        image: (n, h, w) float32, standardised.
        label: the same, uint8.
        hearts: (n,) whether a slice shows a structure.
        centre_px: of the labels, in pixels.
    """

    image: NDArray[np.float32]
    label: NDArray[np.uint8]
    hearts: NDArray[np.bool_]
    centre_px: tuple[float, float]


def planned(stack: Stack, plan: Plan) -> Planned:
    """A stack brought onto the plan's grid."""
    image = on_grid(torch.from_numpy(standardised(stack)), stack, plan).numpy()
    coded = F.one_hot(torch.from_numpy(stack.label).long(), N_CLASSES).movedim(-1, 1).float()
    label = _resampled(coded, grid_shape(stack, plan)).argmax(dim=1).to(torch.uint8).numpy()
    _, x, y = np.nonzero(label)
    centre = (float(x.mean()), float(y.mean())) if len(x) else (image.shape[1] / 2, image.shape[2] / 2)
    return Planned(image, label, np.asarray(label.any(axis=(1, 2))), centre)


def standardised(stack: Stack) -> NDArray[np.float32]:
    """By mean and SD over the middle of the field of view."""
    sizes = stack.image.shape[1:]
    half = [min(_MIDDLE_MM / 2 / mm, size / 2) for mm, size in zip(stack.spacing_mm, sizes, strict=False)]
    first = [int(size / 2 - h) for size, h in zip(sizes, half, strict=True)]
    last = [max(int(size / 2 + h), start + 1) for size, h, start in zip(sizes, half, first, strict=True)]
    middle = stack.image[:, first[0] : last[0], first[1] : last[1]]
    return np.asarray((stack.image - middle.mean()) / max(float(middle.std()), 1e-6), np.float32)


def grid_shape(stack: Stack, plan: Plan) -> tuple[int, int]:
    """Pixels of a slice on the plan's grid; the slice's own where its pixels are the plan's."""
    shape = stack.label.shape[1:]
    if all(abs(mm / plan.pixel_mm - 1) < _SAME for mm in stack.spacing_mm[:2]):
        return shape[0], shape[1]
    h, w = (max(1, round(n * mm / plan.pixel_mm)) for n, mm in zip(shape, stack.spacing_mm, strict=False))
    return h, w


def on_grid(image: Tensor, stack: Stack, plan: Plan) -> Tensor:
    """(n, nx, ny) of a stack -> (n, h, w) on the plan's grid."""
    return _resampled(image[:, None], grid_shape(stack, plan))[:, 0]


def _resampled(values: Tensor, shape: tuple[int, int]) -> Tensor:
    if values.shape[-2:] == shape:
        return values
    return F.interpolate(values, size=shape, mode="bilinear", align_corners=False, antialias=True)


def off_grid(logits: Tensor, stack: Stack) -> NDArray[np.uint8]:
    """(n, classes, h, w) on the plan's grid -> (n, nx, ny) labels on the scan's own."""
    shape = (stack.label.shape[1], stack.label.shape[2])
    return np.asarray(_resampled(logits, shape).argmax(dim=1).to(torch.uint8).numpy())


def with_errors(stack: Planned, share: float, rng: np.random.Generator) -> Planned:
    """Labels as of a reader in a hurry: in that share of the slices moved by up to four pixels, walls two too thick or
    too thin."""
    labels = stack.label.copy()
    for index in np.flatnonzero(stack.hearts & (rng.random(len(labels)) < share)):
        moved = np.roll(labels[index], tuple(rng.integers(-_ERROR_PX, _ERROR_PX + 1, 2)), axis=(0, 1))
        labels[index] = with_wall(moved, int(rng.choice((-_ERROR_WALL_PX, _ERROR_WALL_PX))))
    return replace(stack, label=labels)
