"""Writing that leaves nothing half-written: aside, flushed to the disk, moved into place."""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cardiomorph.errors import CardiomorphError
from cardiomorph.files.leftovers import beside, content, in_the_making, settle_once
from cardiomorph.files.reading import read_bytes
from cardiomorph.files.text import guarded, sealed

_FULL = "Free some space, or choose an output folder on another disk"
_BUSY = "Another process writes there at the same time: let one of them finish, or choose another output folder"
_REFUSED = "Free some space, or choose an output folder you may write to"
_FIXES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.ENOTEMPTY: _BUSY,
    errno.EEXIST: _BUSY,
    errno.ENAMETOOLONG: "Choose shorter names",
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns an operating-system refusal to write into one clear error."""
    try:
        yield
    except OSError as error:
        raise CardiomorphError(
            f"cannot be written ({error.strerror or error})",
            where=path,
            fix=_FIXES.get(error.errno or 0, _REFUSED),
        ) from error


def ensure_folder(path: Path) -> Path:
    """Creates ``path`` and its parents. Raises `CardiomorphError` where that is refused."""
    with explained(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def flush_to_disk(path: Path) -> None:
    """Returns when what was written to a file, or the names in a folder, would outlive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot flush a folder; a file that cannot be flushed is a failed write.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes ``content`` to ``path`` atomically. Raises `CardiomorphError` on a full disk or a refusal.

    Within a folder that is itself not in place yet it is written straight: the folder is flushed as a whole.
    """
    ensure_folder(path.parent)
    with explained(path):
        if in_the_making(path):
            path.write_bytes(content)
            return
        settle_once(path.parent)
        temporary = beside(path, "new")
        try:
            temporary.write_bytes(content)
            flush_to_disk(temporary)
            temporary.replace(path)
            flush_to_disk(path.parent)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8. A byte of a file's name that is no UTF-8 appears escaped, as JSON has it."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, value: Any, *, seal: bool = False) -> None:
    """Writes JSON. A number that is not finite is null: JSON has no other word for it.

    Args:
        seal: adds a digest of the content, which `read_record` checks; ``value`` must be an object.
    """
    write_text(path, json_text(value, seal=seal))


def json_text(value: Any, *, seal: bool = False) -> str:
    """What `write_json` writes."""
    plain = _finite(value)
    return json.dumps(sealed(plain) if seal else plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """Writes rows as CSV: given columns first, then whatever else a row holds, empty where a row has none.

    Text that a spreadsheet would run as a formula gets a quote in front, which `read_csv` takes away again.
    """
    names = list(columns or [])
    for row in rows:
        names.extend(key for key in row if key not in names)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([_cell(name) for name in names])
    writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
    write_text(path, buffer.getvalue())


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return guarded(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def copy_file(source: Path, target: Path) -> None:
    """Copies a file's bytes. Raises `CardiomorphError` that names the one of the two that is at fault."""
    write_bytes(target, read_bytes(source))


def copy_folder(source: Path, target: Path) -> None:
    """Copies a folder's files, and those of the folders in it; leftovers stay behind. Errors are as of `copy_file`."""
    for path in content(source):
        if path.is_dir():
            copy_folder(path, target / path.name)
        else:
            copy_file(path, target / path.name)
