"""A patient's whole image on the stage: turned as short-axis pictures are looked at, with the world's directions.

The way in which a scanner stored a stack must not mirror the heart on the screen. Of the eight ways to turn and mirror
slices in their plane that one is taken which keeps the body's handedness and brings the patient's left to the right and
the back, or the feet, to the bottom.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiomorph.volume import Volume

_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))
"""Of the directions in which world coordinates (RAS) fall and grow."""
_PART = 0.35
"""Share of a direction below which its letter is left out: an oblique axis has two or three."""


@dataclass(frozen=True)
class Turn:
    """How slices are turned in their plane: axes exchanged first, then reversed."""

    exchanged: bool
    reversed_x: bool
    reversed_y: bool

    def array(self, stack: NDArray[Any]) -> NDArray[Any]:
        """(x, y, slice) turned."""
        turned = np.swapaxes(stack, 0, 1) if self.exchanged else stack
        return turned[:: -1 if self.reversed_x else 1, :: -1 if self.reversed_y else 1]

    def axes(self, affine: NDArray[np.float64]) -> NDArray[np.float64]:
        """(3, 3) world directions of the turned stack's axes, columns of length 1."""
        columns = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        x, y = (columns[:, 1], columns[:, 0]) if self.exchanged else (columns[:, 0], columns[:, 1])
        return np.column_stack([-x if self.reversed_x else x, -y if self.reversed_y else y, columns[:, 2]])


@dataclass(frozen=True)
class Staged:
    """A volume as it goes to the screen.

    Attributes:
        array: (slice, x, y).
        spacing_mm: along x, y and slices.
        world: for x, y and slices, the world's direction at the first voxel's side and at the last one's.
    """

    array: NDArray[Any]
    spacing_mm: tuple[float, float, float]
    world: tuple[tuple[str, str], tuple[str, str], tuple[str, str]]


def turn_of(volume: Volume) -> Turn:
    """The way to look at a stack whose slices run from base to apex."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) if volume.affine is None else volume.affine

    def fit(turn: Turn) -> float:
        axes = turn.axes(affine)
        # Stored base first, slices that are not mirrored make a left-handed frame.
        mirrored = np.linalg.det(axes) > 0
        return float(-axes[0, 0] + max(-axes[1, 1], -axes[2, 1]) - 10.0 * mirrored)

    return max((Turn(*flags) for flags in product((False, True), repeat=3)), key=fit)


def staged(volume: Volume, turn: Turn) -> Staged:
    """The volume on the stage."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) if volume.affine is None else volume.affine
    axes = turn.axes(affine)
    x, y, z = volume.spacing_mm
    spacing = (y, x, z) if turn.exchanged else (x, y, z)
    ends = tuple((letters(-axes[:, axis]), letters(axes[:, axis])) for axis in range(3))
    array = np.ascontiguousarray(np.moveaxis(turn.array(volume.array), 2, 0))
    return Staged(array, spacing, (ends[0], ends[1], ends[2]))


def letters(direction: NDArray[np.float64]) -> str:
    """A world direction (RAS) in letters, the largest part first: L, RA, PSL."""
    parts = sorted(enumerate(direction.tolist()), key=lambda part: -abs(part[1]))
    return "".join(_LETTERS[axis][value > 0] for axis, value in parts if abs(value) > _PART)
