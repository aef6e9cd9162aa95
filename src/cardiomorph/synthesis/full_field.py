"""A painted heart is set into the patient's own image: the whole field of view, as the scanner gave it.

Voxels farther from both hearts, the patient's and the new one, than the seam is wide are the source's own. On the heart
the painted image stands, in between the two are mixed; its intensities are matched to the source's blood, wall and
surroundings, its grain to the source's. Where the patient's heart ended later than the new one, the slices are filled
from their own surroundings, as noisy as they are.
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

SEAM_MM = 8.0
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
    source = scan.image.array.astype(np.float32)
    weight, around = _weights(scan, label)
    matched = grained(_matched(painted, label, scan, around), source, weight > 0, rng)
    result = source.copy()
    for index in range(source.shape[2]):
        mixed = weight[..., index]
        if not mixed.any():
            continue
        inner = matched[..., index] if (label[..., index] > 0).any() else _filled(source[..., index], mixed > 0, rng)
        result[..., index] += mixed * (inner - source[..., index])
    return _in_the_sources_type(result, source)


def _weights(scan: Frame, label: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """How much of each voxel is painted; and where both images show what lies around the heart."""
    new = label > 0
    distance = distance_in_plane_mm(new | (scan.label.array > 0), scan.label.spacing_mm[:2])
    share = np.clip(1.0 - distance / SEAM_MM, 0.0, 1.0)
    around = (distance > 0) & (distance < SEAM_MM) & np.any(new, axis=(0, 1))
    return (share * share * (3.0 - 2.0 * share)).astype(np.float32), around


def distance_in_plane_mm(heart: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> NDArray[np.float64]:
    """(x, y, slice) distance of every voxel to the heart in its own slice; infinite in a slice without one."""
    distance = np.full(heart.shape, np.inf)
    for index in np.flatnonzero(np.any(heart, axis=(0, 1))):
        distance[..., index] = distance_transform_edt(~heart[..., index], sampling=spacing_mm)
    return distance


def _matched(
    painted: NDArray[np.float32], label: NDArray[np.uint8], scan: Frame, around: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The painted image in the source's intensities: one line for all slices, so that nothing flickers.

    It goes through what both images have, whatever the hearts' shapes: the medians of blood, wall and surroundings.
    """
    assert scan.image is not None, "there is an image to match"
    parts = [(label == s, scan.label.array == s) for s in STRUCTURES] + [(around, around)]
    found = [(ours, theirs) for ours, theirs in parts if ours.any() and theirs.any()]
    if len(found) < 2:
        return painted
    x = np.array([float(np.median(painted[ours])) for ours, _ in found])
    y = np.array([float(np.median(scan.image.array[theirs])) for _, theirs in found])
    spread = float(np.var(x))
    gain = float(np.clip(np.cov(x, y, bias=True)[0, 1] / spread, *_GAIN)) if spread > 0 else 1.0
    return (gain * (painted - x.mean()) + y.mean()).astype(np.float32)


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
