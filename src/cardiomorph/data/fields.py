"""Whole fields of view as training data: every slice as the scanner stored it, and where its heart lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import GROUPS, PHASES, Group
from cardiomorph.data.phantom import make_subject
from cardiomorph.data.sources import find_subjects
from cardiomorph.data.subject import Frame, Subject
from cardiomorph.errors import CardiomorphError
from cardiomorph.progress import track


@dataclass(frozen=True)
class FieldStack:
    """One phase of one subject.

    Attributes:
        image: (n_slices, nx, ny) float32.
        label: the same, uint8.
        pixel_mm: pixel spacing along x and y.
        heart_px: the labels' centre in the slices, in voxels.
    """

    image: NDArray[np.float32]
    label: NDArray[np.uint8]
    pixel_mm: tuple[float, float]
    heart_px: tuple[float, float]


def field_stack(frame: Frame) -> FieldStack:
    """A phase with its image, slices first."""
    assert frame.image is not None, "whoever asks has looked"
    label = np.ascontiguousarray(np.moveaxis(frame.label.array, -1, 0))
    image = np.ascontiguousarray(np.moveaxis(frame.image.array, -1, 0), dtype=np.float32)
    _, x, y = np.nonzero(label)
    return FieldStack(image, label, frame.label.spacing_mm[:2], (float(x.mean()), float(y.mean())))


def read_fields(scans: Path, subjects: Sequence[str]) -> dict[str, list[FieldStack]]:
    """Both phases of chosen subjects of a data set.

    Args:
        scans: a data set in a known layout.
        subjects: their names.

    Raises:
        CardiomorphError: a subject that is not there, cannot be read, or has no images.
    """
    return {
        subject.id: [field_stack(frame) for frame in subject.frames.values()]
        for subject in subjects_with_images(scans, subjects)
    }


def subjects_with_images(scans: Path, names: Sequence[str] | None = None) -> Iterator[Subject]:
    """Whole subjects of a data set in a known layout, each with its images.

    Args:
        names: which, in this order; all where None.

    Raises:
        CardiomorphError: a subject that is not there, cannot be read, or has no images.
    """
    entries = {entry.id: entry for entry in find_subjects(Path(scans))[1]}
    wanted = list(entries) if names is None else list(names)
    lacking = [name for name in wanted if name not in entries]
    if lacking:
        raise CardiomorphError(
            f"has no subject {lacking[0]!r}, which is in the cohort",
            where=scans,
            fix="Give the data set that the cohort was prepared from",
        )
    for name in track(wanted, f"reading {Path(scans).name}", len(wanted)):
        subject = entries[name].load()
        if any(frame.image is None for frame in subject.frames.values()):
            raise CardiomorphError(f"{name} has no images", where=entries[name].folder)
        yield subject


def phantom_fields(per_group: int, seed: int) -> list[FieldStack]:
    """Phantom hearts in whole chests, both phases, so many of each group."""
    groups: tuple[Group, ...] = GROUPS
    plan = list(product(groups, range(per_group)))
    stacks = []
    for group, number in track(plan, "phantom chests", len(plan)):
        made = make_subject(group, np.random.default_rng([seed, groups.index(group), number]), field="chest")
        stacks += [field_stack(Frame(made.labels[phase], made.images[phase])) for phase in PHASES]
    return stacks
