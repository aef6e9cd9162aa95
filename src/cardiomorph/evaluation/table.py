"""Measures of many hearts as one table: any labelled folder, prepared cohort or single file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cardiomorph.anatomy import PHASES
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.prepare import PreparedSubject
from cardiomorph.data.sources import find_subjects
from cardiomorph.data.subject import Subject, checked_label
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.function import MEASURE_COLUMNS, measure_heart
from cardiomorph.files import write_csv
from cardiomorph.progress import console, track
from cardiomorph.volume import read_nifti

Row = dict[str, Any]
TABLE_COLUMNS = ("subject", "group", *MEASURE_COLUMNS)


def subject_row(subject: Subject | PreparedSubject) -> Row:
    """One row of a measures table."""
    if isinstance(subject, PreparedSubject):
        labels = {phase: subject.label_volume(phase) for phase in PHASES}
    else:
        labels = {phase: subject.frames[phase].label for phase in PHASES}
    measures = measure_heart(labels, subject.height_cm, subject.weight_kg)
    return {"subject": subject.id, "group": subject.group, **measures}


def measure_folder(folder: Path) -> list[Row]:
    """Measures of a data set in a known layout, a prepared cohort, a synthesis, or one label NIfTI (as ED).

    Subjects that cannot be read are named on the terminal and left out.

    Raises:
        CardiomorphError: nothing there could be measured.
    """
    folder = Path(folder)
    if folder.is_file():
        label = checked_label(read_nifti(folder), folder)
        return [{"subject": folder.name.split(".")[0], "group": "", **measure_heart({"ED": label})}]
    rows = list(_folder_rows(folder))
    if not rows:
        raise CardiomorphError("no subject could be measured", where=folder)
    return rows


def _folder_rows(folder: Path) -> Iterator[Row]:
    loads: list[Callable[[], Subject | PreparedSubject]]
    if (folder / "cohort.json").is_file():
        cohort = Cohort(folder)
        loads = [partial(cohort.load, subject) for subject in cohort.ids()]
    else:
        loads = [entry.load for entry in find_subjects(folder)[1]]
    for load in track(loads, "measuring"):
        try:
            yield subject_row(load())
        except CardiomorphError as error:
            console.print(f"left out: {error}")


def write_measures(folder: Path, output: Path) -> list[Row]:
    """`measure_folder` into a CSV file; an empty cell is a measure that cannot be had."""
    rows = measure_folder(folder)
    write_csv(Path(output), rows, TABLE_COLUMNS)
    console.print(f"{len(rows)} hearts in {output}")
    return rows


def group_summary(rows: Sequence[Row], columns: Sequence[str] = MEASURE_COLUMNS) -> dict[str, Mapping[str, Any]]:
    """Mean, SD and number of every measure by group; measures that no heart has are left out."""
    summary: dict[str, Mapping[str, Any]] = {}
    for group in dict.fromkeys(row["group"] for row in rows):
        mine = [row for row in rows if row["group"] == group]
        summary[group] = {"n": len(mine)}
        for column in columns:
            values = [float(row[column]) for row in mine if row.get(column) is not None]
            if values:
                sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
                summary[group] = {
                    **summary[group],
                    column: {"mean": float(np.mean(values)), "sd": sd, "n": len(values)},
                }
    return summary
