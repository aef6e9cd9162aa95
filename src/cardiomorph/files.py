"""Writing that leaves nothing half-written, and reading that explains itself.

Every file is written under a temporary name in its own folder and moved into place; a folder likewise.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cardiomorph.errors import CardiomorphError


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns an operating-system refusal to write into one clear error."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise CardiomorphError(
            f"cannot be written ({reason})",
            where=path,
            fix="Free some space, or choose an output folder you may write to",
        ) from error


def ensure_folder(path: Path) -> Path:
    """Creates ``path`` and its parents. Raises `CardiomorphError` where that is refused."""
    with explained(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def write_bytes(path: Path, content: bytes) -> None:
    """Writes ``content`` to ``path`` atomically. Raises `CardiomorphError` on a full disk or a refusal."""
    ensure_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with explained(path):
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """Writes rows as CSV: given columns first, then whatever else a row holds, empty where a row has none."""
    names = list(columns or [])
    for row in rows:
        names.extend(key for key in row if key not in names)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def read_json(path: Path) -> Any:
    """Reads a JSON file. Raises `CardiomorphError` where it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CardiomorphError("this file is missing", where=path) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CardiomorphError(f"cannot be read as JSON ({error})", where=path) from error


def read_record(path: Path, *keys: str) -> dict[str, Any]:
    """Reads a JSON object that holds these keys. Raises `CardiomorphError` where it is missing or does not."""
    found = read_json(path)
    missing = [key for key in keys if key not in found] if isinstance(found, dict) else ["an object"]
    if missing:
        raise CardiomorphError(
            f"does not hold {', '.join(missing)}", where=path, fix="It was changed since it was written: make it again"
        )
    return dict(found)


def read_csv(path: Path) -> list[dict[str, str]]:
    """Reads a CSV file with a header. Raises `CardiomorphError` where it is missing."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            return list(csv.DictReader(stream))
    except FileNotFoundError as error:
        raise CardiomorphError("this file is missing", where=path) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CardiomorphError(f"cannot be read as CSV ({error})", where=path) from error


@contextmanager
def folder_in_place(path: Path) -> Iterator[Path]:
    """Yields a temporary folder that becomes ``path`` if the block succeeds, and vanishes if it fails."""
    ensure_folder(path.parent)
    with explained(path):
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield temporary
        with explained(path):
            temporary.chmod(0o755)
            if path.exists():
                shutil.rmtree(path)
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def checked_name(text: str, where: Path) -> str:
    """A name from a file that becomes part of a path. Raises `CardiomorphError` for one that would climb out."""
    if not text or text.startswith(".") or any(c in "/\\" or ord(c) < 32 for c in text) or len(text) > 200:
        raise CardiomorphError(f"holds the name {text[:80]!r}, which no file may have", where=where)
    return text


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal. Raises `CardiomorphError` where it is missing or unreadable."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise CardiomorphError(f"cannot be read ({error.strerror or error})", where=path) from error


def check_format(facts: Any, wanted: int, where: Path) -> None:
    """Raises `CardiomorphError` where a description is of another layout than this version reads."""
    found = facts.get("format") if isinstance(facts, dict) else None
    if found != wanted:
        raise CardiomorphError(
            f"is in format {found}; this version reads format {wanted}",
            where=where,
            fix="Make it again with this version, or read it with the version that made it",
        )
