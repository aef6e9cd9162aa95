"""What the summaries of all areas share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cardiomorph.anatomy import GROUPS
from cardiomorph.evaluation.distances import DISTANCES, split_half_floor
from cardiomorph.evaluation.examination import Record
from cardiomorph.evaluation.hearts import UNKNOWN_GROUP
from cardiomorph.evaluation.memorisation import Memorisation

Metrics = dict[str, float]


@dataclass
class Summary:
    """What an evaluation found.

    Attributes:
        metrics: flat entries of metrics.json.
        missing: by area, why something could not be measured.
        invalid: by synthetic heart, its share of invalid slices.
        memorised: by "label" and "image", the distances; indices are into `training`.
    """

    metrics: Metrics = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    invalid: dict[str, float] = field(default_factory=dict)
    memorised: dict[str, Memorisation] = field(default_factory=dict)
    training: list[str] = field(default_factory=list)


def by_group(synthetic: Sequence[Record], real: Sequence[Record]) -> dict[str, tuple[list[Record], list[Record]]]:
    """Synthetic and real hearts by group; those of an unknown group stand beside all real ones."""
    groups: dict[str, tuple[list[Record], list[Record]]] = {}
    for group in (*GROUPS, UNKNOWN_GROUP):
        ours = [r for r in synthetic if r.group == group]
        theirs = list(real) if group == UNKNOWN_GROUP else [r for r in real if r.group == group]
        if ours:
            groups[group] = (ours, theirs)
    return groups


def known_values(records: Iterable[Record], part: str, key: str) -> list[float]:
    """Entries of a record's part (``measures``, ``image``, ...) over the records that have them."""
    found = (getattr(record, part).get(key) for record in records)
    return [float(value) for value in found if value is not None]


def distances_with_floors(
    metrics: Metrics, area: str, name: str, ours: list[float], theirs: list[float], rng: np.random.Generator
) -> None:
    """Both distances of one measure with their floors."""
    for kind, distance in DISTANCES.items():
        metrics[f"{area}.{kind}.{name}"] = float(distance(ours, theirs))
        floor = split_half_floor(theirs, distance, rng)
        if floor:
            metrics[f"{area}.{kind}_floor.{name}"] = floor.mean
            metrics[f"{area}.{kind}_floor95.{name}"] = floor.p95


def finite(metrics: Mapping[str, float]) -> tuple[Metrics, list[str]]:
    """The finite entries, and the names of the others: NaN never passes in silence."""
    good = {key: value for key, value in metrics.items() if math.isfinite(value)}
    return good, [key for key in metrics if key not in good]
