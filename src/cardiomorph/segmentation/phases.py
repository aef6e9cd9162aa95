"""ED and ES of a cine: the frames of the largest and of the smallest LV cavity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cardiomorph.errors import CardiomorphError

_MOVING = 0.02
"""Share of the largest volume by which the smallest must be less: below it nothing beats."""


def smoothed(volumes_ml: Sequence[float]) -> NDArray[np.float64]:
    """A volume curve over one heartbeat, each frame the median of it and its two neighbours in the cycle."""
    curve = np.asarray(volumes_ml, np.float64)
    if len(curve) < 5:
        return curve
    return np.median([np.roll(curve, 1), curve, np.roll(curve, -1)], axis=0)


def find_phases(volumes_ml: Sequence[float]) -> tuple[int, int]:
    """Frames, counted from 0, of end-diastole and end-systole.

    Single frames whose labels went wrong do not decide: the curve's median of three does, and among the frames that it
    holds for the largest (or smallest) as measured is taken.

    Raises:
        CardiomorphError: the LV is as large in all frames.
    """
    curve, raw = smoothed(volumes_ml), np.asarray(volumes_ml, np.float64)
    if curve.max() <= 0 or curve.max() - curve.min() < _MOVING * curve.max():
        raise CardiomorphError(
            f"the LV cavity is as large in all of its {len(curve)} frames: is this one heartbeat of a cine?"
        )
    largest, smallest = np.flatnonzero(curve == curve.max()), np.flatnonzero(curve == curve.min())
    return int(largest[np.argmax(raw[largest])]), int(smallest[np.argmin(raw[smallest])])
