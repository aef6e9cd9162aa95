"""Every element on its own from a truncated normal: the paper's uncorrelated baseline (its Fig. 4, left)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from cardiomorph.anatomy import PHASES
from cardiomorph.latent.samplers.draw import Draw, share_out_of_bounds, truncated_normal
from cardiomorph.latent.statistics import GroupStatistics
from cardiomorph.latent.trajectory import Trajectory


class IndependentSampler(BaseModel):
    """x ~ TN(mu, sigma, min, max); the parent's length."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Literal["independent"] = "independent"

    def draw(self, group: GroupStatistics, parent: Trajectory, rng: np.random.Generator) -> Draw:
        codes = {p: truncated_normal(rng.random(group.phases[p].mean.shape), group.phases[p]) for p in PHASES}
        trajectory = Trajectory(codes, parent.length_mm)
        return Draw(trajectory, {"share_out_of_bounds": share_out_of_bounds(trajectory, group)})
