"""The paper to the letter (its section 2.1 and supplement): correlate truncated-normal draws by Cholesky factors.

y = x L_z^T and z = L_s y, with x ~ TN(mu, sigma, min, max), L_z of the group's Kendall matrix over latent dimensions
and L_s of the healthy parent's own Kendall matrix over slices. The products leave the marginals and the bounds behind.
`correlate` leaves either factor out, to see what each does.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.latent.samplers.draw import Correlate, Draw, cholesky_factors, truncated_normal, with_parents_length
from cardiomorph.latent.statistics import GroupStatistics
from cardiomorph.latent.trajectory import LatentCodes, Trajectory


class PaperSampler(BaseModel):
    """z = L_s (x L_z^T); the parent's length."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Literal["paper"] = "paper"
    correlate: Correlate = "both"

    @model_serializer(mode="wrap")
    def _as_before(self, standard: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The JSON of the whole method is what it was before parts of it could be left out."""
        return {key: value for key, value in standard(self).items() if (key, value) != ("correlate", "both")}

    def draw(self, group: GroupStatistics, parent: Trajectory, rng: np.random.Generator) -> Draw:
        codes: dict[Phase, LatentCodes] = {}
        matrices = {}
        for phase in PHASES:
            statistics = group.phases[phase]
            factors = cholesky_factors(statistics, parent.codes[phase])
            x = truncated_normal(rng.random(statistics.mean.shape), statistics)
            codes[phase] = factors.only(self.correlate).applied(x)
            matrices[phase] = factors.diagnostics
        return with_parents_length(codes, parent, group, matrices=matrices)
