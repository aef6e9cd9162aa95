"""M&Ms: a CSV by 'External code' beside 4D ``CODE/CODE_sa[_gt].nii.gz`` (Campello et al., IEEE TMI 2021).

Labels are LV = 1, myocardium = 2, RV = 3 and are remapped; ED and ES are frame indices counted from 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from cardiomorph.anatomy import PHASES, Group, Label, Phase
from cardiomorph.data.subject import Entry, Frame, Subject, checked_image, checked_label
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import read_csv
from cardiomorph.volume import Volume, read_nifti

CODE_TO_LABEL = np.array([Label.BACKGROUND, Label.LV, Label.MYOCARDIUM, Label.RV], np.uint8)
PATHOLOGY_TO_GROUP: dict[str, Group] = {"NOR": "NOR", "DCM": "DCM", "HCM": "HCM", "ARV": "RV", "MINF": "MINF"}
_KEY = "External code"


def table_with(folder: Path, column: str) -> Path | None:
    """The first CSV in ``folder`` or its parent whose header names ``column``."""
    for candidate in (*sorted(folder.glob("*.csv")), *sorted(folder.resolve().parent.glob("*.csv"))):
        try:
            with candidate.open(encoding="utf-8-sig") as stream:
                header = stream.readline()
        except (OSError, UnicodeDecodeError):
            continue
        if column in [name.strip().strip('"') for name in header.split(",")]:
            return candidate
    return None


def recognises(folder: Path) -> bool:
    return table_with(folder, _KEY) is not None


def find(folder: Path) -> list[Entry]:
    table = table_with(folder, _KEY)
    assert table is not None, "find() is called on a folder that recognises() accepted"
    rows = {row[_KEY].strip(): row for row in read_csv(table) if row.get(_KEY)}
    folders = {path.parent.name: path.parent for path in sorted(folder.rglob("*_sa_gt.nii.gz"))}
    return [
        Entry(code, folders[code], partial(load, folders[code], rows[code], table))
        for code in sorted(rows)
        if code in folders
    ]


def group_of(pathology: str, known: dict[str, Group], table: Path, code: str) -> Group:
    """The project's group of a data set's pathology. Raises `CardiomorphError` for one that is none of the five."""
    if pathology not in known:
        raise CardiomorphError(
            f"{code} has the pathology {pathology!r}, which is none of the five groups",
            where=table,
            fix=f"Known here are {', '.join(known)}; --skip-bad leaves the others out",
        )
    return known[pathology]


def remapped(label: Volume, where: Path) -> Volume:
    """A label volume in this project's codes. Raises `CardiomorphError` for codes outside 0..3."""
    array = label.array
    if not np.isin(array, np.arange(len(CODE_TO_LABEL))).all():
        return checked_label(label, where)  # raises, naming the codes
    return checked_label(label.with_array(CODE_TO_LABEL[array.astype(np.intp)]), where)


def base_first(frames: Mapping[Phase, Frame]) -> dict[Phase, Frame]:
    """Both phases with slices from base to apex: the end with the larger heart, over both, comes first."""
    if sum(_basal_excess(frame.label) for frame in frames.values()) >= 0:
        return dict(frames)
    return {phase: _turned(frame) for phase, frame in frames.items()}


def _basal_excess(label: Volume) -> float:
    """Labelled voxels in the first half of the labelled slices, less those in the last half."""
    area = (label.array > 0).sum(axis=(0, 1)).astype(float)
    area = area[area > 0]
    half = len(area) // 2
    return float(area[:half].sum() - area[-half:].sum())


def _turned(frame: Frame) -> Frame:
    label = frame.label.with_array(frame.label.array[:, :, ::-1])
    return Frame(label, frame.image.with_array(frame.image.array[:, :, ::-1]) if frame.image else None)


def number(row: dict[str, str], *columns: str) -> float | None:
    """The first of ``columns`` that holds a number."""
    for column in columns:
        try:
            return float(row[column])
        except (KeyError, TypeError, ValueError):
            continue
    return None


def load(folder: Path, row: dict[str, str], table: Path) -> Subject:
    """Reads one subject. Raises `CardiomorphError` for missing frames, unknown pathology or bad files."""
    code = folder.name
    return Subject(
        id=code,
        group=group_of(row.get("Pathology", ""), PATHOLOGY_TO_GROUP, table, code),
        frames=base_first({phase: _frame(folder, row, phase, table) for phase in PHASES}),
        height_cm=number(row, "Height"),
        weight_kg=number(row, "Weight"),
        vendor=row.get("VendorName") or row.get("Vendor"),
    )


def _frame(folder: Path, row: dict[str, str], phase: Phase, table: Path) -> Frame:
    index = number(row, phase)
    if index is None:
        raise CardiomorphError(f"{folder.name} has no frame number in the column {phase!r}", where=table)
    image_path = folder / f"{folder.name}_sa.nii.gz"
    label_path = folder / f"{folder.name}_sa_gt.nii.gz"
    label = remapped(read_nifti(label_path, int(index)), label_path)
    return Frame(label, checked_image(read_nifti(image_path, int(index)), label, image_path))
