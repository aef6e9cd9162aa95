"""Does an image show what its label says? A segmenter of real images reads it, and the reading is compared.

The segmenter errs on real images too: its score on real held-out hearts is the ceiling beside every number.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from cardiomorph.anatomy import STRUCTURES
from cardiomorph.evaluation.overlap import dice

Labels = NDArray[np.integer]


def _edge_mm(mask: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> NDArray[np.float64]:
    return np.argwhere(mask & ~binary_erosion(mask)) * np.asarray(spacing_mm)


def surface_distance_mm(a: NDArray[np.bool_], b: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> float | None:
    """Mean symmetric distance of two masks' edges in an (x, y) slice, in mm; None where one of them is empty."""
    edge_a, edge_b = _edge_mm(a, spacing_mm), _edge_mm(b, spacing_mm)
    if not len(edge_a) or not len(edge_b):
        return None
    to_b, to_a = cKDTree(edge_b).query(edge_a)[0], cKDTree(edge_a).query(edge_b)[0]
    return float((to_b.sum() + to_a.sum()) / (len(to_b) + len(to_a)))


def label_match(label: Labels, read: Labels, spacing_mm: tuple[float, float]) -> dict[str, float | None]:
    """Agreement of (n, x, y) labels with what was read off their images.

    Returns:
        ``dice_rv`` and so on over the whole stack, their mean ``dice``; ``distance_rv_mm`` and so on, mean over the
        slices where both have the structure, and their mean ``distance_mm``. None where there is nothing to compare.
    """
    result: dict[str, float | None] = {}
    for structure in STRUCTURES:
        name = structure.name.lower()
        score = dice(label, read, structure)
        result[f"dice_{name}"] = None if math.isnan(score) else score
        distances = [
            surface_distance_mm(a == structure, b == structure, spacing_mm) for a, b in zip(label, read, strict=True)
        ]
        found = [d for d in distances if d is not None]
        result[f"distance_{name}_mm"] = float(np.mean(found)) if found else None
    for total, pattern in (("dice", "dice_{}"), ("distance_mm", "distance_{}_mm")):
        values = [v for s in STRUCTURES if (v := result[pattern.format(s.name.lower())]) is not None]
        result[total] = float(np.mean(values)) if values else None
    return result
