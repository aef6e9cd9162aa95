"""How far two sets of numbers are apart, and how far two halves of the real set are: the floor under every distance.

Distances: 1-Wasserstein, and energy distance (Szekely and Rizzo, 2013). Floor: real patients are split into random
halves, again and again; the mean and the 95th percentile of the halves' distance say what "as alike as real hearts are"
means for so few of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import energy_distance, rankdata, wasserstein_distance

Values = Sequence[float] | NDArray[np.float64]
Distance = Callable[[Values, Values], float]
DISTANCES: dict[str, Distance] = {"wasserstein": wasserstein_distance, "energy": energy_distance}
SPLITS = 500


@dataclass(frozen=True)
class Floor:
    """Mean and 95th percentile over random halves."""

    mean: float
    p95: float


def halves(n: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of two random halves of n; the first is one smaller where n is odd."""
    order = rng.permutation(n)
    return order[: n // 2], order[n // 2 :]


def split_half_floor(
    values: Values, distance: Distance, rng: np.random.Generator, splits: int = SPLITS
) -> Floor | None:
    """The floor of a distance; None for fewer than four values, which have no halves worth the name."""
    array = np.asarray(values, np.float64)
    if len(array) < 4:
        return None
    pairs = (halves(len(array), rng) for _ in range(splits))
    found = [float(distance(array[a], array[b])) for a, b in pairs]
    return Floor(float(np.mean(found)), float(np.percentile(found, 95)))


def correlations(table: NDArray[np.float64], *, ranks: bool) -> NDArray[np.float64]:
    """Correlation matrix of a (hearts, measures) table without gaps: Spearman's if ``ranks``, else Pearson's.

    A measure that is the same in all hearts correlates with nothing: zero.
    """
    values = rankdata(table, axis=0) if ranks else table
    centred = values - values.mean(axis=0)
    # Not by its scale: what is left of a constant after centring is rounding, and rounding correlates.
    centred[:, np.ptp(table, axis=0) == 0] = 0.0
    scale = np.sqrt((centred**2).sum(axis=0))
    scaled = centred / np.where(scale > 0, scale, 1.0)
    return np.asarray(scaled.T @ scaled)


def correlation_gap(a: NDArray[np.float64], b: NDArray[np.float64], *, ranks: bool) -> float:
    """Mean absolute difference of two tables' correlations, over all pairs of measures."""
    upper = np.triu_indices(a.shape[1], 1)
    difference = correlations(a, ranks=ranks)[upper] - correlations(b, ranks=ranks)[upper]
    return float(np.abs(difference).mean()) if difference.size else 0.0


def correlation_floor(
    table: NDArray[np.float64], rng: np.random.Generator, *, ranks: bool, splits: int = 200
) -> Floor | None:
    """The floor of `correlation_gap`; None for fewer than eight hearts."""
    if len(table) < 8:
        return None
    pairs = (halves(len(table), rng) for _ in range(splits))
    found = [correlation_gap(table[a], table[b], ranks=ranks) for a, b in pairs]
    return Floor(float(np.mean(found)), float(np.percentile(found, 95)))
