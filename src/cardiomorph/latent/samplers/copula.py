"""A Gaussian copula with the paper's marginals: correlated like the paper meant, bounded like the group is.

g = L_s e L_z^T with e standard normal and correlations rho = sin(pi tau / 2); then each element goes through Phi and
the truncated normal's inverse CDF.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.special import ndtr

from cardiomorph.anatomy import PHASES
from cardiomorph.latent.correlation import cholesky, kendall_matrix, sine_transform
from cardiomorph.latent.samplers.draw import Draw, share_out_of_bounds, truncated_normal
from cardiomorph.latent.statistics import GroupStatistics
from cardiomorph.latent.trajectory import Trajectory


class CopulaSampler(BaseModel):
    """Truncated-normal marginals, Gaussian dependence; the parent's length."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Literal["copula"] = "copula"

    def draw(self, group: GroupStatistics, parent: Trajectory, rng: np.random.Generator) -> Draw:
        codes, matrices = {}, {}
        for phase in PHASES:
            statistics = group.phases[phase]
            latent_factor, latent_diagnostics = cholesky(sine_transform(statistics.kendall))
            slice_factor, slice_diagnostics = cholesky(sine_transform(kendall_matrix(parent.codes[phase].T)))
            noise = rng.standard_normal(statistics.mean.shape)
            codes[phase] = truncated_normal(ndtr(slice_factor @ noise @ latent_factor.T), statistics)
            matrices[phase] = {
                "latent": latent_diagnostics.as_dict(),
                "slice": slice_diagnostics.as_dict(),
            }
        trajectory = Trajectory(codes, parent.length_mm)
        return Draw(
            trajectory,
            {"share_out_of_bounds": share_out_of_bounds(trajectory, group), "matrices": matrices},
        )
