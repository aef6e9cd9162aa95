"""What every sampler returns, and what most of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.latent.correlation import Matrix, cholesky, kendall_matrix
from cardiomorph.latent.statistics import GroupStatistics, PhaseStatistics
from cardiomorph.latent.trajectory import LatentCodes, Trajectory


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


def truncated_normal(uniform: NDArray[np.float64], statistics: PhaseStatistics) -> LatentCodes:
    """Inverse CDF of TN(mean, sd, min, max), element by element. ``uniform`` in (0, 1), (32, n_z).

    An element that is the same in all subjects stays that.
    """
    sd = np.where(statistics.sd > 0, statistics.sd, 1.0)
    low = ndtr((statistics.minimum - statistics.mean) / sd)
    high = ndtr((statistics.maximum - statistics.mean) / sd)
    values = statistics.mean + sd * ndtri(low + uniform * (high - low))
    return np.clip(values, statistics.minimum, statistics.maximum)


def truncated_moments(statistics: PhaseStatistics) -> tuple[LatentCodes, LatentCodes]:
    """Mean and SD of TN(mean, sd, min, max), element by element, (32, n_z) each.

    With alpha and beta the standardised bounds, Z = Phi(beta) - Phi(alpha): mean + sd (phi(alpha) - phi(beta)) / Z, and
    the variance sd^2 (1 + (alpha phi(alpha) - beta phi(beta)) / Z - ((phi(alpha) - phi(beta)) / Z)^2) (Johnson, Kotz,
    Balakrishnan, Continuous Univariate Distributions 1, 1994, section 10.1). Of an element that is the same in all
    subjects the SD is 0.
    """
    sd = np.where(statistics.sd > 0, statistics.sd, 1.0)
    alpha, beta = ((bound - statistics.mean) / sd for bound in (statistics.minimum, statistics.maximum))
    kept = ndtr(beta) - ndtr(alpha)
    fixed = (statistics.sd <= 0) | (kept <= 0)
    kept = np.where(fixed, 1.0, kept)
    at_low, at_high = (np.exp(-0.5 * bound**2) / np.sqrt(2.0 * np.pi) for bound in (alpha, beta))
    shift = (at_low - at_high) / kept
    variance = 1.0 + (alpha * at_low - beta * at_high) / kept - shift**2
    mean = np.where(fixed, statistics.mean, statistics.mean + sd * shift)
    return mean, np.where(fixed, 0.0, sd * np.sqrt(np.clip(variance, 0.0, None)))


Correlate = Literal["both", "latent", "slices", "none"]
"""Which of the two factors a sampler of the paper's kind applies."""


@dataclass(frozen=True)
class Factors:
    """Cholesky factors over latent dimensions and over slices, with what had to be repaired to have them."""

    latent: Matrix
    slices: Matrix
    diagnostics: Mapping[str, Any]

    def applied(self, x: LatentCodes) -> LatentCodes:
        """z = L_s (x L_z^T): (32, n_z) draws, correlated."""
        return np.asarray(self.slices @ (x @ self.latent.T))

    def only(self, which: Correlate) -> Factors:
        """The same with the identity in place of the factor that is left out."""
        latent = self.latent if which in ("both", "latent") else np.eye(len(self.latent))
        slices = self.slices if which in ("both", "slices") else np.eye(len(self.slices))
        return Factors(latent, slices, self.diagnostics)


def cholesky_factors(
    statistics: PhaseStatistics, parent_codes: LatentCodes, transform: Callable[[Matrix], Matrix] = np.asarray
) -> Factors:
    """Factors of the group's Kendall matrix over dimensions and of the parent's over slices (the paper, section 2.1).

    Args:
        transform: of a Kendall matrix before it is factorised.
    """
    latent, latent_diagnostics = cholesky(transform(statistics.kendall))
    slices, slice_diagnostics = cholesky(transform(kendall_matrix(parent_codes.T)))
    return Factors(latent, slices, {"latent": latent_diagnostics.as_dict(), "slice": slice_diagnostics.as_dict()})


def with_parents_length(
    codes: Mapping[Phase, LatentCodes], parent: Trajectory, group: GroupStatistics, **diagnostics: Any
) -> Draw:
    """A draw of codes alone: the heart keeps its parent's length."""
    trajectory = Trajectory(codes, parent.length_mm)
    return Draw(trajectory, {"share_out_of_bounds": share_out_of_bounds(trajectory, group), **diagnostics})


def share_out_of_bounds(trajectory: Trajectory, group: GroupStatistics) -> float:
    """Share of the code elements, both phases, outside the group's own range."""
    outside = [
        (trajectory.codes[p] < group.phases[p].minimum - 1e-9) | (trajectory.codes[p] > group.phases[p].maximum + 1e-9)
        for p in PHASES
    ]
    return float(np.mean(outside))
