"""What an area shows in a report, as data: tables of text, and figures by kind with what they are drawn of.

`report` renders it; nothing here knows of HTML or of a plotting library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cardiomorph.evaluation.record import MIDDLE_IMAGE, MIDDLE_LABEL, Record
from cardiomorph.evaluation.summary import Summary

REAL = "real"
"""The real hearts' name among sets; figures shade or grey what is theirs."""
NONE = "–"


@dataclass(frozen=True)
class Side:
    """One synthetic set with what an area found in it.

    Attributes:
        name: the set's.
    """

    name: str
    records: Sequence[Record]
    summary: Summary


@dataclass(frozen=True)
class Table:
    """Rows of text under a header; a row's first cell is its heading.

    Attributes:
        behind: the line that opens it; empty where it is open at once.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    behind: str = ""


@dataclass(frozen=True)
class GroupDistributions:
    """Real and synthetic hearts of every group, a point a heart, a panel a measure.

    Attributes:
        real, synthetic: by heart, its ``group`` and its measures.
        measures: measure -> title.
    """

    real: Sequence[Mapping[str, object]]
    synthetic: Sequence[Mapping[str, object]]
    measures: Mapping[str, str]
    groups: Sequence[str]


@dataclass(frozen=True)
class DistancesBesideFloors:
    """Distances in units of the real halves' 95 % floor.

    Attributes:
        distances: by set, by comparison.
        floors: by comparison, above zero.
    """

    distances: Mapping[str, Mapping[str, float]]
    floors: Mapping[str, float]
    title: str


@dataclass(frozen=True)
class CorrelationMatrices:
    """Square matrices with entries in [-1, 1], by name."""

    matrices: Mapping[str, NDArray[np.float64]]
    title: str


@dataclass(frozen=True)
class FailureRates:
    """Rates in [0, 1] by set, by criterion; the first set names the criteria."""

    rates: Mapping[str, Mapping[str, float]]
    title: str


@dataclass(frozen=True)
class Ranges:
    """Values of hearts by measure, by set; the 5-95 % range of the set `REAL` is marked."""

    values: Mapping[str, Mapping[str, Sequence[float]]]
    title: str


@dataclass(frozen=True)
class Histograms:
    """Shares by set, (bins,), and the bins' edges, (bins + 1,)."""

    shares: Mapping[str, NDArray[np.float64]]
    edges: NDArray[np.float64]
    title: str


@dataclass(frozen=True)
class Picture:
    """A slice with its caption: (size, size) labels, and its image in [-1, 1] where there is one."""

    caption: str
    label: NDArray[np.integer]
    image: NDArray[np.floating] | None

    @classmethod
    def of(cls, record: Record, caption: str) -> Picture:
        """The middle slice at ED of a heart that has both phases."""
        image = record.array(MIDDLE_IMAGE).astype(np.float32) if record.has(MIDDLE_IMAGE) else None
        return cls(caption, record.array(MIDDLE_LABEL), image)


@dataclass(frozen=True)
class Pairs:
    """Pictures two by two: (above, below)."""

    pairs: Sequence[tuple[Picture, Picture]]
    title: str


FigureData = (
    GroupDistributions | DistancesBesideFloors | CorrelationMatrices | FailureRates | Ranges | Histograms | Pairs
)


@dataclass(frozen=True)
class Presentation:
    """An area's part of a report.

    Attributes:
        text: how it was measured, in a few sentences.
        figures: by file name.
    """

    title: str
    text: str
    tables: Sequence[Table] = ()
    figures: Mapping[str, FigureData] = field(default_factory=dict)


def percent(share: float | None) -> str:
    """A share as text."""
    return NONE if share is None else f"{share:.1%}"


def number(value: float | None) -> str:
    """A number as text, to four digits."""
    return NONE if value is None else f"{value:.4g}"


def values_table(area: str, sides: Sequence[Side], behind: str = "") -> Table:
    """Every value of an area, by key, beside the 95 % floor or the real hearts' own.

    Args:
        behind: the line that opens it, as in `Table`.
    """
    known = [c for side in sides for c in side.summary.comparisons if c.value is not None]
    rows = []
    for key, path, of in sorted({(c.key(area), c.path, c.of) for c in known}):
        found = [side.summary.get(*path, of=of) for side in sides]
        rows.append([key, number(found[0].reference), *(number(c.value) for c in found)])
    return Table(["metric", REAL, *(side.name for side in sides)], rows, behind)
