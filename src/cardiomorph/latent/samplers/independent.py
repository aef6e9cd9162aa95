"""Every element on its own from a truncated normal: the paper's uncorrelated baseline (its Fig. 4, left)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.latent.samplers.draw import Draw, truncated_normal, with_parents_length
from cardiomorph.latent.statistics import GroupStatistics
from cardiomorph.latent.trajectory import LatentCodes, Trajectory


class IndependentSampler(BaseModel):
    """x ~ TN(mu, sigma, min, max); the parent's length."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Literal["independent"] = "independent"

    def draw(self, group: GroupStatistics, parent: Trajectory, rng: np.random.Generator) -> Draw:
        codes: dict[Phase, LatentCodes] = {
            p: truncated_normal(rng.random(group.phases[p].mean.shape), group.phases[p]) for p in PHASES
        }
        return with_parents_length(codes, parent, group)
