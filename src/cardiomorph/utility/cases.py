"""Hearts as a segmentation network meets them: whole fields of view at native spacing, real and synthetic alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.data.fields import subjects_with_images
from cardiomorph.data.subject import Frame


@dataclass(frozen=True)
class Stack:
    """One phase of a heart, slices from base to apex.

    Attributes:
        image: (n, nx, ny) float32, as the scanner or the painter gave it.
        label: the same, uint8.
        spacing_mm: along x, y and the slices.
    """

    image: NDArray[np.float32]
    label: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True)
class Case:
    """One heart with both phases."""

    id: str
    group: str
    stacks: Mapping[Phase, Stack]

    @property
    def n_slices(self) -> int:
        return sum(len(stack.label) for stack in self.stacks.values())


def read_cases(folder: Path, names: Sequence[str] | None = None) -> dict[str, Case]:
    """Cases of a data set in a known layout, by name.

    Args:
        names: which; all where None.

    Raises:
        CardiomorphError: a subject that is not there, cannot be read, or has no image.
    """
    return {
        subject.id: Case(subject.id, subject.group, {phase: _stack(subject.frames[phase]) for phase in PHASES})
        for subject in subjects_with_images(folder, names)
    }


def _stack(frame: Frame) -> Stack:
    assert frame.image is not None, "it was read with images"
    image, label = (np.moveaxis(v.array, -1, 0) for v in (frame.image, frame.label))
    return Stack(np.ascontiguousarray(image, np.float32), np.ascontiguousarray(label, np.uint8), frame.label.spacing_mm)
