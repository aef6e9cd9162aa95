"""Where a heart lies in its slices: the left ventricle's centre and the direction of the right ventricle.

Patients lie in scanners at many angles (SD 30 degrees in ACDC) and at many places in the field of view. A shape model
of slices as scanned spends its few latent dimensions on that, and a mean of two hearts is then neither of them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import Label
from cardiomorph.data.subject import Subject

# The crop's centre lies this far from the LV's towards the RV: half-way across the whole heart.
_TOWARDS_RV_MM = 20.0
# In the crop the RV lies on the side of low x, as it does on average in ACDC.
_RV_DIRECTION_DEG = 180.0

Point = tuple[float, float]

# World directions (RAS) of a heart that lies as most do: its long axis from base to apex points left, forward and down;
# in a short-axis slice the RV lies to the right and in front of the LV. In the crop's axes the RV is at low x, the
# anterior wall at low y, and x cross y points to the base, as in a slice that is looked at from the apex.
_TO_APEX = np.array([-0.62, 0.50, -0.60])
_FROM_RV = np.array([-0.71, -0.71, 0.0])


def standard_affine(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """Voxel indices -> world (RAS, mm) of a heart that nobody has: the grid's middle at the world's origin.

    Args:
        shape, spacing_mm: of an (x, y, slice) volume in the crop's axes, slices base to apex.

    Returns:
        (4, 4). Its determinant is below zero: stored base first, such slices make a left-handed frame.
    """
    apex = _TO_APEX / np.linalg.norm(_TO_APEX)
    x = _FROM_RV - (_FROM_RV @ apex) * apex
    x /= np.linalg.norm(x)
    y = np.cross(-apex, x)
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([x, y, apex]) * np.asarray(spacing_mm)
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(shape) - 1.0) / 2.0)
    return affine


def heart_frame(subject: Subject) -> tuple[Point, float]:
    """Centre of a heart, in mm from voxel (0, 0) of the source's own axes, and how far it is turned.

    Both phases count. The direction is the mean over slices, weighted by the RV's area, of the vector from the LV's
    centroid (cavity and wall) to the RV's.

    Returns:
        Centre in mm (x, y), and the angle in degrees, in (-180, 180], by which the crop's axes are turned in the
        source's so that the RV lies towards the crop's low x. Without an RV or LV: the labels' centroid, and 0.
    """
    left, towards = _centroids(subject)
    if left is None:
        return _centroid_mm(subject), 0.0
    if towards is None:
        return (float(left[0]), float(left[1])), 0.0
    direction = math.degrees(math.atan2(towards[1], towards[0]))
    rotation = (direction - _RV_DIRECTION_DEG + 180.0) % -360.0 + 180.0
    centre = left + _TOWARDS_RV_MM * towards / np.hypot(*towards)
    # A fifth of a degree moves no edge of a heart by a fifth of a pixel; exact zeros keep such hearts on their voxels.
    return (float(centre[0]), float(centre[1])), 0.0 if abs(rotation) < 0.2 else round(rotation, 2)


def _centroids(subject: Subject) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """The LV's centroid over all slices of both phases, and the mean vector from LV to RV; None where there is none."""
    left_sum, left_area = np.zeros(2), 0
    towards_sum, towards_area = np.zeros(2), 0
    for frame in subject.frames.values():
        spacing = np.asarray(frame.label.spacing_mm[:2])
        for plane in np.moveaxis(frame.label.array, -1, 0):
            left = np.argwhere((plane == Label.LV) | (plane == Label.MYOCARDIUM)) * spacing
            right = np.argwhere(plane == Label.RV) * spacing
            if len(left):
                left_sum, left_area = left_sum + left.sum(axis=0), left_area + len(left)
            if len(left) and len(right):
                towards_sum += len(right) * (right.mean(axis=0) - left.mean(axis=0))
                towards_area += len(right)
    left_centre = left_sum / left_area if left_area else None
    return left_centre, towards_sum / towards_area if towards_area and np.hypot(*towards_sum) > 0 else None


def _centroid_mm(subject: Subject) -> Point:
    label = subject.frames["ED"].label
    where = np.argwhere(label.array > 0)[:, :2].mean(axis=0) * np.asarray(label.spacing_mm[:2])
    return float(where[0]), float(where[1])
