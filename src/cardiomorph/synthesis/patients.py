"""One's own patients as parents: any folder or file in a known layout, in the latent space of any atlas.

No second patient, no training and no diseased subject is needed. A patient whom the models do not know, because of the
scanner, the size or wrong labels, is told: the shape model rebuilds that heart badly, or its codes lie where no healthy
heart of the atlas does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cardiomorph.anatomy import HEALTHY, PHASES, Phase
from cardiomorph.checks import checked_name, is_name
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.cohort_preparation import doubt_lines, grouped
from cardiomorph.data.entry import Entry
from cardiomorph.data.heart_file import heart_file, label_ending
from cardiomorph.data.label_codes import parsed_codes
from cardiomorph.data.prepare import PreparationConfig, PreparedSubject, prepare_subject
from cardiomorph.data.sources import find_subjects
from cardiomorph.data.subject import Frame
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.reconstruction import reconstruction_report
from cardiomorph.latent.atlas import Atlas, Parent
from cardiomorph.latent.options import ALL, VIRTUAL
from cardiomorph.latent.samplers.draw import share_out_of_bounds
from cardiomorph.latent.trajectory import encode_subject
from cardiomorph.latent.virtual import virtual_number
from cardiomorph.models.threads import threads
from cardiomorph.progress import track
from cardiomorph.synthesis.parents import appearance_of, as_parent
from cardiomorph.synthesis.patient_options import PatientOptions

_log = logging.getLogger(__name__)

OWN = "own"
"""The split of a parent of whom the atlas knows nothing."""
_FAR_DICE, _FAR_SHARE = 0.10, 0.25


@dataclass(frozen=True)
class Patient:
    """A patient ready to be morphed.

    Attributes:
        dice: mean Dice of the labels and what the shape model makes of them, slice by slice, at severity 0.
        usual_dice: the same of the atlas's own held-out hearts.
        outside: share of the codes outside the range of the atlas's healthy hearts.
    """

    parent: Parent
    group: str
    dice: float
    usual_dice: float | None
    outside: float

    @property
    def is_far(self) -> bool:
        """Whether the models hardly know such a heart."""
        worse = self.usual_dice is not None and self.dice < self.usual_dice - _FAR_DICE
        return worse or self.outside > _FAR_SHARE

    def __str__(self) -> str:
        usual = "" if self.usual_dice is None else f" (the atlas's held-out hearts: {self.usual_dice:.3f})"
        return (
            f"{self.parent.id}: the shape model rebuilds the heart with a Dice of {self.dice:.3f}{usual}; "
            f"{self.outside:.0%} of its codes lie outside the range of the atlas's healthy hearts"
        )


def patients_at(path: Path, atlas: Atlas, options: PatientOptions | None = None) -> list[Patient]:
    """The patients of a folder or file.

    A folder is one patient or a data set in a known layout, or a prepared cohort; a file is a label map, see
    `data.heart_file`. One patient is taken whatever the group; of several the healthy ones, unless ``any_group``.

    Raises:
        CardiomorphError: nothing that can be read there, no heart, a heart without ES, no healthy one, or one below
            ``min_overlap``.
    """
    options = options or PatientOptions()
    try:
        found = [_known(read, atlas) for read in _prepared(Path(path), atlas, options)]
    except CardiomorphError as error:
        if _has_labels(Path(path)):
            raise
        hint = "a scan without labels gets them with 'cardiomorph segment SCAN -o LABELLED'"
        raise CardiomorphError(
            error.what, where=error.where, fix=f"{error.fix}; {hint}" if error.fix else hint
        ) from error
    for patient in found:
        if options.min_overlap is not None and patient.dice < options.min_overlap:
            raise CardiomorphError(
                f"{patient}; at least {options.min_overlap:g} was asked for with --min-overlap", where=path
            )
        (_log.warning if patient.is_far else _log.info)(str(patient) + (": far from what they know" * patient.is_far))
        if patient.group not in ("", HEALTHY):
            _log.warning(f"{patient.parent.id} is of the group {patient.group}; morphed as if it were healthy")
    return found


def _has_labels(path: Path) -> bool:
    """Whether there is anything that is named like labels, or nothing at all."""
    if not path.exists() or (path / "cohort.json").is_file():
        return True
    names = [path] if path.is_file() else [*path.glob("*.nii*"), *path.glob("*/*.nii*"), *path.glob("*/*/*.nii*")]
    return not names or any(label_ending(name) or name.parent.name == "labelsTr" for name in names)


@dataclass(frozen=True)
class _Read:
    """A patient as the networks take one, and as the scanner gave it; a cohort keeps no scans."""

    subject: PreparedSubject
    group: str
    scan: Mapping[Phase, Frame] | None


def _prepared(path: Path, atlas: Atlas, options: PatientOptions) -> Iterator[_Read]:
    if path.is_dir() and (path / "cohort.json").is_file():
        yield from _from_cohort(path, atlas, options)
        return
    config = _config(atlas)
    entries = _entries(path, options)
    doubts: list[tuple[str, tuple[str, ...]]] = []
    chosen = 0
    for entry in track(entries, "patients", len(entries)):
        subject = entry.load_present(parsed_codes(options.labels))
        if len(entries) > 1 and not options.any_group and subject.group != HEALTHY:
            continue
        chosen += 1
        missing = [phase for phase in PHASES if phase not in subject.frames]
        if missing:
            raise CardiomorphError(
                f"{subject.id} has no {' and no '.join(missing)}: a heart is morphed in both phases",
                where=entry.folder,
                fix="Give a folder that holds both, or a label file with a time axis, with --ed and --es",
            )
        doubts.append((subject.id, subject.doubts))
        yield _Read(prepare_subject(subject, config), subject.group, subject.frames)
    for line in doubt_lines(grouped(doubts)):
        _log.warning(line)
    if not chosen:
        raise CardiomorphError(f"none of its {len(entries)} subjects is healthy ({HEALTHY})", where=path, fix=_ANY)


_ANY = "--any-group takes the others, too"


def _entries(path: Path, options: PatientOptions) -> list[Entry]:
    if path.is_dir():
        return find_subjects(path)[1]
    if not path.is_file():
        raise CardiomorphError("is neither a folder nor a file", where=path)
    entry = heart_file(path, options.scan, numbers={"ED": options.ed, "ES": options.es})
    checked_name(entry.id, path)
    return [entry]


def _config(atlas: Atlas) -> PreparationConfig:
    """Crops as the atlas's models have them."""
    size = atlas.shape_model.config.size
    typical = atlas.surroundings
    return PreparationConfig(size=size, **({"spacing_mm": typical.spacing_mm} if typical else {}))


def _from_cohort(path: Path, atlas: Atlas, options: PatientOptions) -> Iterator[_Read]:
    cohort = Cohort(path)
    config = _config(atlas)
    if (cohort.config.size, cohort.config.spacing_mm) != (config.size, config.spacing_mm):
        raise CardiomorphError(
            f"has crops of {cohort.config.size} pixels of {cohort.config.spacing_mm:g} mm, the atlas was made with "
            f"{config.size} of {config.spacing_mm:g}",
            where=path,
        )
    names = cohort.ids() if options.any_group else cohort.ids(group=HEALTHY)
    if not names:
        raise CardiomorphError(f"has no healthy subject ({HEALTHY})", where=path, fix=_ANY)
    for name in track(names, "patients", len(names)):
        subject = cohort.load(name)
        yield _Read(subject, subject.group, None)


def _known(read: _Read, atlas: Atlas) -> Patient:
    """The subject in latent space. One thread, so that its codes are the same on every machine."""
    subject = read.subject
    with threads(1):
        trajectory = encode_subject(atlas.shape_model, subject)
        with_image = atlas.has_images and all(frame.image is not None for frame in subject.frames.values())
        look = appearance_of(subject, atlas.image_model) if with_image else None
        rebuilt = reconstruction_report(atlas.shape_model, [subject])
    if atlas.has_images and look is None:
        _log.warning(f"{subject.id} has no image to take an appearance from: labels only")
    usual = atlas.description.get("diagnostics") and atlas.diagnostics.reconstruction.get("dice", {}).get("mean")
    parent = replace(as_parent(subject, trajectory, OWN, look), scan=read.scan)
    return Patient(
        parent=parent,
        group=read.group,
        dice=float(rebuilt["dice"]["mean"]),
        usual_dice=float(usual) if usual else None,
        outside=share_out_of_bounds(trajectory, atlas.group(HEALTHY)),
    )


def adopt_patients(sources: tuple[str, ...], atlas: Atlas, options: PatientOptions | None = None) -> tuple[str, ...]:
    """Lets the atlas morph the patients that sources name as folders or files.

    Args:
        sources: names of the atlas's parents, and paths; a name that the atlas knows is no path.

    Returns:
        Names only.

    Raises:
        CardiomorphError: as `patients_at`; two patients of one name.
    """
    names: list[str] = []
    for source in sources:
        if not is_path(source, atlas):
            names.append(source)
            continue
        patients = patients_at(Path(source).expanduser(), atlas, options)
        atlas.adopt({patient.parent.id: patient.parent for patient in patients})
        names += [patient.parent.id for patient in patients]
    return tuple(dict.fromkeys(names))


def is_path(source: str, atlas: Atlas) -> bool:
    """Whether a source is a folder or file, and not the name of one of the atlas's parents."""
    known = source in atlas.parents or source in (ALL, VIRTUAL) or virtual_number(source) is not None
    return not known and (not is_name(source) or Path(source).exists())
