"""Presets by name, and a user's changes to them from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from cardiomorph.errors import CardiomorphError
from cardiomorph.files import read_json, validated

Config = TypeVar("Config", bound=BaseModel)


def configured(presets: Mapping[str, Config], preset: str, changes: Path | None) -> Config:
    """A preset, with the keys of a JSON file laid over it.

    Raises:
        CardiomorphError: no such preset, an unreadable file, an unknown key or a bad value.
    """
    if preset not in presets:
        raise CardiomorphError(f"there is no preset {preset!r}", fix=f"Choose one of {', '.join(presets)}")
    base = presets[preset]
    if changes is None:
        return base
    fix = f"Keys are those of {type(base).__name__}: {', '.join(type(base).model_fields)}"
    return validated(type(base), _merged(base.model_dump(), read_json(changes)), changes, fix)


def _merged(base: Any, changes: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return changes
    return base | {key: _merged(base.get(key), value) for key, value in changes.items()}
