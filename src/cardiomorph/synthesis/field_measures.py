"""A heart in a patient's whole image beside the image that was there: what stayed, the seam, grain and sharpness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardiomorph.data.subject import Frame
from cardiomorph.evaluation.fidelity import noise_level, sharpness
from cardiomorph.synthesis.full_field import distance_in_plane_mm

_SEAM_MM = (2.0, 10.0)
_RANGE = (0.5, 99.5)
_MARGIN_PX = 4


@dataclass(frozen=True)
class FieldMeasures:
    """One phase. Ratios are the new image's by the source's, in the same place: 1 where nothing gives it away.

    Attributes:
        untouched: share of voxels that are the source's own.
        seam: ratio of the gradient's mean length in the ring from 2 to 10 mm around both hearts.
        difference: mean absolute difference on both hearts, by the source's range (its 0.5 to 99.5 percentiles).
        grain: ratio of the noise level in the box around both hearts.
        sharpness: ratio of the gradient's mean length inside the hearts, each in its own.
    """

    untouched: float
    seam: float
    difference: float
    grain: float
    sharpness: float


def field_measures(made: Frame, source: Frame) -> FieldMeasures:
    """Compares two frames of one grid, image and label each."""
    assert made.image is not None, "a heart in a full field has an image"
    assert source.image is not None, "and so has the scan that it was set into"
    new, old = made.image.array.astype(np.float64), source.image.array.astype(np.float64)
    heart = (made.label.array > 0) | (source.label.array > 0)
    low, high = np.percentile(old, _RANGE)
    ring = seam_ring(heart, source.label.spacing_mm[:2])
    return FieldMeasures(
        untouched=float((new == old).mean()),
        seam=_ratio(_mean(_gradient(new)[ring]), _mean(_gradient(old)[ring])),
        difference=float(np.abs(new - old)[heart].mean() / max(high - low, 1e-9)),
        grain=_ratio(_noise(new, heart), _noise(old, heart)),
        sharpness=_ratio(_sharpness(new, made.label.array > 0), _sharpness(old, source.label.array > 0)),
    )


def seam_ring(heart: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> NDArray[np.bool_]:
    """(x, y, slice) voxels from 2 to 10 mm around a heart, in the slices that have one."""
    distance = distance_in_plane_mm(heart, spacing_mm)
    return (distance > _SEAM_MM[0]) & (distance < _SEAM_MM[1])


def _gradient(image: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.hypot(*np.gradient(image, axis=(0, 1)))


def _noise(image: NDArray[np.float64], heart: NDArray[np.bool_]) -> float:
    """Mean over the slices of the noise level in the hearts' box."""
    x, y = (np.flatnonzero(np.any(heart, axis=axes)) for axes in ((1, 2), (0, 2)))
    rows, columns = (slice(max(0, int(e[0]) - _MARGIN_PX), int(e[-1]) + _MARGIN_PX + 1) for e in (x, y))
    slices = np.flatnonzero(np.any(heart, axis=(0, 1)))
    return float(np.mean([noise_level(image[rows, columns, index]) for index in slices]))


def _sharpness(image: NDArray[np.float64], heart: NDArray[np.bool_]) -> float:
    found = [sharpness(image[..., index], heart[..., index]) for index in range(image.shape[2])]
    return _mean(np.array([value for value in found if value is not None]))


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")


def _ratio(one: float, other: float) -> float:
    """NaN where the place is empty, as the ring around labels that fill the slice."""
    return float(one / other) if other > 0 else float("nan")
