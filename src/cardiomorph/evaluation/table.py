"""Measures of many hearts as one table: any labelled folder, prepared cohort or single file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from cardiomorph.data.cohort import Cohort
from cardiomorph.data.cohort_preparation import doubt_lines, grouped
from cardiomorph.data.heart_file import heart_file
from cardiomorph.data.prepare import PreparedSubject
from cardiomorph.data.sources import find_subjects
from cardiomorph.data.subject import LabelCodes, Subject
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.function import MEASURE_COLUMNS, measure_heart
from cardiomorph.files import write_csv
from cardiomorph.progress import track

_log = logging.getLogger(__name__)

Loaded = TypeVar("Loaded", Subject, PreparedSubject)
Row = dict[str, Any]
TABLE_COLUMNS = ("subject", "group", *MEASURE_COLUMNS)


def subject_row(subject: Subject | PreparedSubject, *, partial: bool = False) -> Row:
    """One row of a measures table; ``partial`` as in `measure_heart`."""
    if isinstance(subject, PreparedSubject):
        labels = {phase: subject.label_volume(phase) for phase in subject.frames}
    else:
        labels = {phase: frame.label for phase, frame in subject.frames.items()}
    measures = measure_heart(labels, subject.height_cm, subject.weight_kg, partial=partial)
    return {"subject": subject.id, "group": subject.group, **measures}


def measure_folder(folder: Path, codes: LabelCodes | None = None) -> list[Row]:
    """Measures of a data set in a known layout, a prepared cohort, a synthesis, or one label NIfTI (as ED).

    A heart may have one phase only and an unknown group. What cannot be read or is no heart is named on the terminal
    and left out; what is doubted is named and measured.

    Args:
        codes: what the label codes mean, theirs -> ours, instead of what the layout takes them for. With it hearts may
            be without some structures, and measures of these are empty.

    Raises:
        CardiomorphError: nothing there could be measured; ``codes`` for a prepared cohort.
    """
    folder = Path(folder)
    if folder.is_file():
        subject = _single(folder, codes)
        _say_doubts([(subject.id, subject.doubts)])
        return [subject_row(subject, partial=codes is not None)]
    rows = _cohort_rows(folder, codes) if (folder / "cohort.json").is_file() else _source_rows(folder, codes)
    if not rows:
        raise CardiomorphError("no subject could be measured", where=folder)
    return rows


def _single(path: Path, codes: LabelCodes | None) -> Subject:
    """A label file, without the image that may lie beside it."""
    return heart_file(path, alone=True).load_present(codes)


def _cohort_rows(folder: Path, codes: LabelCodes | None) -> list[Row]:
    if codes:
        raise CardiomorphError("is a prepared cohort: its labels have our codes", where=folder, fix="Omit --labels")
    cohort = Cohort(folder)
    return [subject_row(subject) for subject in _loaded([partial(cohort.load, name) for name in cohort.ids()])]


def _source_rows(folder: Path, codes: LabelCodes | None) -> list[Row]:
    loads = [partial(entry.load_present, codes) for entry in find_subjects(folder)[1]]
    rows: list[Row] = []
    said: list[tuple[str, Sequence[str]]] = []
    for subject in _loaded(loads):
        rows.append(subject_row(subject, partial=codes is not None))
        said.append((subject.id, subject.doubts))
    _say_doubts(said)
    return rows


def _loaded(loads: Sequence[Callable[[], Loaded]]) -> Iterator[Loaded]:
    """The subjects that can be read; the others are named."""
    for load in track(loads, "measuring"):
        try:
            yield load()
        except CardiomorphError as error:
            _log.warning(f"left out: {error}")


def _say_doubts(doubts: Sequence[tuple[str, Sequence[str]]]) -> None:
    for line in doubt_lines(grouped(doubts)):
        _log.warning(line)


def write_measures(folder: Path, output: Path, codes: LabelCodes | None = None) -> list[Row]:
    """`measure_folder` into a CSV file; an empty cell is a measure that cannot be had."""
    if Path(output).exists() and Path(output).suffix.lower() != ".csv":
        raise CardiomorphError("exists and is no CSV file", where=output, fix="Choose another output")
    rows = measure_folder(folder, codes)
    write_csv(Path(output), rows, TABLE_COLUMNS)
    _log.info(f"{len(rows)} hearts in {output}")
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
