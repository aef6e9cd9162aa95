"""nnU-Net's layout: ``labelsTr/CASE.nii.gz`` with ``imagesTr/CASE_0000.nii.gz`` (Isensee et al., Nat Methods 2021).

A case is one phase of a subject: ``NAME_ED`` and ``NAME_ES``, or ``NAME_frame01`` and ``NAME_frame12``, of which the
one with the larger LV cavity is ED. Groups stand in ``subjects.csv`` beside (columns subject and group), which
`cardiomorph export` writes; nnU-Net itself knows of none.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from cardiomorph.anatomy import PHASES, Label, Phase
from cardiomorph.data.subject import Codes, Entry, Frame, Subject, checked_group, checked_image, checked_label
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import read_csv
from cardiomorph.volume import read_nifti

SUBJECTS = "subjects.csv"
_CASE = re.compile(r"(?P<subject>.+)_(?P<frame>ED|ES|frame\d+)\.nii\.gz")


def recognises(folder: Path) -> bool:
    return any(folder.glob("labelsTr/*.nii.gz"))


def cases(folder: Path) -> dict[str, dict[str, Path]]:
    """Label files by subject and frame. A file that names no frame is a subject of one frame."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.glob("labelsTr/*.nii.gz")):
        match = _CASE.fullmatch(path.name)
        subject, frame = match.group("subject", "frame") if match else (path.name.removesuffix(".nii.gz"), "ED")
        found.setdefault(subject, {})[frame] = path
    return found


def find(folder: Path) -> list[Entry]:
    return [Entry(name, folder, partial(load, folder, name)) for name in cases(folder)]


def _groups(folder: Path) -> dict[str, str]:
    path = folder / SUBJECTS
    return {row.get("subject", ""): row.get("group", "") for row in read_csv(path)} if path.is_file() else {}


def load(folder: Path, name: str) -> Subject:
    """Reads one subject whole.

    Raises:
        CardiomorphError: naming the file, for a missing phase or group, or anything that is not a heart.
    """
    subject, problems = load_partly(folder, name)
    if problems:
        raise CardiomorphError(problems[0], where=folder / "labelsTr")
    checked_group(subject.group, folder / SUBJECTS)
    return subject


def load_partly(folder: Path, name: str, codes: Codes | None = None) -> tuple[Subject, list[str]]:
    """Reads what can be read of a subject: one phase is enough, and the group may be unknown ("").

    Returns:
        The subject, with the phases that could be read, and what kept the others out.
    """
    frames: dict[str, Frame] = {}
    problems: list[str] = []
    for frame, path in cases(folder)[name].items():
        try:
            frames[frame] = _frame(folder, path, codes)
        except CardiomorphError as error:
            problems.append(f"{name}_{frame}: {error}")
    phases = _phases(frames)
    missing = [phase for phase in PHASES if phase not in phases]
    if missing and not problems:
        problems.append(f"{name}: no {' and no '.join(missing)} among its cases ({', '.join(frames)})")
    return Subject(name, _groups(folder).get(name, ""), phases), problems  # type: ignore[arg-type]


def _phases(frames: dict[str, Frame]) -> dict[Phase, Frame]:
    """Frames by phase: as named, or the fuller of two LV cavities first."""
    named: dict[Phase, Frame] = {phase: frames[phase] for phase in PHASES if phase in frames}
    if named:
        return named
    fullest = sorted(frames.values(), key=lambda frame: -int((frame.label.array == Label.LV).sum()))
    return dict(zip(PHASES, (fullest[0], fullest[-1]) if len(fullest) > 1 else fullest, strict=False))


def _frame(folder: Path, path: Path, codes: Codes | None) -> Frame:
    label = checked_label(read_nifti(path), path, codes)
    image_path = folder / "imagesTr" / f"{path.name.removesuffix('.nii.gz')}_0000.nii.gz"
    if not image_path.exists():
        return Frame(label)
    return Frame(label, checked_image(read_nifti(image_path), label, image_path))
