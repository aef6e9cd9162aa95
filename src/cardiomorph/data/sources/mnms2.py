"""M&Ms-2: a CSV by 'SUBJECT_CODE' beside ``001/001_SA_ED[_gt].nii.gz`` and ``_SA_ES`` (Martin-Isla et al., 2023).

Labels as in M&Ms (LV = 1, myocardium = 2, RV = 3). 'LV' and 'RV' name a dilated ventricle.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from cardiomorph.anatomy import PHASES, Group, Phase
from cardiomorph.data.entry import Entry
from cardiomorph.data.sources.clinical import ClinicalTable, body, refuse_faulty, table_with, visible, without_row
from cardiomorph.data.sources.images import stored
from cardiomorph.data.sources.mnms import CODES
from cardiomorph.data.subject import Frame, LabelCodes, Subject, checked_frame, checked_label
from cardiomorph.errors import CardiomorphError
from cardiomorph.volume import read_nifti

DISEASE_TO_GROUP: dict[str, Group] = {"NOR": "NOR", "LV": "DCM", "HCM": "HCM", "RV": "RV"}
_KEY = "SUBJECT_CODE"
EXPECTED = "M&Ms-2 (a CSV with 'SUBJECT_CODE', and *_SA_ED_gt.nii.gz)"


def recognises(folder: Path) -> bool:
    return table_with(folder, _KEY) is not None


def find(folder: Path) -> list[Entry]:
    table = table_with(folder, _KEY)
    assert table is not None, "find() is called on a folder that recognises() accepted"
    # Folders carry leading zeros (001), spreadsheets lose them (1).
    rows = table.by(_KEY, without="0")
    folders = sorted({path.parent for path in visible(folder.rglob("*_SA_E[DS]_gt.nii*"), folder)})
    return [
        Entry(
            child.name,
            child,
            tuple(visible(child.glob(f"{child.name}_SA_E[DS]*.nii*"), child)),
            partial(read, child, rows.get(child.name.lstrip("0") or child.name), table),
            table.path,
        )
        for child in folders
    ]


def read(folder: Path, row: Mapping[str, str] | None, table: ClinicalTable, codes: LabelCodes | None = None) -> Subject:
    """What can be read of one subject."""
    if row is None:
        return without_row(folder.name, table)
    try:
        refuse_faulty(row, folder.name, table.path)
    except CardiomorphError as error:
        return Subject(folder.name, "", {}, problems=(str(error),))
    size = body(row, ("HEIGHT", "Height"), ("WEIGHT", "Weight"))
    disease = row.get("DISEASE", "")
    frames: dict[Phase, Frame] = {}
    problems: list[str] = []
    for phase in PHASES:
        try:
            frames[phase] = _frame(folder, phase, codes or CODES)
        except CardiomorphError as error:
            problems.append(str(error))
    return Subject(
        id=folder.name,
        group=DISEASE_TO_GROUP.get(disease, disease),
        frames=frames,
        height_cm=size.height_cm,
        weight_kg=size.weight_kg,
        vendor=row.get("VENDOR"),
        doubts=size.doubts,
        problems=tuple(problems),
    )


def _frame(folder: Path, phase: Phase, codes: LabelCodes) -> Frame:
    stem = f"{folder.name}_SA_{phase}"
    label_path, image_path = stored(folder, f"{stem}_gt"), stored(folder, stem)
    if label_path is None:
        raise CardiomorphError("this file is missing", where=folder / f"{stem}_gt.nii.gz")
    label = checked_label(read_nifti(label_path), label_path, codes)
    return Frame(label) if image_path is None else checked_frame(label, read_nifti(image_path), image_path)
