"""What lies around a patient's heart follows the new heart's border, as tissue does: it is pushed aside or drawn after.

Along every ray from the new heart's centre the source's image is stretched or squeezed between the heart's border and a
rim that stays where it is. So the free wall, the fat and the lung next to the patient's heart lie next to the new one,
with their own texture, and nothing has to be invented where a smaller heart uncovers what no scanner saw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, map_coordinates, maximum_filter1d

RIM_MM = 8.0
"""How far from both borders the rim lies at least; where the border moved, it lies farther by as much."""

_RAYS = 180
_WIDEN_RAYS = 3
_SMOOTH_RAYS = 2.0
_LEEWAY_MM = 1.0

Picture = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Surroundings:
    """A slice of the source as it would be around another heart.

    Attributes:
        picture: (x, y); inside the new heart's border it says nothing.
        outside_mm: (x, y), how far beyond the new heart's border along its ray; 0 inside.
        moved: (x, y), where the picture is not the source's own.
    """

    picture: Picture
    outside_mm: NDArray[np.float64]
    moved: Mask


def drawn_after(source: Picture, old: Mask, new: Mask, spacing_mm: tuple[float, float]) -> Surroundings:
    """The source's slice around another heart.

    Args:
        source, old, new: (x, y) of one slice: image, the patient's heart and the new one, which is not empty.
        spacing_mm: of the pixels.
    """
    centre = np.argwhere(new).mean(axis=0)
    dx, dy = ((np.arange(n) - c) * d for n, c, d in zip(source.shape, centre, spacing_mm, strict=True))
    radius = np.hypot(dx[:, None], dy[None, :])
    ray = np.arctan2(dy[None, :], dx[:, None]) % (2.0 * np.pi) * (_RAYS / (2.0 * np.pi))
    border_new, border_old = (_border_mm(mask, radius, ray) for mask in (new, old))
    rim = np.maximum(border_new, border_old) + RIM_MM + np.abs(border_new - border_old)
    here_new, here_old, here_rim = (_along(values, ray) for values in (border_new, border_old, rim))
    outside = np.maximum(radius - here_new, 0.0)
    moved = radius < here_rim
    stretched = here_old + (here_rim - here_old) * outside / (here_rim - here_new)
    factor = np.divide(stretched, radius, out=np.ones_like(radius), where=radius > 0)
    picture = source.copy()
    at = [np.broadcast_to(d, source.shape)[moved] * factor[moved] for d in (dx[:, None], dy[None, :])]
    voxels = [c + a / d for c, a, d in zip(centre, at, spacing_mm, strict=True)]
    picture[moved] = map_coordinates(source, voxels, order=3, mode="nearest")
    return Surroundings(np.clip(picture, source.min(), source.max()), outside, moved)


def _border_mm(heart: Mask, radius: NDArray[np.float64], ray: NDArray[np.float64]) -> NDArray[np.float64]:
    """(rays,) how far the heart reaches along each ray, a little beyond its pixels and smooth; 0 without a heart."""
    if not heart.any():
        return np.zeros(_RAYS)
    reach = np.full(_RAYS, -1.0)
    np.maximum.at(reach, ray[heart].astype(int) % _RAYS, radius[heart])
    found = np.flatnonzero(reach >= 0)
    whole = np.interp(np.arange(_RAYS), found, reach[found], period=_RAYS)
    widened = maximum_filter1d(whole, _WIDEN_RAYS, mode="wrap")
    return gaussian_filter1d(widened, _SMOOTH_RAYS, mode="wrap") + _LEEWAY_MM


def _along(values: NDArray[np.float64], ray: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of rays at fractional rays."""
    return np.interp(ray - 0.5, np.arange(_RAYS), values, period=_RAYS)
