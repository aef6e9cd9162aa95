"""One joint Gaussian over ED codes, ES codes and both lengths: phases agree and the length changes with the disease.

The group's empirical covariance, shrunk towards a Kronecker target (`statistics.JointStatistics`); bounds kept by
clipping, whose share is reported.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from cardiomorph.latent.samplers.draw import Draw, share_out_of_bounds
from cardiomorph.latent.statistics import GroupStatistics, TargetCorrelation, unpack
from cardiomorph.latent.trajectory import Trajectory


class PopulationSampler(BaseModel):
    """v ~ N(mean, (1 - s) S + s T), clipped to the group's bounds."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Literal["population"] = "population"
    shrinkage: float = Field(0.2, ge=0, le=1, description="weight of the Kronecker target")

    def draw(self, group: GroupStatistics, parent: Trajectory, rng: np.random.Generator) -> Draw:
        joint = group.joint
        shape = group.phases["ED"].mean.shape
        empirical = joint.factors.T @ rng.standard_normal(len(joint.factors))
        target = TargetCorrelation(joint).colour(rng.standard_normal(len(joint.mean)))
        weight = self.shrinkage
        vector = joint.mean + joint.sd * (np.sqrt(1.0 - weight) * empirical + np.sqrt(weight) * target)
        drawn = unpack(vector, shape)
        kept = unpack(np.clip(vector, joint.minimum, joint.maximum), shape)
        return Draw(
            kept,
            {
                "share_out_of_bounds": share_out_of_bounds(kept, group),
                "share_clipped": share_out_of_bounds(drawn, group),
            },
        )
