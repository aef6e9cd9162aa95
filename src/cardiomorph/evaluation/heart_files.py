"""Hearts to be judged, wherever they lie: a prepared cohort, a synthesis, or any folder in a known layout.

What can be read is read: a heart of one phase, of an unknown group or without images is still a heart, and what is
missing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from cardiomorph.anatomy import GROUPS, Phase
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.entry import Entry
from cardiomorph.data.heart_check import refusals
from cardiomorph.data.prepare import PreparationConfig, PreparedSubject, prepare_subject
from cardiomorph.data.sources import find_subjects
from cardiomorph.data.subject import LabelCodes, Subject
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import digest, read_json
from cardiomorph.volume import Volume

UNKNOWN_GROUP = "unknown"


@dataclass(frozen=True)
class LoadedHeart:
    """A heart as it lies on disk.

    Attributes:
        labels, images: (x, y, slice) by phase; a phase may be absent, and so may all images. Images in any units.
        parent: the healthy subject that a synthetic heart came from, where its provenance says so.
        problems: what could not be read, in words.
        prepared: the same heart as the cohort's slices; None where it has one phase only.
    """

    id: str
    group: str
    labels: Mapping[Phase, Volume]
    images: Mapping[Phase, Volume]
    height_cm: float | None
    weight_kg: float | None
    parent: str | None
    problems: tuple[str, ...]
    prepared: PreparedSubject | None


@dataclass(frozen=True)
class HeartFile:
    """A heart that was found but not yet read; can be sent to another process."""

    id: str
    files: tuple[Path, ...]
    load: Callable[[], LoadedHeart]

    def fingerprint(self) -> str:
        """Changes when one of its files does."""
        return "".join(digest(path)[:12] for path in self.files)


def cohort_hearts(cohort: Cohort, ids: list[str] | None = None) -> list[HeartFile]:
    """The hearts of a prepared cohort, all or some."""
    return [
        HeartFile(
            name, (cohort.folder / "subjects" / f"{name}.safetensors",), partial(_from_cohort, cohort.folder, name)
        )
        for name in (cohort.ids() if ids is None else ids)
    ]


def _from_cohort(folder: Path, name: str) -> LoadedHeart:
    prepared = Cohort(folder).load(name)
    labels = {phase: prepared.label_volume(phase) for phase in prepared.frames}
    images = {
        phase: labels[phase].with_array(np.moveaxis(frame.image, 0, -1))
        for phase, frame in prepared.frames.items()
        if frame.image is not None
    }
    return LoadedHeart(name, prepared.group, labels, images, prepared.height_cm, prepared.weight_kg, None, (), prepared)


def folder_hearts(folder: Path, grid: PreparationConfig, codes: LabelCodes | None = None) -> list[HeartFile]:
    """The hearts of a folder: a prepared cohort, or a data set in a known layout.

    Args:
        grid: how the cohort they are compared with was prepared.
        codes: translation of their label codes, instead of what their layout takes them for.

    Raises:
        CardiomorphError: no such folder, no known layout.
    """
    if (folder / "cohort.json").is_file():
        return cohort_hearts(Cohort(folder))
    return [HeartFile(e.id, e.files, partial(_from_entry, e, grid, codes)) for e in find_subjects(folder)[1]]


def _from_entry(entry: Entry, grid: PreparationConfig, codes: LabelCodes | None) -> LoadedHeart:
    """A heart that a generator made is judged even where it is none: why it is none stands among its problems."""
    subject = entry.load_readable(codes)
    problems = [*subject.problems, *refusals(subject, partial=codes is not None)]
    prepared = None
    if len(subject.frames) == 2:
        try:
            prepared = _prepared(subject, grid)
        except CardiomorphError as error:
            problems = [*problems, str(error)]
    return LoadedHeart(
        subject.id,
        subject.group if subject.group in GROUPS else UNKNOWN_GROUP,
        {phase: frame.label for phase, frame in subject.frames.items()},
        {phase: frame.image for phase, frame in subject.frames.items() if frame.image is not None},
        subject.height_cm,
        subject.weight_kg,
        _parent(entry),
        tuple(problems),
        prepared,
    )


def _parent(entry: Entry) -> str | None:
    path = entry.folder / "provenance.json"
    facts = read_json(path) if path.is_file() else None
    # Other tools may write a file of that name, too.
    return facts.get("parent") if isinstance(facts, dict) else None


def _prepared(subject: Subject, grid: PreparationConfig) -> PreparedSubject:
    """The subject as the cohort's slices. One that is on the cohort's grid already is neither turned nor resampled."""
    on_grid = all(
        frame.label.array.shape[:2] == (grid.size, grid.size)
        and np.allclose(frame.label.spacing_mm[:2], grid.spacing_mm, rtol=1e-3)
        for frame in subject.frames.values()
    )
    return prepare_subject(subject, grid.model_copy(update={"orientation": "grid"}) if on_grid else grid)
