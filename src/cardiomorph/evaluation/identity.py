"""How much of its healthy parent a morphed heart keeps, and whether its disease grows steadily with severity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from cardiomorph.anatomy import STRUCTURES, Group, Label
from cardiomorph.evaluation.function import Measures
from cardiomorph.evaluation.overlap import dice
from cardiomorph.evaluation.segments import septal_direction
from cardiomorph.volume import Volume

DISEASE_MEASURES: dict[Group, tuple[str, int]] = {
    "DCM": ("lv_edv_ml", 1),
    "HCM": ("lv_mass_g", 1),
    "MINF": ("lv_ef_pct", -1),
    "RV": ("rv_ef_pct", -1),
}
"""The measure in which each disease shows, and whether the disease raises it."""


def mean_overlap(a: NDArray[np.integer], b: NDArray[np.integer]) -> float:
    """Mean Dice over the structures that either map has."""
    scores = [dice(a, b, structure) for structure in STRUCTURES]
    return float(np.nanmean(scores)) if not all(math.isnan(s) for s in scores) else 0.0


def centre_mm(label: Volume) -> NDArray[np.float64] | None:
    """In-plane centroid of the left ventricle, cavity and wall; None without one."""
    where = np.argwhere(np.isin(label.array, (Label.LV, Label.MYOCARDIUM)))
    return where[:, :2].mean(axis=0) * np.asarray(label.spacing_mm[:2]) if len(where) else None


def position_drift_mm(parent: Volume, child: Volume) -> float | None:
    """How far the left ventricle moved in plane, in mm; None where one of them has none."""
    here, there = centre_mm(parent), centre_mm(child)
    return None if here is None or there is None else float(np.hypot(*(there - here)))


def rotation_drift_deg(parent: Volume, child: Volume) -> float | None:
    """How far the direction from LV to RV turned, in degrees, 0 to 180; None where it is not defined."""
    here, there = septal_direction(parent), septal_direction(child)
    if here is None or there is None:
        return None
    turn = math.degrees(there - here) % 360.0
    return min(turn, 360.0 - turn)


def monotonicity(severities: Sequence[float], series: Sequence[Measures], group: Group) -> float | None:
    """Spearman correlation of severity with the disease's own measure, 1 where the disease grows steadily.

    None where the measure is missing somewhere; 0 where it never changes.
    """
    name, direction = DISEASE_MEASURES[group]
    values = [measures.get(name) for measures in series]
    if any(value is None for value in values):
        return None
    numbers = np.asarray(values, np.float64)
    if np.ptp(numbers) == 0:
        return 0.0
    return float(direction * spearmanr(severities, numbers).statistic)


def reidentified(children: NDArray[np.float64], parents: NDArray[np.float64], own: NDArray[np.intp]) -> float:
    """Share of the children whose most similar parent is their own.

    Args:
        children: (n, features) and
        parents: (m, features), similar where their correlation is large.
        own: (n,) index of each child's parent; by chance one in m is found.
    """

    def unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        centred = rows - rows.mean(axis=1, keepdims=True)
        return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12))

    return float((np.argmax(unit(children) @ unit(parents).T, axis=1) == own).mean())


def appearance_drift(parent: Mapping[str, float | None], child: Mapping[str, float | None]) -> float | None:
    """Largest change of blood, myocardium and background brightness, in units of [-1, 1]; None where one is missing."""
    changes = []
    for tissue in ("blood", "myocardium", "background"):
        before, after = parent.get(tissue), child.get(tissue)
        if before is None or after is None:
            return None
        changes.append(abs(after - before))
    return max(changes)
