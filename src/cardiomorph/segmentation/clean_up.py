"""Labels as one heart: the largest connected body of each structure, without holes. Nothing is invented."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_fill_holes
from scipy.ndimage import label as components

from cardiomorph.anatomy import Label

_TOUCHING = np.ones((3, 3, 3), bool)


def cleaned(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A labelling without what hangs loose.

    The left heart (wall and cavity) keeps its largest body in 3D, the LV cavity its largest inside that, the RV its
    largest among what touches the left heart. In each slice holes in the cavities become cavity, and gaps that the wall
    encloses become wall.

    Args:
        label: (n_slices, nx, ny).
    """
    wall, lv, rv = (label == code for code in (Label.MYOCARDIUM, Label.LV, Label.RV))
    left = _largest(wall | lv)
    lv = _filled(_largest(lv & left))
    wall = _filled(left | lv) & ~lv
    rv = _largest(rv & ~wall & ~lv, near=left)
    rv = _filled(rv) & ~wall & ~lv
    result = np.zeros_like(label)
    for mask, code in ((rv, Label.RV), (wall, Label.MYOCARDIUM), (lv, Label.LV)):
        result[mask] = code
    return result


def _largest(mask: NDArray[np.bool_], near: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """The largest connected body; of those that touch ``near``, where any does."""
    numbered, count = components(mask, _TOUCHING)
    if count < 2:
        return mask
    sizes = np.bincount(numbered.ravel(), minlength=count + 1)
    sizes[0] = 0
    if near is not None:
        touched = np.unique(numbered[binary_dilation(near, _TOUCHING)])
        if touched.any():
            sizes[np.setdiff1d(np.arange(count + 1), touched)] = 0
    return np.asarray(numbered == int(np.argmax(sizes)))


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without holes in any slice."""
    return np.stack([binary_fill_holes(plane) for plane in mask])
