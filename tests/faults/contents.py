"""Files that are whole and say something else: every entry of a JSON file, every array, is replaced.

The digests are taken away or made anew, so that what is tested is what comes after them.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from doors import DOORS, OWN_WORDS
from safetensors.numpy import save_file
from tally import Tally, outcome
from world import World

from cardiomorph.files import digest, read_arrays, read_json, write_json
from cardiomorph.files.text import SEAL

INSTEAD: tuple[Any, ...] = (None, [], {}, "x", -1, 10**30, 0.5, True, [[[1]]], "../../evil", "[/red]\n\x1b[31m")
TEXTS = ("", "[]", "null", "{", "[" * 50_000, '{"a": ' + "9" * 5_000 + "}", "\ufeff{}", "\x00", '{"format": NaN}')
_DEEPEST, _LONGEST = 4, 6


def _places(value: Any, depth: int = 0) -> Iterator[tuple[Any, ...]]:
    """Paths of keys to the entries of a JSON value; of long lists and objects the first few."""
    if depth == _DEEPEST:
        return
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    for key in keys if depth == 0 else keys[:_LONGEST]:
        yield (key,)
        for below in _places(value[key], depth + 1):
            yield (key, *below)


def _replaced(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    changed = copy.deepcopy(value)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = new
    return changed


def _without(value: Any, place: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(value)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    del inner[place[-1]]
    return changed


def wrong_json(world: World, name: str, place: Path, limit: int | None = None) -> Tally:
    """Replaces, and takes away, every entry of a JSON file, and the file by other texts.

    Args:
        place: an empty folder.
        limit: how many of the faults, evenly taken; all by default.
    """
    door, tally = (DOORS | OWN_WORDS)[name], Tally(f"wrong content: {name}")
    relative = door.paths(world)[0]
    value = read_json(getattr(world, door.folder) / relative)
    value.pop(SEAL, None)
    faults = [(f"{at} = {new!r}", json.dumps(_replaced(value, at, new))) for at in _places(value) for new in INSTEAD]
    faults += [(f"without {at}", json.dumps(_without(value, at))) for at in _places(value)]
    chosen = faults if limit is None else faults[:: max(1, -(-len(faults) // limit))]
    for label, text in (*chosen, *((text[:20], text) for text in TEXTS)):
        folder = door.copy(world, place)
        (folder / relative).write_text(text, encoding="utf-8")
        problem = outcome(lambda folder=folder: door.read(world, folder))
        tally.count(problem and f"{label}: {problem}")
        shutil.rmtree(folder)
    return tally


def _others(array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    yield "integers", np.zeros(array.shape, np.int64)
    yield "truth values", np.zeros(array.shape, bool)
    yield "one number", np.zeros((), array.dtype)
    yield "nothing", np.zeros((0, *array.shape[1:]), array.dtype)
    yield "another shape", np.zeros((*array.shape, 2), array.dtype)
    yield "half", array[: max(1, len(array) // 2)] if len(array) > 1 else np.zeros(5, array.dtype)
    if np.issubdtype(array.dtype, np.floating):
        yield "NaN", np.full(array.shape, np.nan, array.dtype)
        yield "infinity", np.full(array.shape, np.inf, array.dtype)


def wrong_arrays(world: World, name: str, place: Path, limit: int | None = None) -> Tally:
    """Replaces, and takes away, every array of an atlas's file, whose digest then fits. Each must be one error."""
    door, tally = DOORS[name], Tally(f"wrong content: {name}")
    relative = door.paths(world)[0]
    arrays, facts = read_arrays(getattr(world, door.folder) / relative)
    faults = [(key, label, {**arrays, key: other}) for key in arrays for label, other in _others(arrays[key])]
    faults += [(key, "missing", {k: v for k, v in arrays.items() if k != key}) for key in arrays]
    chosen = faults if limit is None else faults[:: max(1, -(-len(faults) // limit))]
    for key, label, changed in chosen:
        folder = door.copy(world, place)
        save_file({k: np.ascontiguousarray(v) for k, v in changed.items()}, folder / relative, metadata=facts or None)
        description = read_json(folder / "atlas.json")
        description["digests"][str(relative)] = digest(folder / relative)
        write_json(folder / "atlas.json", description, seal=True)
        problem = outcome(lambda folder=folder: door.read(world, folder), "nothing that is read")
        tally.count(problem and f"{key}, {label}: {problem}")
        shutil.rmtree(folder)
    return tally
