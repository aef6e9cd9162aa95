"""The paper to the letter (its section 2.4 and supplement): correlate truncated-normal draws by Cholesky factors.

y = x L_z^T and z = L_s y, with x ~ TN(mu, sigma, min, max), L_z of the group's Kendall matrix over latent dimensions
and L_s of the healthy parent's own Kendall matrix over slices. The products leave the marginals and the bounds behind.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from cardiomorph.anatomy import PHASES
from cardiomorph.latent.correlation import cholesky, kendall_matrix
from cardiomorph.latent.samplers.draw import Draw, share_out_of_bounds, truncated_normal
from cardiomorph.latent.statistics import GroupStatistics
from cardiomorph.latent.trajectory import Trajectory


class PaperSampler(BaseModel):
    """z = L_s (x L_z^T); the parent's length."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Literal["paper"] = "paper"

    def draw(self, group: GroupStatistics, parent: Trajectory, rng: np.random.Generator) -> Draw:
        codes, matrices = {}, {}
        for phase in PHASES:
            statistics = group.phases[phase]
            x = truncated_normal(rng.random(statistics.mean.shape), statistics)
            latent_factor, latent_diagnostics = cholesky(statistics.kendall)
            slice_factor, slice_diagnostics = cholesky(kendall_matrix(parent.codes[phase].T))
            codes[phase] = slice_factor @ (x @ latent_factor.T)
            matrices[phase] = {
                "latent": latent_diagnostics.as_dict(),
                "slice": slice_diagnostics.as_dict(),
            }
        trajectory = Trajectory(codes, parent.length_mm)
        return Draw(
            trajectory,
            {"share_out_of_bounds": share_out_of_bounds(trajectory, group), "matrices": matrices},
        )
