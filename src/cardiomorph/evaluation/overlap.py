"""How well one label map covers another: Dice (1945), by structure and by third of the long axis."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import STRUCTURES, Label

THIRDS = ("base", "middle", "apex")


def dice(a: NDArray[np.integer], b: NDArray[np.integer], label: Label) -> float:
    """2 |A and B| / (|A| + |B|) of one structure; NaN where neither map has it."""
    in_a, in_b = a == label, b == label
    total = int(in_a.sum()) + int(in_b.sum())
    return 2.0 * int((in_a & in_b).sum()) / total if total else float("nan")


def dice_by_structure(a: NDArray[np.integer], b: NDArray[np.integer]) -> dict[str, float]:
    """Dice of every structure over two stacks of the same shape, by its lower-case name."""
    return {label.name.lower(): dice(a, b, label) for label in STRUCTURES}


def agreement(a: NDArray[np.integer], b: NDArray[np.integer]) -> dict[str, float]:
    """`dice_by_structure`, and 1 where neither stack has the structure: nothing was missed, nothing invented."""
    return {name: 1.0 if math.isnan(value) else value for name, value in dice_by_structure(a, b).items()}


def thirds(n_slices: int) -> dict[str, slice]:
    """Basal, middle and apical slices of a stack from base to apex; each gets a third, the base any remainder first."""
    edges = -(-np.arange(4) * n_slices // 3)
    return {name: slice(int(a), int(b)) for name, a, b in zip(THIRDS, edges[:-1], edges[1:], strict=True)}
