"""ACDC: ``patientXXX/Info.cfg`` with ``patientXXX_frameYY[_gt].nii.gz`` (Bernard et al., IEEE TMI 2018).

ED and ES are not always frames 1 and 12: Info.cfg says. Spacing stands in the header's zooms only. Uncompressed
``.nii`` files are read, too. The phantom and the synthetic hearts are written in this layout, and read back here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.data.entry import Entry
from cardiomorph.data.sources.clinical import body, checked_phases, frame_number, read_pairs, visible
from cardiomorph.data.sources.images import stored
from cardiomorph.data.subject import Frame, LabelCodes, Subject, checked_frame, checked_label
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import read_json, write_text
from cardiomorph.volume import Volume, read_nifti, write_nifti

_INFO = "Info.cfg"
EXPECTED = "ACDC (patient001/Info.cfg beside patient001_frame01_gt.nii.gz)"


def subject_folders(folder: Path) -> list[Path]:
    """Folders with an Info.cfg or frames. One without Info.cfg is listed too, so that it is reported, not lost."""
    if (folder / _INFO).is_file() or visible(folder.glob("*_frame*_gt.nii*"), folder):
        return [folder]
    return [
        child
        for child in visible(folder.iterdir(), folder)
        if child.is_dir() and ((child / _INFO).is_file() or visible(child.glob("*_frame*.nii*"), child))
    ]


def recognises(folder: Path) -> bool:
    return bool(subject_folders(folder))


def find(folder: Path) -> list[Entry]:
    return [
        Entry(child.name, child, _files(child), partial(read, child), child / _INFO)
        for child in subject_folders(folder)
    ]


def _files(folder: Path) -> tuple[Path, ...]:
    info = [folder / _INFO] if (folder / _INFO).is_file() else []
    return (*info, *visible(folder.glob("*_frame*.nii*"), folder))


def read(folder: Path, codes: LabelCodes | None = None) -> Subject:
    """What can be read of one subject folder. Images may be absent (labels only)."""
    path = folder / _INFO
    frames: dict[Phase, Frame] = {}
    try:
        info = read_pairs(path)
    except CardiomorphError as error:
        return Subject(folder.name, "", {}, problems=(str(error),))
    problems: list[str] = []
    numbers: dict[Phase, int] = {}
    for phase in PHASES:
        try:
            numbers[phase] = frame_number(_required(info, phase, path), phase, path, first=0)
            checked_phases(numbers, path, folder.name)
            frames[phase] = _frame(folder, numbers[phase], phase, codes)
        except CardiomorphError as error:
            problems.append(str(error))
    size = body(info, ("Height",), ("Weight",))
    return Subject(
        id=folder.name,
        group=info.get("Group", ""),
        frames=frames,
        height_cm=size.height_cm,
        weight_kg=size.weight_kg,
        vendor=info.get("Vendor"),
        synthetic=_says_synthetic(folder / "provenance.json"),
        doubts=size.doubts,
        problems=tuple(problems),
    )


def write(
    place: Path,
    name: str,
    group: str,
    labels: Mapping[Phase, Volume],
    images: Mapping[Phase, Volume],
    body: tuple[float | None, float | None] = (None, None),
    *,
    frames: tuple[int, int] = (1, 2),
    n_frames: int = 2,
) -> None:
    """Writes a subject's NIfTI files and Info.cfg as ACDC has them.

    Args:
        place: the subject's folder.
        labels, images: (x, y, slice) by phase; images may be absent.
        body: height in cm and weight in kg, as far as they are known.
        frames: the numbers of ED and ES among the ``n_frames`` of a cycle.
    """
    for phase, number in zip(PHASES, frames, strict=True):
        stem = f"{name}_frame{number:02d}"
        write_nifti(place / f"{stem}_gt.nii.gz", labels[phase])
        if phase in images:
            write_nifti(place / f"{stem}.nii.gz", images[phase])
    info = {"ED": frames[0], "ES": frames[1], "Group": group, "NbFrame": n_frames}
    info |= {key: value for key, value in zip(("Height", "Weight"), body, strict=True) if value}
    write_text(place / _INFO, "".join(f"{key}: {value}\n" for key, value in info.items()))


def _says_synthetic(provenance: Path) -> bool:
    """Whether there is a provenance.json that says so. Other tools may write a file of that name, too."""
    if not provenance.is_file():
        return False
    try:
        facts = read_json(provenance)
    except CardiomorphError:
        return False
    return isinstance(facts, dict) and facts.get("synthetic") is True


def _required(info: dict[str, str], key: str, path: Path) -> str:
    if not info.get(key):
        raise CardiomorphError(f"the key {key!r} is missing", where=path, fix=f"Add a line '{key}: ...'")
    return info[key]


def _frame(folder: Path, number: int, phase: Phase, codes: LabelCodes | None) -> Frame:
    stem = f"{folder.name}_frame{number:02d}"
    label_path = stored(folder, f"{stem}_gt")
    if label_path is None:
        raise CardiomorphError(
            f"Info.cfg names frame {number} as {phase}, but this file is missing", where=folder / f"{stem}_gt.nii.gz"
        )
    label = checked_label(read_nifti(label_path), label_path, codes)
    image_path = stored(folder, stem)
    return Frame(label) if image_path is None else checked_frame(label, read_nifti(image_path), image_path)
