"""Hearts as a segmentation network meets them: whole fields of view at native spacing, real and synthetic alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.data.sources import find_subjects
from cardiomorph.errors import CardiomorphError
from cardiomorph.progress import track


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


def read_cases(folder: Path, names: Collection[str] | None = None) -> dict[str, Case]:
    """Cases of a data set in a known layout, by name.

    Args:
        names: which; all where None.

    Raises:
        CardiomorphError: a subject that is not there, cannot be read, or has no image.
    """
    entries = {entry.id: entry for entry in find_subjects(Path(folder))[1]}
    lacking = sorted(set(names or ()) - entries.keys())
    if lacking:
        raise CardiomorphError(
            f"has no subject {lacking[0]!r}, which is in the cohort",
            where=folder,
            fix="Give the data set that the cohort was prepared from",
        )
    wanted = sorted(entries if names is None else names)
    found = {}
    for name in track(wanted, f"reading {Path(folder).name}", len(wanted)):
        subject = entries[name].load()
        stacks: dict[Phase, Stack] = {}
        for phase in PHASES:
            frame = subject.frames[phase]
            if frame.image is None:
                raise CardiomorphError(f"{name} has no image to train on", where=entries[name].folder)
            image, label = (np.moveaxis(v.array, -1, 0) for v in (frame.image, frame.label))
            stacks[phase] = Stack(
                np.ascontiguousarray(image, np.float32), np.ascontiguousarray(label, np.uint8), frame.label.spacing_mm
            )
        found[name] = Case(name, subject.group, stacks)
    return found
