"""Can this be a heart? Anatomical criteria on short-axis labels, slice by slice and over the volume.

The slice criteria are those of Painchaud et al. (IEEE TMI 39(11), 2020) for LV, RV and myocardium: holes, gaps between
structures, several components, LV against background or RV, RV apart from the myocardium, concavity and circularity.
Where they need a bound ("too concave") it is the 99th percentile of real hearts, so real labels fail some of them too:
no rate of failure means anything without the real rate beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_fill_holes, find_objects
from scipy.ndimage import label as components
from scipy.spatial import ConvexHull, QhullError
from skimage.measure import perimeter

from cardiomorph.anatomy import STRUCTURES, Label, Phase
from cardiomorph.volume import Volume

Mask = NDArray[np.bool_]

COUNTED = {
    "lv_hole": "pixels of holes in the LV cavity",
    "rv_hole": "pixels of holes in the RV cavity",
    "myocardium_hole": "background pixels that the myocardium encloses",
    "lv_myocardium_gap": "background pixels between LV cavity and myocardium",
    "rv_myocardium_gap": "background pixels that RV and myocardium enclose together",
    "lv_parts": "components of the LV cavity beyond one",
    "rv_parts": "components of the RV cavity beyond one",
    "myocardium_parts": "components of the myocardium beyond one",
    "rv_apart": "1 where the RV does not touch the myocardium",
}
"""Criteria that fail above zero."""
BOUNDED = {
    "lv_on_background": "share of the LV cavity's edge that borders on background",
    "lv_on_rv": "share of the LV cavity's edge that borders on the RV",
    "lv_concavity": "1 - area / convex area of the LV cavity",
    "rv_concavity": "1 - area / convex area of the RV cavity",
    "epicardium_concavity": "1 - area / convex area of LV cavity and myocardium",
    "lv_elongation": "1 - circularity of the LV cavity; circularity is 4 pi area / perimeter^2",
    "epicardium_elongation": "1 - circularity of LV cavity and myocardium",
}
"""Criteria that fail above the real hearts' bound."""
CRITERIA = (*COUNTED, *BOUNDED)
VOLUME_CRITERIA = {
    "lv_in_pieces": "the LV cavity has more than one component in 3D",
    "rv_in_pieces": "the RV cavity has more than one component in 3D",
    "myocardium_in_pieces": "the myocardium has more than one component in 3D",
    "structure_missing_between": "a structure is absent in a slice between two that have it",
    "rv_below_apex": "the RV reaches below the last slice of the left heart",
    "systole_not_smaller": "a ventricle is not smaller at ES than at ED",
}
# Below this a shape is mostly its pixels: its concavity and circularity say nothing.
_SMALL_MM2 = 60.0
_EVERY_NEIGHBOUR = np.ones((3, 3), bool)


def _parts(mask: Mask) -> int:
    return int(components(mask, _EVERY_NEIGHBOUR)[1])


def _holes(mask: Mask) -> Mask:
    return binary_fill_holes(mask) & ~mask


def _touching(holes: Mask, neighbour: Mask) -> int:
    """Pixels of those holes that touch ``neighbour``."""
    numbered, count = components(holes)
    if not count:
        return 0
    touched = np.unique(numbered[binary_dilation(neighbour) & holes])
    return int(np.isin(numbered, touched[touched > 0]).sum())


def _edge_share(mask: Mask, other: Mask) -> float:
    """Share of the pixel edges around ``mask`` that border on ``other``."""
    total = shared = 0
    padded, beyond = np.pad(mask, 2), np.pad(other, 1)
    outside = ~padded[1:-1, 1:-1]
    for shifted in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        neighbour = shifted & outside
        total += int(neighbour.sum())
        shared += int((neighbour & beyond).sum())
    return shared / total if total else 0.0


def concavity(mask: Mask) -> float:
    """1 - area / area of the convex hull of its pixels' corners: 0 for a rectangle."""
    padded = np.pad(mask, 1)
    enclosed = padded[2:, 1:-1] & padded[:-2, 1:-1] & padded[1:-1, 2:] & padded[1:-1, :-2]
    where = np.argwhere(mask & ~enclosed)
    corners = (where[:, None] + np.array([(0, 0), (0, 1), (1, 0), (1, 1)])[None]).reshape(-1, 2)
    try:
        return 1.0 - float(mask.sum()) / float(ConvexHull(corners).volume)
    except QhullError:
        return 0.0


def circularity(mask: Mask) -> float:
    """4 pi area / perimeter^2, at most 1: a disc of pixels has 0.91 to 0.95, a square about 0.8."""
    around = perimeter(mask, neighborhood=4)
    return min(1.0, 4.0 * math.pi * float(mask.sum()) / around**2) if around > 0 else 1.0


def slice_shape(label: NDArray[np.integer], pixel_mm2: float) -> dict[str, float]:
    """What the criteria judge, for one (x, y) slice; NaN where it does not apply (no such structure, too small)."""
    box = find_objects((label > 0).astype(np.uint8))
    if not box:
        return dict.fromkeys(CRITERIA, math.nan)
    label = np.pad(label[box[0]], 1)
    lv, rv, wall = label == Label.LV, label == Label.RV, label == Label.MYOCARDIUM
    left, background = lv | wall, label == Label.BACKGROUND
    in_lv, in_rv, in_left = _holes(lv), _holes(rv), _holes(left)
    left_holes = in_left & ~in_lv
    shared_holes = _holes(left | rv) & ~in_left & ~in_rv
    gap = _touching(left_holes, lv)
    big = {name: mask.sum() * pixel_mm2 >= _SMALL_MM2 for name, mask in (("lv", lv), ("rv", rv), ("left", left))}
    return {
        "lv_hole": float(in_lv.sum()),
        "rv_hole": float(in_rv.sum()),
        "myocardium_hole": float(left_holes.sum() - gap),
        "lv_myocardium_gap": float(gap),
        "rv_myocardium_gap": float(shared_holes.sum()),
        "lv_parts": float(max(0, _parts(lv) - 1)),
        "rv_parts": float(max(0, _parts(rv) - 1)),
        "myocardium_parts": float(max(0, _parts(wall) - 1)),
        "rv_apart": float(rv.any() and wall.any() and not (binary_dilation(rv, _EVERY_NEIGHBOUR) & wall).any()),
        "lv_on_background": _edge_share(lv, background) if lv.any() else math.nan,
        "lv_on_rv": _edge_share(lv, rv) if lv.any() else math.nan,
        "lv_concavity": concavity(lv) if big["lv"] else math.nan,
        "rv_concavity": concavity(rv) if big["rv"] else math.nan,
        "epicardium_concavity": concavity(left) if big["left"] else math.nan,
        "lv_elongation": 1.0 - circularity(lv) if big["lv"] else math.nan,
        "epicardium_elongation": 1.0 - circularity(left) if big["left"] else math.nan,
    }


def slice_shapes(label: Volume) -> NDArray[np.float64]:
    """`slice_shape` of every labelled slice, (slices, criteria) in the order of `CRITERIA`."""
    labelled = np.flatnonzero(label.array.any(axis=(0, 1)))
    area = label.spacing_mm[0] * label.spacing_mm[1]
    rows = [list(slice_shape(label.array[:, :, index], area).values()) for index in labelled]
    return np.asarray(rows, np.float64).reshape(-1, len(CRITERIA))


@dataclass(frozen=True)
class Bounds:
    """Largest value of each bounded criterion that still counts as a heart's."""

    largest: Mapping[str, float]

    def failures(self, shapes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(slices, criteria): which slice fails which criterion."""
        largest = np.array([self.largest.get(name, 0.0) for name in CRITERIA])
        return np.nan_to_num(shapes, nan=-1.0) > largest + 1e-9


def bounds_of(shapes: Sequence[NDArray[np.float64]], percentile: float = 99.0) -> Bounds:
    """Bounds from real hearts' `slice_shapes`. A criterion that no slice has is bounded by infinity."""
    stacked = np.concatenate([np.empty((0, len(CRITERIA))), *shapes])
    largest = {}
    for name in BOUNDED:
        values = stacked[:, CRITERIA.index(name)]
        values = values[~np.isnan(values)]
        largest[name] = float(np.percentile(values, percentile)) if len(values) else math.inf
    return Bounds(largest)


def volume_failures(labels: Mapping[Phase, Volume]) -> dict[str, bool]:
    """Which criteria over the whole heart fail; ``systole_not_smaller`` needs both phases and is absent without."""
    failed = dict.fromkeys(VOLUME_CRITERIA, False)
    cube = np.ones((3, 3, 3), bool)
    for label in labels.values():
        present = {s: (label.array == s).any(axis=(0, 1)) for s in STRUCTURES}
        for structure, slices in present.items():
            box = find_objects((label.array == structure).astype(np.uint8))
            pieces = components(label.array[box[0]] == structure, cube)[1] if box else 0
            failed[f"{structure.name.lower()}_in_pieces"] |= pieces > 1
            where = np.flatnonzero(slices)
            failed["structure_missing_between"] |= bool(len(where) and len(where) < where[-1] - where[0] + 1)
        left = np.flatnonzero(present[Label.LV] | present[Label.MYOCARDIUM])
        right = np.flatnonzero(present[Label.RV])
        failed["rv_below_apex"] |= bool(len(left) and len(right) and right[-1] > left[-1])
    if len(labels) < 2:
        del failed["systole_not_smaller"]
        return failed
    for structure in (Label.LV, Label.RV):
        ed, es = ((labels[p].array == structure).sum() * labels[p].voxel_ml for p in ("ED", "ES"))
        failed["systole_not_smaller"] |= bool(es >= ed and ed > 0)
    return failed
