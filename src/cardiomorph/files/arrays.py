"""Arrays on disk: safetensors files that hold a digest of themselves, read whole and checked before they are used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from cardiomorph.errors import CardiomorphError
from cardiomorph.files.reading import read_bytes

SEAL = "file_sha256"
_BLANK = "0" * 64


def sealed_arrays(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None) -> bytes:
    """Arrays as the bytes of a safetensors file that holds its own digest."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return sealed_bytes(save(contiguous, metadata={**(metadata or {}), SEAL: _BLANK}))


def sealed_bytes(content: bytes) -> bytes:
    """A safetensors file with ``{SEAL: 64 zeros}`` in its metadata, the digest of all its bytes put in their place."""
    place = _seal_at(content)
    return content[:place] + hashlib.sha256(content).hexdigest().encode() + content[place + len(_BLANK) :]


def blank_seal(metadata: Mapping[str, str] | None = None) -> dict[str, str]:
    """Metadata with a place for the digest, for `sealed_bytes`."""
    return {**(metadata or {}), SEAL: _BLANK}


def _seal_at(content: bytes) -> int:
    key = f'"{SEAL}":"'.encode()
    return content.index(key, 0, 8 + int.from_bytes(content[:8], "little")) + len(key)


def metadata_of(content: bytes) -> dict[str, str]:
    """Text entries of a safetensors file's header. Raises `ValueError` where there is no header."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    found = header.get("__metadata__") if isinstance(header, dict) else None
    return {key: text for key, text in (found or {}).items() if isinstance(text, str)}


def checked_tensors(path: Path) -> tuple[bytes, dict[str, str]]:
    """A safetensors file's bytes and metadata; its seal, if it has one, fits.

    Raises:
        CardiomorphError: missing, no safetensors file, or changed since it was sealed.
    """
    content = read_bytes(path)
    try:
        metadata = metadata_of(content)
    except (ValueError, RecursionError) as error:
        raise CardiomorphError("is not a readable safetensors file (no header)", where=path) from error
    seal = metadata.pop(SEAL, None)
    if seal is not None:
        place = content.find(seal.encode(), 0, 8 + int.from_bytes(content[:8], "little"))
        blank = content[:place] + _BLANK.encode() + content[place + len(seal) :]
        if hashlib.sha256(blank).hexdigest() != seal:
            raise CardiomorphError("its content is not what its digest says", where=path, fix="Make it again")
    return content, metadata


def read_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Arrays and metadata of a safetensors file; its seal, if it has one, fits.

    Raises:
        CardiomorphError: missing, damaged, or of a number format that NumPy has not.
    """
    content, metadata = checked_tensors(path)
    try:
        return load(content), metadata
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CardiomorphError(f"is not a readable safetensors file ({error})", where=path) from error
