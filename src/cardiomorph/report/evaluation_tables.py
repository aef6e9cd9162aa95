"""The tables of an evaluation: a row a heart, a row a group, a row a metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cardiomorph.evaluation.areas import AREAS
from cardiomorph.evaluation.areas.function import Function
from cardiomorph.evaluation.function import MEASURE_COLUMNS
from cardiomorph.evaluation.record import Record
from cardiomorph.evaluation.table import Row, group_summary
from cardiomorph.files import write_csv
from cardiomorph.report.findings import Findings

Origins = Mapping[str, Sequence[Record]]


def write_tables(output: Path, found: Findings) -> None:
    """``measures.csv``, ``groups.csv`` and ``comparison.csv``."""
    origins: Origins = {"real": found.real, **{s.name: s.records for s in found.sets}}
    write_csv(output / "measures.csv", _heart_rows(origins, found), ("origin", "subject", "group", *MEASURE_COLUMNS))
    write_csv(output / "groups.csv", _group_rows(origins))
    metrics = {s.name: s.metrics for s in found.sets}
    keys = dict.fromkeys(key for entries in metrics.values() for key in entries)
    lines = [{"metric": key, **{name: entries.get(key) for name, entries in metrics.items()}} for key in keys]
    write_csv(output / "comparison.csv", lines)


def _heart_rows(origins: Origins, found: Findings) -> list[Row]:
    columns = {s.name: [summary.by_heart for summary in s.summaries.values()] for s in found.sets}
    rows: list[Row] = []
    for origin, records in origins.items():
        for record in records:
            row: Row = {"origin": origin, "subject": record.id, "group": record.group, **_flat(record)}
            for by_heart in columns.get(origin, ()):
                row |= {name: values.get(record.id) for name, values in by_heart.items()}
            rows.append(row)
    return rows


def _group_rows(origins: Origins) -> list[Row]:
    rows: list[Row] = []
    for origin, records in origins.items():
        for group, summary in group_summary([{"group": r.group, **r.of(Function.name)} for r in records]).items():
            row: Row = {"group": group, "origin": origin, "n": summary["n"]}
            for column in MEASURE_COLUMNS:
                if column in summary:
                    row |= {f"{column}_mean": summary[column]["mean"], f"{column}_sd": summary[column]["sd"]}
            rows.append(row)
    return rows


def _flat(record: Record) -> Row:
    """A heart's measures of every area, as columns."""
    return {
        f"{area.column_prefix}{name}": int(value) if isinstance(value, bool) else value
        for area in AREAS
        for name, value in record.of(area.name).items()
    }
