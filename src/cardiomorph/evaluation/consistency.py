"""Do neighbouring slices belong to one heart? Smoothness along the axis, of labels and of images.

Hearts are compared at one slice spacing: a finer stack is thinned to it by taking slices, never by mixing them, for
neighbours 3 mm apart agree better than neighbours 10 mm apart whatever drew them. The paper's Fig. 4 in numbers.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, map_coordinates
from skimage.metrics import structural_similarity

from cardiomorph.anatomy import STRUCTURES, Label
from cardiomorph.evaluation.overlap import dice
from cardiomorph.volume import Volume

LABEL_MEASURES = {
    "adjacent_dice": "mean Dice of neighbouring slices, over structures that both have",
    "area_bend_mm2": "mean absolute second difference of a structure's area along the axis, mm2",
    "centroid_bend_mm": "mean length of the second difference of a structure's centroid along the axis, mm",
    "endocardial_roughness_mm": "root mean square second difference of the LV radius along the axis, in 24 long-axis "
    "planes, mm",
}
IMAGE_MEASURES = {
    "adjacent_correlation": "mean correlation of neighbouring slices around the heart",
    "adjacent_ssim": "mean structural similarity of neighbouring slices around the heart",
    "heart_flicker": "mean absolute second difference of the heart's mean intensity along the axis, in units of the "
    "heart's intensity SD: streaks across the heart in a long-axis view",
    "slice_flicker": "the same of the whole slice's mean intensity: streaks across the picture",
}
_ANGLES = np.arange(24) * (2.0 * math.pi / 24)


def thinned(n_slices: int, spacing_mm: float, to_mm: float) -> NDArray[np.intp]:
    """Which slices of a stack to keep so that neighbours are about ``to_mm`` apart; all where they already are."""
    kept = max(1, round(n_slices * spacing_mm / to_mm))
    if kept >= n_slices:
        return np.arange(n_slices)
    return np.floor((np.arange(kept) + 0.5) * n_slices / kept).astype(np.intp)


def thin(volume: Volume, to_mm: float) -> Volume:
    """A volume with the slices of `thinned` and their spacing."""
    kept = thinned(volume.n_slices, volume.spacing_mm[2], to_mm)
    spacing = volume.spacing_mm[2] * volume.n_slices / len(kept)
    return Volume(volume.array[:, :, kept], (*volume.spacing_mm[:2], spacing))


def _run(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The (x, y, slice) mask from its first slice to its last."""
    where = np.flatnonzero(mask.any(axis=(0, 1)))
    return mask[:, :, where[0] : where[-1] + 1] if len(where) else mask[:, :, :0]


def adjacent_dice(label: Volume) -> float | None:
    """Mean over neighbouring slices and the structures that both of them have."""
    stack = np.moveaxis(label.array, -1, 0)
    scores = [
        dice(above, below, structure)
        for above, below in pairwise(stack)
        for structure in STRUCTURES
        if (above == structure).any() and (below == structure).any()
    ]
    return float(np.mean(scores)) if scores else None


def area_bend_mm2(label: Volume) -> float | None:
    """Mean |A(i-1) - 2 A(i) + A(i+1)| over structures and the slices between a structure's ends."""
    pixel = label.spacing_mm[0] * label.spacing_mm[1]
    bends = [np.abs(np.diff(_run(label.array == s).sum(axis=(0, 1)) * pixel, 2)) for s in STRUCTURES]
    found = np.concatenate(bends)
    return float(found.mean()) if len(found) else None


def centroid_bend_mm(label: Volume) -> float | None:
    """Mean length of the centroid's second difference, over RV and epicardial outline."""
    bends = []
    for mask in (label.array == Label.RV, np.isin(label.array, (Label.LV, Label.MYOCARDIUM))):
        centroids = _centroids_mm(_run(mask), label.spacing_mm[:2])
        second = centroids[:-2] - 2 * centroids[1:-1] + centroids[2:]
        bends.append(np.hypot(*second[~np.isnan(second).any(axis=1)].T))
    found = np.concatenate(bends)
    return float(found.mean()) if len(found) else None


def _centroids_mm(mask: NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> NDArray[np.float64]:
    """(slices, 2) in mm; NaN in an empty slice."""
    area = mask.sum(axis=(0, 1)).astype(np.float64)
    area[area == 0] = np.nan
    x = np.arange(mask.shape[0])[:, None] * spacing_mm[0]
    y = np.arange(mask.shape[1])[:, None] * spacing_mm[1]
    return np.stack([(x * mask.sum(axis=1)).sum(axis=0) / area, (y * mask.sum(axis=0)).sum(axis=0) / area], axis=1)


def endocardial_roughness_mm(label: Volume) -> float | None:
    """Second differences of the LV cavity's radius, seen from a straight axis through its centroids.

    A cylinder and a cone have none, whichever way they lean.
    """
    cavity = _run(label.array == Label.LV)
    n = cavity.shape[2]
    if n < 3:
        return None
    centroids = _centroids_mm(cavity, label.spacing_mm[:2])
    there = ~np.isnan(centroids).any(axis=1)
    line = np.polynomial.polynomial.polyfit(np.flatnonzero(there), centroids[there], 1)
    axis = line[0] + np.arange(n)[:, None] * line[1]
    radii = np.stack([_radii_mm(cavity[:, :, i], axis[i], label.spacing_mm[:2]) for i in range(n)])
    return float(np.sqrt((np.diff(radii, 2, axis=0) ** 2).mean()))


def _radii_mm(
    mask: NDArray[np.bool_], origin_mm: NDArray[np.float64], spacing_mm: tuple[float, ...]
) -> NDArray[np.float64]:
    """How far the mask reaches from a point in 24 directions: where a ray last leaves it, to half a pixel's depth."""
    step = 0.25 * min(spacing_mm)
    reach = np.arange(0.0, math.hypot(*(n * d for n, d in zip(mask.shape, spacing_mm, strict=True))), step)
    x = (origin_mm[0] + np.outer(np.cos(_ANGLES), reach)) / spacing_mm[0]
    y = (origin_mm[1] + np.outer(np.sin(_ANGLES), reach)) / spacing_mm[1]
    inside = map_coordinates(mask.astype(np.float32), [x, y], order=1) >= 0.5
    last = np.where(inside.any(axis=1), reach.size - 1 - np.argmax(inside[:, ::-1], axis=1), 0)
    return np.asarray(reach[last])


def label_consistency(label: Volume, spacing_mm: float) -> dict[str, float | None]:
    """The label measures of one phase, at slices ``spacing_mm`` apart."""
    thinner = thin(label, spacing_mm)
    return {
        "adjacent_dice": adjacent_dice(thinner),
        "area_bend_mm2": area_bend_mm2(thinner),
        "centroid_bend_mm": centroid_bend_mm(thinner),
        "endocardial_roughness_mm": endocardial_roughness_mm(thinner),
    }


def image_consistency(image: Volume, label: Volume, spacing_mm: float) -> dict[str, float | None]:
    """The image measures of one phase, at slices ``spacing_mm`` apart.

    Args:
        image: same grid as the label; any units.
    """
    picture, heart = thin(image, spacing_mm), thin(label, spacing_mm).array > 0
    array = picture.array.astype(np.float64)
    around = binary_dilation(heart.any(axis=2), iterations=8)
    rows, columns = (np.flatnonzero(around.any(axis=axis)) for axis in (1, 0))
    if picture.n_slices < 3 or len(rows) < 7 or len(columns) < 7:
        return dict.fromkeys(IMAGE_MEASURES)
    crop = array[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    stack = np.moveaxis(crop - crop.min(), -1, 0)
    span = float(np.ptp(crop)) or 1.0
    pairs = list(pairwise(stack))
    constant = any(np.ptp(plane) == 0 for plane in stack)
    spread = float(array[heart].std()) or 1.0
    means = np.array([array[:, :, i][heart[:, :, i]].mean() for i in range(heart.shape[2]) if heart[:, :, i].any()])
    return {
        "adjacent_correlation": None
        if constant
        else float(np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs])),
        "adjacent_ssim": float(np.mean([structural_similarity(a, b, data_range=span) for a, b in pairs])),
        "heart_flicker": float(np.abs(np.diff(means, 2)).mean() / spread) if len(means) > 2 else None,
        "slice_flicker": float(np.abs(np.diff(stack.mean(axis=(1, 2)), 2)).mean() / spread),
    }
