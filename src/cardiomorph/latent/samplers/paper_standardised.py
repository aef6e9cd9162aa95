"""The paper's product on standardised draws: what its supplement's proof needs, and what shows its effect.

L x has the covariance L L^T only where x has unit covariance, which a truncated normal with a group's means and SDs has
not. So x ~ TN(mu, sigma, min, max) is standardised by its own mean m and SD s, correlated, and restored:
z = m + s * (L_s ((x - m) / s) L_z^T). Means and SDs are the truncated normal's again; its bounds may be left.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.latent.samplers.draw import (
    Correlate,
    Draw,
    cholesky_factors,
    truncated_moments,
    truncated_normal,
    with_parents_length,
)
from cardiomorph.latent.statistics import GroupStatistics
from cardiomorph.latent.trajectory import LatentCodes, Trajectory


class PaperStandardisedSampler(BaseModel):
    """Standardise, correlate, restore; the parent's length."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Literal["paper-standardised"] = "paper-standardised"
    correlate: Correlate = "both"

    def draw(self, group: GroupStatistics, parent: Trajectory, rng: np.random.Generator) -> Draw:
        codes: dict[Phase, LatentCodes] = {}
        matrices = {}
        for phase in PHASES:
            statistics = group.phases[phase]
            factors = cholesky_factors(statistics, parent.codes[phase])
            mean, sd = truncated_moments(statistics)
            x = truncated_normal(rng.random(statistics.mean.shape), statistics)
            unit = np.divide(x - mean, sd, out=np.zeros_like(x), where=sd > 0)
            codes[phase] = mean + sd * factors.only(self.correlate).applied(unit)
            matrices[phase] = factors.diagnostics
        return with_parents_length(codes, parent, group, matrices=matrices)
