"""A painted heart is set into the patient's own image: the whole field of view, as the scanner gave it.

On the new heart the painted image stands; around it the source's own, which follows the new heart's border
(`surroundings`) and stays bit for bit what it was farther away. Painted intensities are matched to the source's blood,
wall and surroundings, their grain to the source's. A slice that the new heart does not reach is filled from its own
surroundings, as noisy as they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from skimage.restoration import inpaint_biharmonic

from cardiomorph.anatomy import STRUCTURES
from cardiomorph.data.subject import Frame
from cardiomorph.evaluation.fidelity import noise_level
from cardiomorph.synthesis.grain import grained
from cardiomorph.synthesis.surroundings import RIM_MM, drawn_after

SEAM_MM = 4.0
"""Beyond the new heart's border painted and own image are mixed over this distance."""
_GAIN = (0.25, 4.0)


def set_into(
    scan: Frame, label: NDArray[np.uint8], painted: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.generic]:
    """The source's image with another heart in it.

    Args:
        scan: the source's image and labels, (x, y, slice).
        label: the new heart's, on the same grid.
        painted: image of the new heart and what is painted around it, on the same grid, in the source's intensities.
        rng: of the grain, and of the noise in slices that the new heart does not reach.

    Returns:
        (x, y, slice) float32, or int16 or int32 where the source's intensities are whole numbers.
    """
    assert scan.image is not None, "there is an image to set it into"
    source, spacing = scan.image.array.astype(np.float32), scan.label.spacing_mm[:2]
    old, new = scan.label.array > 0, label > 0
    result, share = source.copy(), np.zeros(source.shape, np.float32)
    for index in np.flatnonzero(np.any(new, axis=(0, 1))):
        around = drawn_after(source[..., index], old[..., index], new[..., index], spacing)
        result[..., index] = around.picture
        share[..., index] = np.maximum(_fading(around.outside_mm, SEAM_MM), new[..., index])
    matched = grained(_matched(painted, label, scan), source, share > 0, rng)
    result += share * (matched - result)
    left = distance_in_plane_mm(old & ~np.any(new, axis=(0, 1)), spacing)
    for index in np.flatnonzero(np.isfinite(left).any(axis=(0, 1))):
        mixed = _fading(left[..., index], RIM_MM)
        result[..., index] += mixed * (_filled(source[..., index], mixed > 0, rng) - source[..., index])
    return _in_the_sources_type(result, source)


def _fading(distance: NDArray[np.float64], over_mm: float) -> NDArray[np.float32]:
    """1 on the heart, 0 from a distance on, smooth in between."""
    share = np.clip(1.0 - distance / over_mm, 0.0, 1.0)
    return (share * share * (3.0 - 2.0 * share)).astype(np.float32)


def distance_in_plane_mm(heart: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> NDArray[np.float64]:
    """(x, y, slice) distance of every voxel to the heart in its own slice; infinite in a slice without one."""
    distance = np.full(heart.shape, np.inf)
    for index in np.flatnonzero(np.any(heart, axis=(0, 1))):
        distance[..., index] = distance_transform_edt(~heart[..., index], sampling=spacing_mm)
    return distance


def _matched(painted: NDArray[np.float32], label: NDArray[np.uint8], scan: Frame) -> NDArray[np.float32]:
    """The painted image in the source's intensities: one line for all slices, so that nothing flickers.

    It goes through what both images have, whatever the hearts' shapes: the medians of blood, wall and surroundings.
    """
    assert scan.image is not None, "there is an image to match"
    parts = [(label == s, scan.label.array == s) for s in STRUCTURES]
    parts.append((_around(label > 0, scan), _around(scan.label.array > 0, scan)))
    found = [(ours, theirs) for ours, theirs in parts if ours.any() and theirs.any()]
    if len(found) < 2:
        return painted
    x = np.array([float(np.median(painted[ours])) for ours, _ in found])
    y = np.array([float(np.median(scan.image.array[theirs])) for _, theirs in found])
    spread = float(np.var(x))
    gain = float(np.clip(np.cov(x, y, bias=True)[0, 1] / spread, *_GAIN)) if spread > 0 else 1.0
    return (gain * (painted - x.mean()) + y.mean()).astype(np.float32)


def _around(heart: NDArray[np.bool_], scan: Frame) -> NDArray[np.bool_]:
    distance = distance_in_plane_mm(heart, scan.label.spacing_mm[:2])
    return (distance > 0) & (distance < RIM_MM)


def _filled(picture: NDArray[np.float32], hole: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    """The picture with a hole filled smoothly from its rim, and the picture's own noise in it."""
    smooth = inpaint_biharmonic(picture.astype(np.float64), hole)
    low, high = float(picture.min()), float(picture.max())
    noisy = smooth + noise_level(picture) * rng.standard_normal(picture.shape)
    return np.clip(noisy, low, high).astype(np.float32)


def _in_the_sources_type(result: NDArray[np.float32], source: NDArray[np.float32]) -> NDArray[np.generic]:
    if not np.array_equal(source, np.rint(source)):
        return result
    whole = np.rint(result)
    fits = whole.min() >= np.iinfo(np.int16).min and whole.max() <= np.iinfo(np.int16).max
    return whole.astype(np.int16 if fits else np.int32)
