"""What an area of evaluation found over all hearts of one synthetic set, and its numbers by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.comparison import Comparison

Metrics = dict[str, float]


@dataclass(frozen=True)
class Neighbour:
    """A synthetic heart and the real one that is nearest to it, by their names, and how far apart they are."""

    synthetic: str
    real: str
    distance: float


@dataclass(frozen=True)
class Summary:
    """What an area found.

    Attributes:
        comparisons: everything that becomes a number of metrics.json.
        missing: what could not be measured, named as in `Comparison` (``()`` is the whole area), and why.
        by_heart: further columns of measures.csv, by name, each by synthetic heart.
        neighbours: by what they were compared in, every synthetic heart beside the nearest real one.
    """

    comparisons: tuple[Comparison, ...] = ()
    missing: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    by_heart: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    neighbours: Mapping[str, Sequence[Neighbour]] = field(default_factory=dict)

    def get(self, *path: str, of: tuple[str, ...] = ()) -> Comparison:
        """The comparison of that name; an empty one where there is none."""
        wanted = Comparison(path, of)
        return next((c for c in self.comparisons if (c.path, c.of) == (path, of)), wanted)

    def every(self, *path: str) -> list[Comparison]:
        """The comparisons of that path, whatever they are taken over."""
        return [c for c in self.comparisons if c.path == path]

    def finite(self) -> Summary:
        """The same without numbers that are none, which are then missing."""
        named = [pair for comparison in self.comparisons for pair in comparison.numbers().items()]
        broken = {name: "the value is not finite" for name, number in named if not math.isfinite(number)}
        comparisons = tuple(comparison.finite() for comparison in self.comparisons)
        return replace(self, comparisons=comparisons, missing={**self.missing, **broken})


def metrics_of(summaries: Mapping[str, Summary]) -> Metrics:
    """The flat entries of metrics.json. The one place where names of numbers are made.

    Args:
        summaries: by area.

    Raises:
        CardiomorphError: two comparisons have one name.
    """
    metrics: Metrics = {}
    for area, summary in summaries.items():
        for comparison in summary.comparisons:
            entries = {_key(area, name): number for name, number in comparison.numbers().items()}
            if twice := metrics.keys() & entries:
                raise CardiomorphError(f"two comparisons are both named {min(twice)!r}", fix=f"Rename one of {area}'s")
            metrics |= entries
    return metrics


def missing_of(summaries: Mapping[str, Summary]) -> dict[str, str]:
    """By name, why something could not be measured."""
    return {_key(area, name): why for area, one in summaries.items() for name, why in one.missing.items()}


def _key(area: str, name: tuple[str, ...]) -> str:
    return ".".join((area, *name))
