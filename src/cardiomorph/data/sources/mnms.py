"""M&Ms: a CSV by 'External code' beside 4D ``CODE/CODE_sa[_gt].nii.gz`` (Campello et al., IEEE TMI 2021).

Labels are LV = 1, myocardium = 2, RV = 3 and are remapped; ED and ES are frame indices counted from 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from cardiomorph.anatomy import PHASES, Group, Label, Phase
from cardiomorph.data.entry import Entry
from cardiomorph.data.sources.clinical import (
    ClinicalTable,
    body,
    checked_phases,
    frame_number,
    refuse_faulty,
    table_with,
    visible,
    without_row,
)
from cardiomorph.data.sources.images import stored
from cardiomorph.data.subject import Frame, LabelCodes, Subject, checked_frame, checked_label
from cardiomorph.errors import CardiomorphError
from cardiomorph.volume import read_frames

CODES: LabelCodes = {1: Label.LV, 2: Label.MYOCARDIUM, 3: Label.RV}
PATHOLOGY_TO_GROUP: dict[str, Group] = {"NOR": "NOR", "DCM": "DCM", "HCM": "HCM", "ARV": "RV", "MINF": "MINF"}
_KEY = "External code"
EXPECTED = "M&Ms (a CSV with 'External code', and *_sa_gt.nii.gz)"


def recognises(folder: Path) -> bool:
    return table_with(folder, _KEY) is not None


def find(folder: Path) -> list[Entry]:
    table = table_with(folder, _KEY)
    assert table is not None, "find() is called on a folder that recognises() accepted"
    rows = table.by(_KEY)
    folders: dict[str, list[Path]] = {}
    for path in visible(folder.rglob("*_sa_gt.nii*"), folder):
        folders.setdefault(path.parent.name, []).append(path.parent)
    return [
        Entry(
            code,
            places[0],
            tuple(visible(places[0].glob(f"{code}_sa*.nii*"), places[0])),
            partial(read, tuple(dict.fromkeys(places)), rows.get(code), table),
            table.path,
        )
        for code, places in sorted(folders.items())
    ]


def read(
    folders: tuple[Path, ...], row: Mapping[str, str] | None, table: ClinicalTable, codes: LabelCodes | None = None
) -> Subject:
    """What can be read of one subject."""
    code, folder = folders[0].name, folders[0]
    if row is None:
        return without_row(code, table)
    size = body(row, ("Height",), ("Weight",))
    try:
        refuse_faulty(row, code, table.path)
        if len(folders) > 1:
            raise CardiomorphError(f"{code} is in two folders, here and in {folders[1]}", where=folder)
        frames = _frames(folder, row, table.path, codes or CODES)
    except CardiomorphError as error:
        return Subject(code, "", {}, problems=(str(error),))
    pathology = row.get("Pathology", "")
    return Subject(
        id=code,
        group=PATHOLOGY_TO_GROUP.get(pathology, pathology),
        frames=frames,
        height_cm=size.height_cm,
        weight_kg=size.weight_kg,
        vendor=row.get("VendorName") or row.get("Vendor"),
        doubts=size.doubts,
    )


def _frames(folder: Path, row: Mapping[str, str], table: Path, codes: LabelCodes) -> dict[Phase, Frame]:
    numbers = {phase: _number(row, phase, table, folder.name) for phase in PHASES}
    checked_phases(numbers, table, folder.name)
    label_path = stored(folder, f"{folder.name}_sa_gt")
    image_path = stored(folder, f"{folder.name}_sa")
    if label_path is None:
        raise CardiomorphError("this file is missing", where=folder / f"{folder.name}_sa_gt.nii.gz")
    wanted = list(numbers.values())
    labels = [checked_label(label, label_path, codes) for label in read_frames(label_path, wanted)]
    if image_path is None:
        return {phase: Frame(label) for phase, label in zip(numbers, labels, strict=True)}
    images = read_frames(image_path, wanted)
    if images[0].of_frames != labels[0].of_frames:
        raise CardiomorphError(
            f"has {images[0].of_frames} frames, its label {labels[0].of_frames}; they must agree", where=image_path
        )
    return {
        phase: checked_frame(label, image, image_path)
        for phase, label, image in zip(numbers, labels, images, strict=True)
    }


def _number(row: Mapping[str, str], phase: Phase, table: Path, code: str) -> int:
    text = row.get(phase, "")
    if not text or text.lower() == "nan":
        raise CardiomorphError(f"{code} has no frame number in the column {phase!r}", where=table)
    return frame_number(text, f"{code}'s {phase}", table, first=0)
