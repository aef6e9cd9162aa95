"""Two marks within text files: a digest of a JSON object in itself, and a quote before what is no formula."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

SEAL = "content_sha256"
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """The object with a digest of its content as its last entry."""
    return {**{key: entry for key, entry in value.items() if key != SEAL}, SEAL: _seal(value)}


def seal_fits(value: Mapping[str, Any]) -> bool:
    """Whether the content is what was sealed; true of an object that has no seal."""
    return SEAL not in value or value[SEAL] == _seal(value)


def _seal(value: Mapping[str, Any]) -> str:
    content = {key: entry for key, entry in value.items() if key != SEAL}
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def guarded(cell: str) -> str:
    """A cell's text, with a quote in front where a spreadsheet would take it for a formula."""
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def unguarded(cell: str) -> str:
    """The inverse of `guarded`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell
