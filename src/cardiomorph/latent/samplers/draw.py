"""What every sampler returns, and the truncated normal that most of them share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from cardiomorph.anatomy import PHASES
from cardiomorph.latent.statistics import GroupStatistics, PhaseStatistics
from cardiomorph.latent.trajectory import Codes, Trajectory


@dataclass(frozen=True)
class Draw:
    """A drawn heart and how the drawing went.

    Attributes:
        trajectory: the fully diseased heart (severity 1).
        diagnostics: ``share_out_of_bounds`` of the code elements outside the group's [min, max], and each
            correlation matrix's rank, eigenvalues and repair.
    """

    trajectory: Trajectory
    diagnostics: Mapping[str, Any]


def truncated_normal(uniform: NDArray[np.float64], statistics: PhaseStatistics) -> Codes:
    """Inverse CDF of TN(mean, sd, min, max), element by element. ``uniform`` in (0, 1), (32, n_z).

    An element that is the same in all subjects stays that.
    """
    sd = np.where(statistics.sd > 0, statistics.sd, 1.0)
    low = ndtr((statistics.minimum - statistics.mean) / sd)
    high = ndtr((statistics.maximum - statistics.mean) / sd)
    values = statistics.mean + sd * ndtri(low + uniform * (high - low))
    return np.clip(values, statistics.minimum, statistics.maximum)


def share_out_of_bounds(trajectory: Trajectory, group: GroupStatistics) -> float:
    """Share of the code elements, both phases, outside the group's own range."""
    outside = [
        (trajectory.codes[p] < group.phases[p].minimum - 1e-9) | (trajectory.codes[p] > group.phases[p].maximum + 1e-9)
        for p in PHASES
    ]
    return float(np.mean(outside))
