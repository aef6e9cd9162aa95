"""A Gaussian copula with the paper's marginals: correlated like the paper meant, bounded like the group is.

g = L_s e L_z^T with e standard normal and correlations rho = sin(pi tau / 2); then each element goes through Phi and
the truncated normal's inverse CDF.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.special import ndtr

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.latent.correlation import sine_transform
from cardiomorph.latent.samplers.draw import Draw, cholesky_factors, truncated_normal, with_parents_length
from cardiomorph.latent.statistics import GroupStatistics
from cardiomorph.latent.trajectory import LatentCodes, Trajectory


class CopulaSampler(BaseModel):
    """Truncated-normal marginals, Gaussian dependence; the parent's length."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Literal["copula"] = "copula"

    def draw(self, group: GroupStatistics, parent: Trajectory, rng: np.random.Generator) -> Draw:
        codes: dict[Phase, LatentCodes] = {}
        matrices = {}
        for phase in PHASES:
            statistics = group.phases[phase]
            factors = cholesky_factors(statistics, parent.codes[phase], sine_transform)
            noise = rng.standard_normal(statistics.mean.shape)
            uniform = ndtr(factors.slices @ noise @ factors.latent.T)
            codes[phase] = truncated_normal(uniform, statistics)
            matrices[phase] = factors.diagnostics
        return with_parents_length(codes, parent, group, matrices=matrices)
