"""Reading that believes nothing unchecked: size, encoding, depth, schema and digest, and errors that name the file."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from cardiomorph.errors import CardiomorphError, first_problem
from cardiomorph.files.text import SEAL, seal_fits, unguarded

MAX_TEXT_BYTES = 256 * 2**20
_MAKE_AGAIN = "It was changed since it was written: make it again"
Model = TypeVar("Model", bound=BaseModel)


def read_bytes(path: Path, limit: int | None = None) -> bytes:
    """A regular file's bytes. Raises `CardiomorphError` where it is missing, unreadable or larger than ``limit``."""
    try:
        if path.exists() and not path.is_file():
            raise CardiomorphError("is not a file", where=path)
        if limit is not None and path.stat().st_size > limit:
            raise CardiomorphError(
                f"has {path.stat().st_size / 2**20:.0f} MB; at most {limit / 2**20:.0f} were expected", where=path
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CardiomorphError("this file is missing", where=path) from error
    except (OSError, ValueError) as error:
        raise CardiomorphError(f"cannot be read ({getattr(error, 'strerror', None) or error})", where=path) from error


def read_text(path: Path) -> str:
    """UTF-8 text, a byte-order mark dropped. Raises `CardiomorphError` where it is missing or something else."""
    try:
        return read_bytes(path, MAX_TEXT_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CardiomorphError(f"is not UTF-8 text (byte {error.start})", where=path) from error


def read_json(path: Path) -> Any:
    """Reads a JSON file; NaN and infinities, which are none, become None.

    Raises:
        CardiomorphError: missing, not JSON, nested too deeply, or with a number of thousands of digits.
    """
    try:
        return json.loads(read_text(path), parse_constant=lambda _: None, parse_float=_finite_float)
    except RecursionError as error:
        raise CardiomorphError("cannot be read as JSON (nested too deeply)", where=path) from error
    except ValueError as error:
        raise CardiomorphError(f"cannot be read as JSON ({error})", where=path) from error


def _finite_float(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def read_record(path: Path, *keys: str) -> dict[str, Any]:
    """Reads a JSON object that holds these keys, without its seal.

    Raises:
        CardiomorphError: missing, no object, lacking a key, or other than what was sealed.
    """
    found = read_json(path)
    missing = [key for key in keys if key not in found] if isinstance(found, dict) else ["an object"]
    if missing:
        raise CardiomorphError(f"does not hold {', '.join(missing)}", where=path, fix=_MAKE_AGAIN)
    return unsealed(found, path)


def unsealed(found: dict[str, Any], where: Path) -> dict[str, Any]:
    """The content of a JSON object that was written with a seal, or without one.

    Raises:
        CardiomorphError: the content is not what was sealed.
    """
    if not seal_fits(found):
        raise CardiomorphError(
            "its content is not what its digest says",
            where=where,
            fix=f"Make it again; one that you changed yourself is read without its line {SEAL!r}",
        )
    return {key: value for key, value in found.items() if key != SEAL}


def validated(kind: type[Model], value: Any, where: Path | str, fix: str | None = None) -> Model:
    """A value from a file as a model. Raises `CardiomorphError` of one line that names the first wrong entry."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise CardiomorphError(first_problem(error), where=where, fix=fix) from error


def read_csv(path: Path, *columns: str) -> list[dict[str, str]]:
    """Reads a CSV file with a header; a cell that a row lacks is empty.

    Raises:
        CardiomorphError: missing, no UTF-8, or without one of the ``columns``.
    """
    text = read_text(path)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
        rows = [{key: unguarded(cell) for key, cell in row.items() if key is not None} for row in reader]
        names = [unguarded(name) for name in reader.fieldnames or ()]
    except csv.Error as error:
        raise CardiomorphError(f"cannot be read as CSV ({error})", where=path) from error
    missing = [column for column in columns if column not in names]
    if missing:
        raise CardiomorphError(f"has no column {', '.join(missing)}", where=path, fix=_MAKE_AGAIN)
    return [{unguarded(key): cell for key, cell in row.items()} for row in rows]


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
            f"is in format {found!r}; this version reads format {wanted}",
            where=where,
            fix="Make it again with this version, or read it with the version that made it",
        )
