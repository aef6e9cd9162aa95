"""What stands beside the images: tables and key-value files that people and spreadsheets write, in any encoding.

Missing values have many spellings; a value that is none of them and yet no number, or no human's, is left out and said.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cardiomorph.anatomy import Phase
from cardiomorph.data.subject import Subject
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import read_bytes

MISSING = frozenset(
    (
        *("", "nan", "na", "n/a", "none", "null", "unknown", "?", "-", "inf", "+inf", "-inf", "infinity"),
        *("-1", "-9", "-99", "-999", "0", "999", "9999"),
    )
)
MAX_TEXT_BYTES = 64 * 2**20
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_WHOLE = re.compile(r"[+]?[0-9]{1,9}(\.0*)?")
_DECIMAL = re.compile(r"[+-]?([0-9]{1,12}([.,][0-9]{0,12})?|[.,][0-9]{1,12})([eE][+-]?[0-9]{1,2})?")
_HEIGHT_CM, _HEIGHT_M, _WEIGHT_KG = (30.0, 250.0), (0.3, 2.5), (1.0, 400.0)


def visible(paths: Iterable[Path], below: Path) -> list[Path]:
    """The paths without hidden files and folders (and what archives of a Mac leave behind), sorted."""
    return sorted(
        path
        for path in paths
        if not any(part.startswith(".") or part == "__MACOSX" for part in path.relative_to(below).parts)
    )


def read_text(path: Path) -> str:
    """A text file, by its byte-order mark, as UTF-8, or else as Windows-1252.

    Raises:
        CardiomorphError: missing, unreadable, larger than 64 MiB, or no text.
    """
    content = read_bytes(path, MAX_TEXT_BYTES)
    try:
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            text = content.decode("utf-16")
        else:
            try:
                text = content.decode("utf-8-sig")
            except UnicodeDecodeError:
                text = content.decode("cp1252")
    except UnicodeDecodeError as error:
        raise CardiomorphError(f"cannot be read as text ({error})", where=path) from error
    if _CONTROL.search(text):
        raise CardiomorphError("cannot be read as text (it holds characters that no text has)", where=path)
    return text


@dataclass(frozen=True)
class ClinicalTable:
    """A CSV by subject: commas, semicolons or tabs; headings and cells without blanks around them."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]

    def by(self, key: str, without: str = "") -> dict[str, Mapping[str, str]]:
        """Rows by the text in a column.

        Two rows of one subject that differ become one row that says so: see `refuse_faulty`.

        Args:
            without: characters that do not count in front (spreadsheets lose leading zeros).
        """
        found: dict[str, Mapping[str, str]] = {}
        for row in self.rows:
            name = row.get(key, "")
            name = name.lstrip(without) or name
            if name and name in found and found[name] != row:
                row = {**row, _FAULT: "has two rows that differ"}
            if name:
                found[name] = row
        return found


_FAULT = "\0fault"


def refuse_faulty(row: Mapping[str, str], code: str, table: Path) -> None:
    """Raises `CardiomorphError` where a table has two rows of a subject that differ, or more cells than headings."""
    if _FAULT in row:
        raise CardiomorphError(f"{code} {row[_FAULT]}", where=table, fix="Mend the table")


def read_table(path: Path) -> ClinicalTable:
    """Reads a table. Raises `CardiomorphError` where it is no CSV or has a heading twice."""
    text = read_text(path)
    heading = text.partition("\n")[0]
    delimiter = max(",;\t", key=heading.count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise CardiomorphError(f"cannot be read as CSV ({error})", where=path) from error
    columns = tuple(cell.strip() for cell in lines[0]) if lines else ()
    twice = [name for name in columns if name and columns.count(name) > 1]
    if twice:
        raise CardiomorphError(f"has the column {twice[0]!r} twice", where=path, fix="Keep the right one")
    rows = tuple(_row(columns, line) for line in lines[1:] if any(line))
    return ClinicalTable(path, columns, rows)


def _row(columns: tuple[str, ...], line: list[str]) -> dict[str, str]:
    """A row by its headings; one with more cells (a decimal comma, mostly) has lost their order, and says so."""
    cells = {name: cell.strip() for name, cell in zip(columns, line, strict=False) if name}
    surplus = any(cell.strip() for cell in line[len(columns) :])
    return {**cells, _FAULT: "has more cells than the table has headings"} if surplus else cells


def table_with(folder: Path, column: str) -> ClinicalTable | None:
    """The table in ``folder``, or else in its parent, whose heading names ``column``.

    Raises:
        CardiomorphError: two such tables lie side by side and differ.
    """
    here = folder.resolve()
    for place in (here, here.parent):
        found = [table for path in visible(place.glob("*.csv"), place) if (table := _readable(path, column))]
        if any(table.rows != found[0].rows for table in found[1:]):
            raise CardiomorphError(
                f"and {found[1].path.name} beside it are both tables by {column!r}, and differ",
                where=found[0].path,
                fix="Keep the right one",
            )
        if found:
            return found[0]
    return None


def _readable(path: Path, column: str) -> ClinicalTable | None:
    """A table, if it is one and has that column."""
    try:
        table = read_table(path)
    except CardiomorphError:
        return None
    return table if column in table.columns else None


def without_row(code: str, table: ClinicalTable) -> Subject:
    """A subject whose labels are there and whose row is not."""
    what = CardiomorphError(f"has no row for {code}, whose labels are there", where=table.path, fix="Add it")
    return Subject(code, "", {}, problems=(str(what),))


def read_pairs(path: Path) -> dict[str, str]:
    """The ``key: value`` lines of a file. Raises `CardiomorphError` where it is missing or gives a key two values."""
    pairs: dict[str, str] = {}
    for line in read_text(path).splitlines():
        key, colon, value = (part.strip() for part in line.partition(":"))
        if colon and pairs.setdefault(key, value) != value:
            raise CardiomorphError(f"says {key} twice: {pairs[key]!r} and {value!r}", where=path)
    return pairs


def frame_number(text: str | None, what: str, where: Path, *, first: int) -> int:
    """A frame number of ``first`` or more. Raises `CardiomorphError` that names ``what`` for anything else."""
    if not text or not _WHOLE.fullmatch(text) or (number := int(float(text))) < first:
        raise CardiomorphError(f"{what} is {text or ''!r}; a frame number was expected", where=where)
    return number


def checked_phases(numbers: Mapping[Phase, int], where: Path, name: str) -> None:
    """Raises `CardiomorphError` where ED and ES are one frame."""
    if len(set(numbers.values())) < len(numbers):
        raise CardiomorphError(f"{name}: ED and ES are both frame {next(iter(numbers.values()))}", where=where)


@dataclass(frozen=True)
class Body:
    """Height and weight as far as they are known, and what was doubted of them."""

    height_cm: float | None
    weight_kg: float | None
    doubts: tuple[str, ...]


def body(values: Mapping[str, str], height: Iterable[str], weight: Iterable[str]) -> Body:
    """Height and weight from the first of the keys that is there. A height of 0.3 to 2.5 is taken for metres."""
    said: list[str] = []
    tall, heavy = _number(values, height, "height", said), _number(values, weight, "weight", said)
    if tall is not None and _HEIGHT_M[0] <= tall <= _HEIGHT_M[1]:
        said.append("its height is in metres: converted to cm")
        tall = 100.0 * tall
    return Body(
        _human(tall, _HEIGHT_CM, "height", "cm", said), _human(heavy, _WEIGHT_KG, "weight", "kg", said), tuple(said)
    )


def _number(values: Mapping[str, str], keys: Iterable[str], what: str, said: list[str]) -> float | None:
    text = next((values[key].strip() for key in keys if key in values), "")
    if text.lower() in MISSING:
        return None
    if not _DECIMAL.fullmatch(text):
        said.append(f"its {what} {text[:20]!r} is no number: left out")
        return None
    number = float(text.replace(",", "."))
    # -1.0 and 999.00 mean what -1 and 999 mean.
    return None if f"{number:g}" in MISSING else number


def _human(value: float | None, limits: tuple[float, float], what: str, unit: str, said: list[str]) -> float | None:
    if value is None or limits[0] <= value <= limits[1]:
        return value
    said.append(f"a {what} of {value:g} {unit} is nobody's: left out")
    return None
