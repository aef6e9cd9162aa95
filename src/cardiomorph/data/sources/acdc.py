"""ACDC: ``patientXXX/Info.cfg`` with ``patientXXX_frameYY[_gt].nii.gz`` (Bernard et al., IEEE TMI 2018).

ED and ES are not always frames 1 and 12: Info.cfg says. Spacing stands in the header's zooms only.
The phantom and the synthetic hearts are written in this layout too, so they are read back here.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.data.subject import Codes, Entry, Frame, Subject, checked_group, checked_image, checked_label
from cardiomorph.errors import CardiomorphError
from cardiomorph.volume import read_nifti

_INFO = "Info.cfg"


def subject_folders(folder: Path) -> list[Path]:
    """Folders with an Info.cfg or frames. One without Info.cfg is listed too, so that it is reported, not lost."""
    if (folder / _INFO).is_file() or any(folder.glob("*_frame*_gt.nii.gz")):
        return [folder]
    return sorted(
        child
        for child in folder.iterdir()
        if child.is_dir()
        and not child.name.startswith(".")
        and ((child / _INFO).is_file() or any(child.glob("*_frame*.nii.gz")))
    )


def recognises(folder: Path) -> bool:
    return bool(subject_folders(folder))


def find(folder: Path) -> list[Entry]:
    return [Entry(child.name, child, partial(load, child)) for child in subject_folders(folder)]


def read_info(path: Path) -> dict[str, str]:
    """The ``key: value`` lines of an Info.cfg. Raises `CardiomorphError` where it is missing."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise CardiomorphError(
            "this file is missing", where=path, fix="It must name Group, ED and ES of the subject"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise CardiomorphError(f"cannot be read as text ({error})", where=path) from error
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, colon, value in pairs if colon}


def _required(info: dict[str, str], key: str, path: Path) -> str:
    if not info.get(key):
        raise CardiomorphError(f"the key {key!r} is missing", where=path, fix=f"Add a line '{key}: ...'")
    return info[key]


def _frame_number(info: dict[str, str], phase: Phase, path: Path) -> int:
    text = _required(info, phase, path)
    if not text.isdigit():
        raise CardiomorphError(f"{phase} is {text!r}; a frame number was expected", where=path)
    return int(text)


def _optional_number(info: dict[str, str], key: str) -> float | None:
    try:
        return float(info[key])
    except (KeyError, ValueError):
        return None


def load(folder: Path) -> Subject:
    """Reads one subject folder. Images may be absent (labels only); labels may not.

    Raises:
        CardiomorphError: naming the file, for anything missing, truncated, or not a heart.
    """
    path = folder / _INFO
    info = read_info(path)
    return Subject(
        id=folder.name,
        group=checked_group(_required(info, "Group", path), path),
        frames={phase: _frame(folder, _frame_number(info, phase, path), phase) for phase in PHASES},
        height_cm=_optional_number(info, "Height"),
        weight_kg=_optional_number(info, "Weight"),
        vendor=info.get("Vendor"),
    )


def load_partly(folder: Path, codes: Codes | None = None) -> tuple[Subject, list[str]]:
    """Reads what can be read of a subject folder: one phase is enough, and the group may be unknown ("").

    Args:
        codes: translation of the labels' codes.

    Returns:
        The subject, with the phases that could be read, and what kept the others out.
    """
    path = folder / _INFO
    try:
        info = read_info(path)
    except CardiomorphError as error:
        return Subject(folder.name, "", {}), [str(error)]  # type: ignore[arg-type]
    frames: dict[Phase, Frame] = {}
    problems: list[str] = []
    for phase in PHASES:
        try:
            frames[phase] = _frame(folder, _frame_number(info, phase, path), phase, codes)
        except CardiomorphError as error:
            problems.append(f"{phase}: {error}")
    subject = Subject(
        id=folder.name,
        group=info.get("Group", ""),  # type: ignore[arg-type]
        frames=frames,
        height_cm=_optional_number(info, "Height"),
        weight_kg=_optional_number(info, "Weight"),
        vendor=info.get("Vendor"),
    )
    return subject, problems


def _frame(folder: Path, number: int, phase: Phase, codes: Codes | None = None) -> Frame:
    image_path = folder / f"{folder.name}_frame{number:02d}.nii.gz"
    label_path = folder / f"{folder.name}_frame{number:02d}_gt.nii.gz"
    if not label_path.exists():
        raise CardiomorphError(f"Info.cfg names frame {number} as {phase}, but this file is missing", where=label_path)
    label = checked_label(read_nifti(label_path), label_path, codes)
    if not image_path.exists():
        return Frame(label)
    return Frame(label, checked_image(read_nifti(image_path), label, image_path))
