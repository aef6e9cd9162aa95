"""Wall thickness by the segments of the American Heart Association (Cerqueira et al., Circulation 105:539, 2002).

Basal, middle and apical thirds of the slices whose wall is closed; six, six and four sectors counted from the middle of
the septum, which faces the RV. The anterior wall is taken to lie towards low y when the RV lies towards low x, as in
ACDC; a mirrored data set swaps anterior and inferior. Segment 17, the apical cap, has no short-axis wall.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import Label
from cardiomorph.evaluation.function import endocardial_thickness
from cardiomorph.evaluation.overlap import THIRDS, thirds
from cardiomorph.volume import Volume

# Sectors from the middle of the septum towards the anterior wall, each 60 (90) degrees wide.
_SIX_FROM_SEPTUM = (2, 1, 6, 5, 4, 3)
_FOUR_FROM_SEPTUM = (14, 13, 16, 15)
LEVELS = dict(zip(THIRDS, ("basal", "middle", "apical"), strict=True))
_SEGMENTS_OF = dict(zip(THIRDS, (range(1, 7), range(7, 13), range(13, 17)), strict=True))
N_SEGMENTS = 16
Segments = dict[str, float | None]


def septal_direction(label: Volume) -> float | None:
    """Angle of the vector from the LV's centroid to the RV's, in radians; None without one of them."""
    spacing = np.asarray(label.spacing_mm[:2])
    left = np.argwhere(np.isin(label.array, (Label.MYOCARDIUM, Label.LV)))[:, :2]
    right = np.argwhere(label.array == Label.RV)[:, :2]
    if not len(left) or not len(right):
        return None
    x, y = (right.mean(axis=0) - left.mean(axis=0)) * spacing
    return math.atan2(y, x)


def _segment_numbers(angle: NDArray[np.float64], third: str) -> NDArray[np.intp]:
    """AHA numbers of contour points at ``angle`` radians past the middle of the septum, towards the anterior wall."""
    if third == "apex":
        sector = np.floor((angle + math.pi / 4) / (math.pi / 2)).astype(int) % 4
        return np.asarray(_FOUR_FROM_SEPTUM)[sector]
    sector = np.floor(angle / (math.pi / 3)).astype(int) % 6
    return np.asarray(_SIX_FROM_SEPTUM)[sector] + (6 if third == "middle" else 0)


def segment_thickness_mm(label: Volume) -> Segments:
    """Mean wall thickness of every AHA segment, and mean and maximum of every level, in mm.

    Returns:
        ``wall_aha_01_mm`` to ``wall_aha_16_mm``; ``wall_basal_mean_mm``, ``wall_basal_max_mm`` (of its segments) and
        so on for middle and apical. None where no closed wall is there to measure, or no RV to count segments from.
    """
    spacing = label.spacing_mm[:2]
    measured = [endocardial_thickness(label.array[:, :, index], spacing) for index in range(label.n_slices)]
    closed = [found for found in measured if found is not None]
    septum = septal_direction(label)
    values: dict[int, list[NDArray[np.float64]]] = {}
    for third, part in thirds(len(closed)).items():
        for points, thickness in closed[part] if septum is not None else ():
            x, y = (points - points.mean(axis=0)).T
            of_point = _segment_numbers(np.arctan2(y, x) - septum, third)
            for number in np.unique(of_point).tolist():
                values.setdefault(number, []).append(thickness[of_point == number])
    means = {number: float(np.concatenate(parts).mean()) for number, parts in values.items()}
    result: Segments = {f"wall_aha_{number:02d}_mm": means.get(number) for number in range(1, N_SEGMENTS + 1)}
    for third, part in thirds(len(closed)).items():
        level, numbers = LEVELS[third], _SEGMENTS_OF[third]
        points_of_level = [thickness for _, thickness in closed[part]]
        result[f"wall_{level}_mean_mm"] = float(np.concatenate(points_of_level).mean()) if points_of_level else None
        found = [means[number] for number in numbers if number in means]
        result[f"wall_{level}_max_mm"] = max(found) if found else None
    return result
