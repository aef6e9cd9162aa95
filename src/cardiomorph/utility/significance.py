"""Is an arm better, and how sure is that? Patients are the units: seeds and draws are averaged within each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon

_REPEATS = 2000


@dataclass(frozen=True)
class Gain:
    """An arm beside a baseline, patient by patient.

    Attributes:
        mean: difference, arm less baseline.
        low, high: 95 % interval, bootstrapped over patients.
        p: Wilcoxon's signed-rank test; 1 where no patient differs.
        patients: how many.
    """

    mean: float
    low: float
    high: float
    p: float
    patients: int


def gain(arm: Mapping[str, Sequence[float]], baseline: Mapping[str, Sequence[float]], seed: int = 0) -> Gain | None:
    """From values by patient (a value a seed and draw); None where they share no patient."""
    names = sorted(arm.keys() & baseline.keys())
    if not names:
        return None
    differences = np.array([np.mean(arm[name]) - np.mean(baseline[name]) for name in names])
    low, high = interval(differences, seed)
    p = float(wilcoxon(differences).pvalue) if np.any(differences != 0) else 1.0
    return Gain(float(differences.mean()), low, high, p, len(names))


def interval(values: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the mean over patients (Efron, 1979)."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(len(values), size=(_REPEATS, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values corrected for how many were asked (Holm, 1979)."""
    corrected: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        corrected[name] = largest
    return corrected
