"""M&Ms-2: a CSV by 'SUBJECT_CODE' beside ``001/001_SA_ED[_gt].nii.gz`` and ``_SA_ES`` (Martin-Isla et al., 2023).

Labels as in M&Ms (LV = 1, myocardium = 2, RV = 3). 'LV' and 'RV' name a dilated ventricle.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from cardiomorph.anatomy import PHASES, Group, Phase
from cardiomorph.data.sources.mnms import base_first, group_of, number, remapped, table_with
from cardiomorph.data.subject import Entry, Frame, Subject, checked_image
from cardiomorph.files import read_csv
from cardiomorph.volume import read_nifti

DISEASE_TO_GROUP: dict[str, Group] = {"NOR": "NOR", "LV": "DCM", "HCM": "HCM", "RV": "RV"}
_KEY = "SUBJECT_CODE"


def recognises(folder: Path) -> bool:
    return table_with(folder, _KEY) is not None


def find(folder: Path) -> list[Entry]:
    table = table_with(folder, _KEY)
    assert table is not None, "find() is called on a folder that recognises() accepted"
    # Folders carry leading zeros (001), spreadsheets lose them (1).
    rows = {row[_KEY].strip().lstrip("0"): row for row in read_csv(table) if row.get(_KEY)}
    folders = sorted({path.parent for path in folder.rglob("*_SA_ED_gt.nii.gz")})
    return [
        Entry(child.name, child, partial(load, child, rows[child.name.lstrip("0")], table))
        for child in folders
        if child.name.lstrip("0") in rows
    ]


def load(folder: Path, row: dict[str, str], table: Path) -> Subject:
    """Reads one subject. Raises `CardiomorphError` for unknown disease or bad files."""
    return Subject(
        id=folder.name,
        group=group_of(row.get("DISEASE", ""), DISEASE_TO_GROUP, table, folder.name),
        frames=base_first({phase: _frame(folder, phase) for phase in PHASES}),
        height_cm=number(row, "HEIGHT", "Height"),
        weight_kg=number(row, "WEIGHT", "Weight"),
        vendor=row.get("VENDOR"),
    )


def _frame(folder: Path, phase: Phase) -> Frame:
    image_path = folder / f"{folder.name}_SA_{phase}.nii.gz"
    label_path = folder / f"{folder.name}_SA_{phase}_gt.nii.gz"
    label = remapped(read_nifti(label_path), label_path)
    return Frame(label, checked_image(read_nifti(image_path), label, image_path))
