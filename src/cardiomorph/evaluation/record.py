"""What is kept of one heart: everything that the areas of evaluation need of its voxels, in a small file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from cardiomorph.files import read_arrays

Scalars = Mapping[str, float | None]
Arrays = Mapping[str, NDArray[Any]]
MIDDLE_LABEL, MIDDLE_IMAGE = "label", "picture"
"""Arrays of every record that has both phases: the middle slice at ED, (size, size), and its image if there is one."""


@dataclass(frozen=True)
class Measured:
    """What an area measures of one heart: numbers (None where one cannot be had), and arrays, which stay on disk."""

    scalars: Scalars
    arrays: Arrays


NOTHING = Measured({}, {})


def array_name(*name: str) -> str:
    """An array's name in a file, from area and name."""
    return ".".join(name)


@dataclass(frozen=True)
class Record:
    """What is known of one heart.

    Attributes:
        parent: the healthy subject that a synthetic heart came from, where its provenance says so.
        problems: what could not be read, in words.
        scalars: by area, its measures.
        names: of the arrays in the file.
        path: file with the arrays.
    """

    id: str
    group: str
    parent: str | None
    problems: tuple[str, ...]
    scalars: Mapping[str, Scalars]
    names: frozenset[str]
    path: Path

    def of(self, area: str) -> Scalars:
        """An area's measures; empty where it has none."""
        return self.scalars.get(area, {})

    def has(self, *name: str) -> bool:
        """Whether there is an array: an area's, by area and name, or a middle slice."""
        return array_name(*name) in self.names

    def array(self, *name: str) -> NDArray[Any]:
        """An array of the file, named as in `has`."""
        with safe_open(self.path, "numpy") as stored:
            return np.asarray(stored.get_tensor(array_name(*name)))


def load_record(path: Path) -> Record:
    """Reads a record; its arrays stay on disk."""
    arrays, metadata = read_arrays(path)
    facts = json.loads(metadata["record"])
    return Record(
        id=facts["id"],
        group=facts["group"],
        parent=facts["parent"],
        problems=tuple(facts["problems"]),
        scalars=facts["scalars"],
        names=frozenset(arrays),
        path=path,
    )


def known_values(records: Iterable[Record], area: str, measure: str) -> list[float]:
    """A measure of the records that have it."""
    found = (record.of(area).get(measure) for record in records)
    return [float(value) for value in found if value is not None]


def mean(values: Sequence[float]) -> float | None:
    """The mean; None of nothing."""
    return float(np.mean(values)) if values else None
